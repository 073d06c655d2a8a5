"""Readiness of the machine itself (facts §3.1, §3.3, §3.4): kind, system, agent, power.

An agent that is not ready is never a reason to refuse: recorded enables succeeded without one.
"""

from __future__ import annotations

import re

from shared.domain.catalogue import finding
from shared.domain.findings import Finding
from shared.domain.model import SecurityType
from shared.domain.readiness.systems import SYSTEMS, Support, is_32_bit, support
from shared.domain.readiness.view import View
from shared.domain.remedies import machine as remedy

_PASSING = frozenset({"creating", "updating", "migrating", "deleting"})
_CHANGING = frozenset({"starting", "stopping", "deallocating"})
_OFF = frozenset({"stopped", "deallocated"})
_CONTROLLER = frozenset({"domaincontroller", "dc", "addc", "adds"})


def provisioning(view: View) -> Finding | None:
    if view.vm.provisioning.lower() not in _PASSING:
        return None
    return finding(
        "PROVISIONING",
        text=f"The VM is {view.vm.provisioning.lower()}.",
        evidence=f"provisioning state {view.vm.provisioning}",
    )


def provisioning_failed(view: View) -> Finding | None:
    if view.vm.provisioning.lower() != "failed":
        return None
    return finding(
        "PROVISIONING_FAILED",
        text="The VM's last change failed; it is enrolled all the same and may only be backed up"
        " crash-consistently until that is repaired.",
        evidence=(view.vm.failure or "provisioning state Failed")[:400],
        remedies=(remedy.reapply(view.vm),),
    )


def power_changing(view: View) -> Finding | None:
    if (view.vm.power or "").lower() not in _CHANGING:
        return None
    return finding(
        "POWER_CHANGING",
        text=f"The VM is {view.vm.power}.",
        evidence=f"power state {view.vm.power}",
    )


def vm_off(view: View) -> Finding | None:
    if (view.vm.power or "").lower() not in _OFF or view.vm.hibernated:
        return None
    return finding(
        "VM_OFF",
        text="The VM is off. It is backed up all the same, crash-consistently; the backup extension"
        " comes with the first backup while it runs.",
        evidence=f"power state {view.vm.power}",
    )


def hibernated(view: View) -> Finding | None:
    if not view.vm.hibernated:
        return None
    return finding(
        "HIBERNATED",
        text="The VM is hibernated; Azure Backup does not take hibernated VMs.",
        evidence="hibernation state Hibernated",
        remedies=(remedy.wake(view.vm),),
        source="Hibernate and resume VMs",
        source_date="2025-10-24",
    )


def hibernation_enabled(view: View) -> Finding | None:
    if not view.vm.can_hibernate or view.vm.hibernated:
        return None
    return finding(
        "HIBERNATION_ENABLED",
        text="The VM may hibernate; backups of it fail while it does.",
        evidence="additionalCapabilities.hibernationEnabled true",
        remedies=(remedy.no_hibernation(view.vm),),
        source="Hibernate and resume VMs",
        source_date="2025-10-24",
    )


def confidential_vm(view: View) -> Finding | None:
    if view.vm.security is not SecurityType.CONFIDENTIAL:
        return None
    return finding(
        "CONFIDENTIAL_VM",
        text="Confidential VMs can only be backed up in a preview of few regions and sizes.",
        evidence=f"security type {view.vm.security.value}, size {view.vm.size}",
        remedies=(remedy.confidential(),),
        source_date="2026-01-28",
    )


def confidential_other_subscription(view: View) -> Finding | None:
    if view.vm.security is not SecurityType.CONFIDENTIAL or view.vault is None:
        return None
    if view.vault.id.subscription.lower() == view.vm.id.subscription.lower():
        return None
    return finding(
        "CONFIDENTIAL_OTHER_SUBSCRIPTION",
        text="A confidential VM cannot be backed up to a vault of another subscription.",
        evidence=f"vault {view.vault.name} in subscription {view.vault.id.subscription}",
        remedies=(remedy.same_subscription(),),
    )


def extended_zone(view: View) -> Finding | None:
    if not view.vm.extended_location or view.enhanced:
        return None
    return finding(
        "EXTENDED_ZONE",
        text="The VM runs in an extended zone, which only an Enhanced policy backs up.",
        evidence=f"extended location {view.vm.extended_location}",
        remedies=(remedy.enhanced_policy(),),
    )


def os_32_bit(view: View) -> Finding | None:
    if not is_32_bit(view.vm.os_name, view.vm.image):
        return None
    return finding(
        "OS_32_BIT",
        text="The operating system is a 32-bit one; Azure Backup needs 64 bits.",
        evidence=_system(view),
        remedies=(remedy.other_system(),),
    )


def system(view: View) -> Finding | None:
    """Say what is known of the system; never a refusal (row S12)."""
    answer, why = support(view.vm.os, view.vm.os_name, view.vm.image)
    match answer:
        case Support.LISTED:
            return None
        case Support.OLD:
            code, text = "OS_OLD", "This system is old; the backup is tried all the same"
        case Support.UNSUPPORTED:
            code, text = "OS_UNSUPPORTED", "Backups through the agent may fail on this system"
        case Support.UNTESTED:
            code, text = "OS_UNTESTED", "Whether this system is supported is untested; it is tried"
    return finding(
        code,
        text=f"{text}: {why}.",
        evidence=_system(view),
        source=SYSTEMS.source,
        source_date=SYSTEMS.date,
    )


def _system(view: View) -> str:
    image = view.vm.image
    words = "/".join(part for part in (image.publisher, image.offer, image.sku) if part)
    name = " ".join(part for part in (view.vm.os_name, view.vm.os_version) if part)
    return f"system {name or 'not reported'}, image {words or image.id or 'unknown'}"[:400]


def vm_size_small(view: View) -> Finding | None:
    if view.vm.size.lower() not in SYSTEMS.small_sizes:
        return None
    return finding(
        "VM_SIZE_SMALL",
        text=f"The VM is smaller than the guide recommends ({SYSTEMS.small_size_note}).",
        evidence=f"size {view.vm.size}",
    )


def marketplace_plan(view: View) -> Finding | None:
    if not view.vm.plan:
        return None
    return finding(
        "MARKETPLACE_PLAN",
        text="The image has a purchase plan: restoring as a new VM fails once the offer is gone.",
        evidence=f"plan {view.vm.plan}"[:200],
        remedies=(remedy.marketplace(),),
    )


def spot_vm(view: View) -> Finding | None:
    if (view.vm.priority or "").lower() not in {"spot", "low"}:
        return None
    return finding(
        "SPOT_VM",
        text="A Spot VM is backed up like any other and restored as a regular, dearer one.",
        evidence=f"priority {view.vm.priority}",
    )


# --- restore -------------------------------------------------------------------------------------


def restore_several_nics(view: View) -> Finding | None:
    if len(view.vm.nics) < 2:
        return None
    return finding(
        "RESTORE_SEVERAL_NICS",
        text="A restore through the portal brings back one network interface of several, and none"
        " of their fixed addresses or load balancers.",
        evidence=f"{len(view.vm.nics)} network interfaces",
        remedies=(remedy.restore_by_script(),),
    )


def restore_domain_controller(view: View) -> Finding | None:
    for name, value in view.vm.tags.items():
        word = re.sub(r"[\s_-]", "", value.lower())
        if word in _CONTROLLER and len(value) < 40:
            return finding(
                "RESTORE_DOMAIN_CONTROLLER",
                text="A domain controller of several must be restored by its own procedure, never"
                " by bringing the VM back as it was.",
                evidence=f"tag {name}={value}",
                remedies=(remedy.restore_domain_controller(),),
            )
    return None


def restore_encrypted(view: View) -> Finding | None:
    if not view.vm.disk_encryption:
        return None
    return finding(
        "RESTORE_ENCRYPTED",
        text="Single files cannot be restored from an encrypted VM; restore disks instead.",
        evidence="Azure Disk Encryption",
    )


def restore_disks_only(view: View) -> Finding | None:
    if not view.excluded_luns:
        return None
    return finding(
        "RESTORE_DISKS_ONLY",
        text="Disks are left out of this VM's backup: it cannot be restored as a VM, only its disks.",
        evidence=f"left out: LUN {', '.join(map(str, view.excluded_luns))}",
        remedies=(remedy.restore_by_script(),),
        source="Selective disk backup and restore",
    )


CHECKS = (
    provisioning,
    provisioning_failed,
    power_changing,
    vm_off,
    hibernated,
    hibernation_enabled,
    confidential_vm,
    confidential_other_subscription,
    extended_zone,
    os_32_bit,
    system,
    vm_size_small,
    marketplace_plan,
    spot_vm,
    restore_several_nics,
    restore_domain_controller,
    restore_encrypted,
    restore_disks_only,
)
