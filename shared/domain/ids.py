"""ARM resource ids as a type.

Azure changes the case of ids between APIs (facts §1.12), so ids are equal whatever their case and
are never compared or stored as text. Names in them are attacker text (DESIGN §3.18): only what
`parse` accepts may enter a URL, and `path()` quotes every segment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from shared.errors import BadArmId

VIRTUAL_MACHINES = "microsoft.compute/virtualmachines"
VAULTS = "microsoft.recoveryservices/vaults"

_SUBSCRIPTION = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_GROUP = re.compile(r"[\w().-]{1,90}")  # letters of any script, as ARM allows
_PROVIDER = re.compile(r"[A-Za-z][A-Za-z0-9.]{2,79}")
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9]{0,79}")
_NAME = re.compile(r"[^/\\?#%<>\"'\x00-\x1f\x7f]{1,260}")  # may hold ";" (containers, items)


@dataclass(frozen=True, slots=True)
class ArmId:
    """One resource: subscription, group, provider and the type/name chain, in original case.

    ``key`` is the lower-case id and the only thing equality and hashing look at.
    """

    subscription: str = field(compare=False)
    group: str = field(compare=False)
    provider: str = field(compare=False)
    chain: tuple[tuple[str, str], ...] = field(compare=False)
    key: str

    @staticmethod
    def parse(text: object) -> ArmId:
        """Parse a group-level resource id in any case, tolerating stray blanks.

        Raises:
            BadArmId: not such an id, or with a segment that must not enter a URL.

        """
        if not isinstance(text, str):
            raise BadArmId(f"an id must be text, not {type(text).__name__}")
        if len(text) > 2048:
            raise BadArmId(f"an id of {len(text)} characters")
        parts = [part.strip() for part in text.strip().strip("/").split("/")]
        if len(parts) < 8 or len(parts) % 2:
            raise BadArmId(f"not a resource id: {text[:200]!r}")
        words = [part.lower() for part in parts]
        if (words[0], words[2], words[4]) != ("subscriptions", "resourcegroups", "providers"):
            raise BadArmId(f"not a resource id: {text[:200]!r}")
        chain = tuple(zip(parts[6::2], parts[7::2], strict=True))
        return ArmId.of(parts[1], parts[3], parts[5], chain)

    @staticmethod
    def of(
        subscription: str, group: str, provider: str, chain: tuple[tuple[str, str], ...]
    ) -> ArmId:
        """Build an id from parts that may come from anywhere; refuse what is not a name.

        Raises:
            BadArmId: a part is not a valid name.

        """
        if not _SUBSCRIPTION.fullmatch(subscription):
            raise BadArmId(f"not a subscription id: {subscription[:80]!r}")
        if not _GROUP.fullmatch(group) or group.endswith("."):
            raise BadArmId(f"not a resource group name: {group[:100]!r}")
        if not _PROVIDER.fullmatch(provider):
            raise BadArmId(f"not a provider: {provider[:100]!r}")
        for kind, name in chain:
            if not _TYPE.fullmatch(kind):
                raise BadArmId(f"not a resource type: {kind[:100]!r}")
            if not _NAME.fullmatch(name) or name in {".", ".."} or unquote(name) != name:
                raise BadArmId(f"not a resource name: {name[:100]!r}")
        tail = "/".join(f"{kind}/{name}" for kind, name in chain)
        text = f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{provider}/{tail}"
        return ArmId(subscription, group, provider, chain, text.lower())

    @property
    def name(self) -> str:
        """The resource's own name, as it was written."""
        return self.chain[-1][1]

    @property
    def type(self) -> str:
        """Lower-case ``provider/type[/subtype]``."""
        return "/".join([self.provider, *(kind for kind, _ in self.chain)]).lower()

    @property
    def parent(self) -> ArmId | None:
        """The enclosing resource (an item's container, a policy's vault), or None at the top."""
        if len(self.chain) == 1:
            return None
        return ArmId.of(self.subscription, self.group, self.provider, self.chain[:-1])

    def child(self, kind: str, name: str) -> ArmId:
        """Give the id of a resource inside this one."""
        return ArmId.of(self.subscription, self.group, self.provider, (*self.chain, (kind, name)))

    def path(self) -> str:
        """Give the URL path, every segment quoted."""
        tail = "/".join(f"{kind}/{quote(name, safe='')}" for kind, name in self.chain)
        group = quote(self.group, safe="")
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{group}"
            f"/providers/{self.provider}/{tail}"
        )

    def __str__(self) -> str:
        """Give the id as Azure writes it, for people and for request bodies."""
        tail = "/".join(f"{kind}/{name}" for kind, name in self.chain)
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
            f"/providers/{self.provider}/{tail}"
        )


def virtual_machine(subscription: str, group: str, name: str) -> ArmId:
    """Give the id of an ARM virtual machine."""
    return ArmId.of(subscription, group, "Microsoft.Compute", (("virtualMachines", name),))


def local_key(vm: ArmId) -> str:
    """Give ``group|name`` in lower case: unique within a subscription, and the order of walks."""
    return f"{vm.group}|{vm.name}".lower()


def vault_of(inside: ArmId) -> ArmId:
    """Give the vault that a policy, container, item or job lies in.

    Raises:
        BadArmId: the id does not lie in a Recovery Services vault.

    """
    if not inside.type.startswith(VAULTS):
        raise BadArmId(f"not inside a vault: {inside}")
    return ArmId.of(inside.subscription, inside.group, inside.provider, inside.chain[:1])


def item_of(vault: ArmId, vm: ArmId) -> ArmId:
    """Give the protected item that a VM has, or would have, in a vault (facts §1.12).

    The name holds group and VM but no subscription: equal names of two subscriptions collide.
    """
    names = f"iaasvmcontainerv2;{vm.group};{vm.name}"
    return (
        vault.child("backupFabrics", "Azure")
        .child("protectionContainers", f"IaasVMContainer;{names}")
        .child("protectedItems", f"VM;{names}")
    )
