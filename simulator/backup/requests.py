"""What a PUT of a protected item asks for: one body, eight meanings (facts §1.6).

Reading is strict and total: a body becomes one of the variants below or a refusal.
"""

from dataclasses import dataclass

from simulator.arm import Call, Json, PrincipalKind
from simulator.backup import refusals
from simulator.backup.formats import Fields, fields_of, text_of
from simulator.backup.names import VM_TYPE, VmName
from simulator.backup.records import Protection

_STATES_OF_A_GET = frozenset({Protection.IR_PENDING.value, Protection.PROTECTED.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Enable:
    """Protect, move to another policy, select disks or resume: the service sees one wish."""

    vm_id: str
    policy_id: str
    disks: Fields | None
    selects_disks: bool
    guarded_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Keep the points, take no more; ``suspend`` is its form for an immutable vault."""

    vm_id: str
    suspend: bool
    guarded_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelete:
    vm_id: str


type Wish = Enable | Stop | Undelete


def read_wish(call: Call, name: VmName) -> Wish:
    """Read what a PUT asks for; refuse a body that fits no variant."""
    properties = call.fields().get("properties")
    if not isinstance(properties, dict):
        raise refusals.bad_input("properties")
    given = fields_of(properties)
    kind = text_of(given.get("protectedItemType"))
    if kind.lower() != VM_TYPE.lower():
        raise refusals.bad_input(f"protectedItemType '{kind}'")
    vm_id = text_of(given.get("sourceResourceId"))
    if vm_id and not names_vm(name, vm_id):
        raise refusals.bad_protection_request()
    asked = text_of(given.get("protectionState"))
    if call.principal.kind is PrincipalKind.SYSTEM and asked in _STATES_OF_A_GET:
        asked = ""  # a timeline puts bodies as a GET returns them
    if given.get("isRehydrate") is True:
        return Undelete(vm_id=vm_id)
    match asked:
        case Protection.STOPPED | Protection.SUSPENDED:
            if text_of(given.get("policyId")):
                raise refusals.bad_input("policyId with a protectionState that stops protection")
            return Stop(
                vm_id=vm_id,
                suspend=asked == Protection.SUSPENDED,
                guarded_by=_guards(given),
            )
        case "":
            pass
        case _:
            raise refusals.bad_input(f"protectionState '{asked}'")
    if not vm_id:
        raise refusals.bad_input("sourceResourceId")
    if not text_of(given.get("policyId")):
        raise refusals.bad_input("policyId")
    extended = fields_of(given.get("extendedProperties"))
    return Enable(
        vm_id=vm_id,
        policy_id=text_of(given.get("policyId")),
        disks=_disks(extended),
        selects_disks="diskExclusionProperties" in extended,
        guarded_by=_guards(given),
    )


def names_vm(name: VmName, vm_id: str) -> bool:
    """Tell whether a VM's id gives the name in the path; its subscription is not in it."""
    try:
        return VmName.of_vm(vm_id).key == name.key
    except ValueError:
        return False


def _disks(extended: Fields) -> Fields | None:
    """Read a disk selection; each PUT replaces it whole, null clears it (facts §3.7)."""
    given = extended.get("diskExclusionProperties")
    if given is None:
        return None
    chosen = fields_of(given)
    given_luns = chosen.get("diskLunList")
    # az 2.91 sends ["0"], older ones [0]; the service's own JSON reader takes both (assumed).
    luns: list[Json] = [
        int(lun) if isinstance(lun, str) and lun.isdigit() else lun
        for lun in (given_luns if isinstance(given_luns, list) else [None])
    ]
    if not all(type(lun) is int and lun >= 0 for lun in luns):
        raise refusals.bad_input("diskLunList")
    included = chosen.get("isInclusionList", False)
    if not isinstance(included, bool):
        raise refusals.bad_input("isInclusionList")
    return {"diskLunList": luns, "isInclusionList": included}


def _guards(given: Fields) -> tuple[str, ...]:
    ids = given.get("resourceGuardOperationRequests")
    return tuple(i for i in ids if isinstance(i, str)) if isinstance(ids, list) else ()
