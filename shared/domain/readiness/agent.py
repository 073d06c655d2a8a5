"""Readiness of the VM agent (row S10). Never a refusal: recorded enables succeeded without one."""

from __future__ import annotations

import re

from shared.domain.catalogue import finding
from shared.domain.findings import Finding
from shared.domain.readiness.systems import SYSTEMS
from shared.domain.readiness.view import View
from shared.domain.remedies import agent as remedy


def agent_not_ready(view: View) -> Finding | None:
    """Remark on a running VM's agent; Azure may or may not mind."""
    vm = view.vm
    if (vm.power or "running").lower() != "running" or (vm.agent and vm.agent.ready):
        return None
    if vm.agent is None:
        evidence = "no agent status in the instance view"
    else:
        evidence = f"{vm.agent.code}, version {vm.agent.version}: {vm.agent.message}"[:400]
    return finding(
        "AGENT_NOT_READY",
        text="The VM agent is not ready. New VMs take some minutes; enabling is tried anyway.",
        evidence=evidence,
        remedies=remedy.repair(vm),
    )


def agent_disabled(view: View) -> Finding | None:
    vm = view.vm
    if vm.provision_agent is not False and vm.allow_extensions is not False:
        return None
    return finding(
        "AGENT_DISABLED",
        text="Agent or extensions are switched off: only crash-consistent backups are possible.",
        evidence=f"provisionVMAgent {vm.provision_agent}, allowExtensionOperations"
        f" {vm.allow_extensions}",
        remedies=remedy.allow_extensions(vm),
    )


def agent_old(view: View) -> Finding | None:
    vm = view.vm
    least = SYSTEMS.agent_minimum.get(vm.os.value) if vm.os else None
    if least is None or vm.agent is None or vm.agent.version == "Unknown":
        return None
    if _version(vm.agent.version) >= _version(least):
        return None
    return finding(
        "AGENT_OLD",
        text=f"The VM agent is older than {least}, the oldest that the backup extension takes.",
        evidence=f"agent version {vm.agent.version}",
        remedies=remedy.install(vm),
    )


def agent_migrated(view: View) -> Finding | None:
    """Recognize a VM that came from elsewhere: no OS profile, no image, attached OS disk (S10)."""
    vm = view.vm
    if vm.has_os_profile or vm.image.publisher or vm.image.id:
        return None
    if vm.agent is not None and vm.agent.ready:
        return None
    return finding(
        "AGENT_MIGRATED",
        text="The VM seems to have been migrated: such VMs often lack the agent, or a way out.",
        evidence=f"no OS profile, no image, OS disk {vm.os_disk.create_option or 'attached'}",
        remedies=(*remedy.install(vm), remedy.check_network()),
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,9}", text[:60])[:6])


CHECKS = (agent_not_ready, agent_disabled, agent_old, agent_migrated)
