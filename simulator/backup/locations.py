"""The three questions a region answers about one VM: is it protected, may it be, is it supported.

All are POST and draw on ARM's write budget; the region in the path must be the VM's (facts §1.4).
"""

from simulator.arm import Call, Reply
from simulator.backup import catalog, eligibility, refusals
from simulator.backup.eras import Era
from simulator.backup.formats import Fields, text_of
from simulator.backup.names import VmName
from simulator.backup.records import Failure, Item, Protection, Vault
from simulator.ids import ResourceId
from simulator.world import World

_FEATURE = "AzureVMResourceBackup"
_ALREADY = (
    "Virtual machine with same name and same resource group is already protected. Please select "
    "`Disable' choice above for backup and go to backup item corresponding to this VM in the vault"
)


def _vm_asked(call: Call) -> tuple[str, VmName]:
    asked = call.fields()
    if text_of(asked.get("resourceType")) != "VM":
        raise refusals.bad_input(f"resourceType '{text_of(asked.get('resourceType'))}'")
    vm_id = text_of(asked.get("resourceId"))
    try:
        name = VmName.of_vm(vm_id)
    except ValueError:
        raise refusals.bad_input(f"resourceId '{vm_id}'") from None
    if ResourceId.parse(vm_id).subscription.lower() != call.subscription.lower():
        raise refusals.bad_input("resourceId of another subscription")
    return vm_id, name


def backup_status(world: World, call: Call) -> Reply:
    """Tell whether any vault protects a VM; names come back in lower case (recorded)."""
    vm_id, name = _vm_asked(call)
    state = world.backup
    found = _best(state.items_of_vm(vm_id))
    word = _status_word(world, found[1]) if found else "NotProtected"
    body: Fields = {"protectionStatus": word}
    if found is not None and word in {"Protected", "Protecting"}:
        body["vaultId"] = found[0].vault_id
    body |= {
        "fabricName": "Azure",
        "containerName": name.container.lower(),
        "protectedItemName": name.item.lower(),
    }
    if found is not None and word == "Protected" and found[1].policy_name:
        body["policyName"] = found[1].policy_name
    body["protectedItemsCount"] = 0
    if state.era >= Era.Y2024:
        body["objectType"] = "BackupStatusResponse"
    return Reply(status=200, body=body, content_type=state.era.content_type)


def _best(found: list[tuple[Vault, Item]]) -> tuple[Vault, Item] | None:
    return min(found, key=lambda pair: (not pair[1].active, pair[0].key), default=None)


def _status_word(world: World, item: Item) -> str:
    if not item.visible:
        return "Protecting"
    if item.soft_deleted or item.state in {Protection.STOPPED, Protection.SUSPENDED}:
        return world.knobs.text("backup.status.stopped")
    return "Protected"


def pre_validate(world: World, call: Call) -> Reply:
    """Say whether a VM could be protected in a vault: HTTP 200 also for no (bms24)."""
    vm_id, name = _vm_asked(call)
    asked_vault = text_of(call.fields().get("vaultId"))
    vault = world.backup.vaults.get(asked_vault.lower())
    if vault is None:
        raise refusals.bad_input(f"vaultId '{asked_vault}'")
    body: Fields = {
        "status": "Succeeded",
        "errorCode": "",
        "errorMessage": "",
        "recommendation": "",
        "containerName": name.container,
        "protectedItemName": name.item,
    }
    held = vault.items.get(name.key)
    if held is not None and held.visible:
        body |= {
            "status": "Failed",
            "errorCode": "VirtualMachineAlreadyProtected",
            "errorMessage": _ALREADY,
            "recommendation": "Please do not enable protection again.",
        }
    elif problem := _problem(world, vault, vm_id, name):
        body |= {
            "status": "Failed",
            "errorCode": problem.code,
            "errorMessage": problem.message,
            "recommendation": " ".join(problem.recommendations),
        }
    return Reply(status=200, body=body, content_type=world.backup.era.content_type)


def _problem(world: World, vault: Vault, vm_id: str, name: VmName) -> Failure | None:
    vm = world.get(vm_id)
    if vm is None:
        return catalog.failure("UserErrorVmNotFoundV2")
    if not eligibility.in_region(vault, vm):
        return catalog.failure("UserErrorVmVaultLocationMismatch")
    return eligibility.registration_problem(world.backup, vault, vm_id, name.key)


def validate_features(world: World, call: Call) -> Reply:
    """Say whether a size can be backed up; nothing but the shape is known (bms24)."""
    asked = call.fields()
    if text_of(asked.get("featureType")) != _FEATURE:
        raise refusals.bad_input(f"featureType '{text_of(asked.get('featureType'))}'")
    size = text_of(asked.get("vmSize"))
    body: Fields = {"supportStatus": "Supported" if size else "Invalid"}
    return Reply(status=200, body=body, content_type=world.backup.era.content_type)
