"""Our own missing rights: what a refusal says is lacking, and the grant that ends it (facts §8).

The owner of a VM can do nothing about them, so they are never a finding for a notice: the VM
waits, and the operators hear once per action and scope.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.domain.ids import ArmId
from shared.domain.quoting import sh
from shared.errors import BadArmId

OUR_RIGHTS = "OUR_RIGHTS"
NOT_REGISTERED = "MissingSubscriptionRegistration"
_CODES = frozenset(
    {"authorizationfailed", "linkedauthorizationfailed", "linkedaccesscheckfailed"}
) | {NOT_REGISTERED.lower()}

_LACKED = re.compile(
    r"does not have authorization to perform action '([\w./]+)' over scope '([^']+)'"
)
_LINKED = re.compile(r"perform action\(s\) '([\w./]+)' on the linked scope\(s\) '([^']+)'")
_TENANT = re.compile(r"not authorized to access linked subscription '([0-9a-fA-F-]{36})'")
_NAMESPACE = re.compile(r"use namespace '([\w.]+)'")
_SUBSCRIPTION = re.compile(r"/subscriptions/[0-9a-f-]{36}", re.IGNORECASE)

# The least built-in role that holds an action; the first that fits (facts §8.1).
_ROLES = (
    (re.compile(r"microsoft\.recoveryservices/.*backuppolicies/write"), "Backup Contributor"),
    (re.compile(r"microsoft\.recoveryservices/vaults/write"), "Backup Contributor"),
    (re.compile(r"microsoft\.recoveryservices/"), "Backup Operator"),
    (re.compile(r"/read$"), "Reader"),
    (re.compile(r"microsoft\.compute/"), "Virtual Machine Contributor"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """One action that we may not do at one scope. ``action`` "" where Azure did not name it."""

    action: str
    scope: str
    registration: str = ""  # the provider that is to be registered instead
    tenant: bool = False  # the scope belongs to another tenant: nothing can be granted

    @property
    def code(self) -> str:
        """Name it in notices and rows: the same for every VM that meets it."""
        what = self.registration or self.action or "an action"
        return f"{OUR_RIGHTS} {what} {self.scope}"

    def words(self, identity: str) -> str:
        """Say what is to be granted, with the command."""
        if self.registration:
            subscription = self.scope.rsplit("/", 1)[-1]
            return (
                f"Resource provider {self.registration} is not registered in {self.scope}; VMs"
                " wait until it is. Register it: az provider register --namespace"
                f" {sh(self.registration)} --subscription {sh(subscription)} --wait"
            )
        if self.tenant:
            return (
                f"{self.scope} belongs to another tenant than the vault, and Azure Backup does not"
                " cross tenants. Let the rules choose no such vault for it."
            )
        return (
            f"The service may not do {self.action or 'what it must'} at {self.scope}; VMs wait"
            " until it may. Deploy infra/subscription.bicep with the block of infra/role.json that"
            f" holds the action, or grant a built-in role: {self.grant(identity)}. A grant may take"
            " ten minutes to work."
        )

    def grant(self, identity: str) -> str:
        """Give the command that grants a built-in role; "" where no role would help."""
        if self.registration or self.tenant:
            return ""
        return (
            f"az role assignment create --assignee {sh(identity or '<client id of the identity>')}"
            f" --role {sh(role_of(self.action))} --scope {sh(self.scope)}"
        )


def is_ours(code: str) -> bool:
    """Tell whether a code means that a right of ours is missing."""
    return code.strip().lower() in _CODES


def lack_of(code: str, message: str, vm: ArmId) -> Lack | None:
    """Read a refusal; None if its code speaks of no right of ours. Never raises."""
    if not is_ours(code):
        return None
    here = f"/subscriptions/{vm.subscription}"
    if code.lower() == NOT_REGISTERED.lower():
        named = _NAMESPACE.search(message)
        provider = named[1] if named else "Microsoft.RecoveryServices"
        return Lack(action="", scope=here, registration=provider)
    if found := _TENANT.search(message):
        return Lack(action="", scope=f"/subscriptions/{found[1]}", tenant=True)
    found = _LINKED.search(message) or _LACKED.search(message)
    if found is None:
        return Lack(action="", scope=here)
    return Lack(action=found[1], scope=_granted_at(found[2]))


def role_of(action: str) -> str:
    """Give the least built-in role that holds an action."""
    lower = action.lower()
    return next((role for pattern, role in _ROLES if pattern.search(lower)), "Reader")


def _granted_at(scope: str) -> str:
    """Give the scope to grant at: a vault's group, and for VMs and all else the subscription."""
    try:
        resource = ArmId.parse(scope)
    except BadArmId:
        found = _SUBSCRIPTION.match(scope)
        return found[0] if found else scope[:200]
    subscription = f"/subscriptions/{resource.subscription}"
    if resource.provider.lower() == "microsoft.recoveryservices":
        return f"{subscription}/resourceGroups/{resource.group}"
    return subscription
