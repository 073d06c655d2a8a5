"""What should be decided about every recorded VM, worked out from the raw bodies alone.

Written before the product was held against it, from the contract facts; imports nothing of the
product. The world around each VM is a vault of its region with a Standard and an Enhanced policy of
the default tier, and nothing protected yet.

    python -m tests.conformance.expected_verdicts FOLDER

prints one line per recorded GET: recording, VM, decision, finding codes.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VM = re.compile(r"/providers/microsoft\.compute/virtualmachines/[^/?]+\?", re.IGNORECASE)
OLD_WINDOWS = ("2008", "2012", "windows 7", "windows 8", "win7", "win8")
LISTED = ("ubuntu", "debian", "rhel", "red hat", "redhat", "centos", "suse", "sles", "oracle linux",
          "alma", "rocky", "mariner", "azure linux", "azurelinux", "cbl", "openlogic")  # fmt: skip
SMALL = {"standard_b1ls", "standard_b1s", "standard_b1ms", "standard_a0", "basic_a0", "standard_a1",
         "basic_a1", "standard_a1_v2", "standard_d1", "standard_d1_v2", "standard_ds1",
         "standard_ds1_v2", "standard_f1", "standard_f1s"}  # fmt: skip


def recorded(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every answered GET of one VM with its instance view, in file order."""
    for path in sorted(folder.rglob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            body = row.get("response_body")
            asked = str(row.get("path", ""))
            if row.get("method") != "GET" or row.get("status") != 200 or not VM.search(asked):
                continue
            if "instanceview" in asked.lower() and isinstance(body, dict) and "properties" in body:
                yield f"{path.relative_to(folder)}:{number}", body


def expected(body: dict[str, Any]) -> tuple[str, list[str]]:
    """Work out decision and codes of one raw body."""
    properties = body["properties"]
    storage = properties.get("storageProfile") or {}
    os_disk, data = storage.get("osDisk") or {}, storage.get("dataDisks") or []
    view = properties.get("instanceView") or {}
    if why := not_ours(body, properties, storage):
        return "Ignore", [why]
    if str(properties.get("provisioningState")).lower() == "deleting":
        return "Wait", ["DELETING"]
    codes = {"DEFAULT_TIER_USED"}
    blocked = disks(codes, os_disk, data)
    blocked |= machine(codes, properties, view)
    system(codes, properties, storage, view)
    agent(codes, properties, storage, view)
    encryption(codes, body, os_disk)
    waiting = bool(codes & {"PROVISIONING", "POWER_CHANGING"})
    return "Block" if blocked else "Wait" if waiting else "Enroll", sorted(codes)


def not_ours(body: dict[str, Any], properties: dict[str, Any], storage: dict[str, Any]) -> str:
    group = str(body["id"]).split("/")[4].lower()
    publisher = str((storage.get("imageReference") or {}).get("publisher", "")).lower()
    if body.get("managedBy"):
        return "MANAGED"
    if re.fullmatch(r"mc_.+_.+_[a-z0-9]+|databricks-rg-.+|aro-[a-z0-9]{6,}", group):
        return "MANAGED"
    if publisher in {"azureopenshift", "azuredatabricks", "microsoft-aks"}:
        return "MANAGED"
    return "SCALE_SET" if properties.get("virtualMachineScaleSet") else ""


def disks(codes: set[str], os_disk: dict[str, Any], data: list[dict[str, Any]]) -> bool:
    before = len(codes)
    both = [os_disk, *data]
    if len(data) > 32:
        codes.add("DATA_DISK_COUNT")
    if any(disk.get("vhd") for disk in both):
        codes.add("UNMANAGED_DISK")
    ephemeral = (os_disk.get("diffDiskSettings") or {}).get("option") == "Local"
    if ephemeral:
        codes.add("EPHEMERAL_OS_DISK")
    if any((disk.get("diskSizeGB") or 0) > 65_536 for disk in both):
        codes.add("DISK_SIZE")
    if any(((d.get("managedDisk") or {}).get("securityProfile") or {}).get("securityEncryptionType")
           for d in data):  # fmt: skip
        codes.add("DATA_DISK_SECURITY_TYPE")
    blocked = len(codes) > before
    sized = [disk for disk in both if not disk.get("vhd")]
    if ephemeral:
        sized = [disk for disk in sized if disk is not os_disk]
    if any(disk.get("diskSizeGB") is None for disk in sized):
        codes.add("DISK_SIZE_UNKNOWN")
    if any(disk.get("writeAcceleratorEnabled") for disk in both):
        codes.add("WRITE_ACCELERATOR")
    return blocked


def encryption(codes: set[str], body: dict[str, Any], os_disk: dict[str, Any]) -> None:
    """Azure Disk Encryption shows in the OS disk's settings, or as an extension (facts §3.2)."""
    enabled = (os_disk.get("encryptionSettings") or {}).get("enabled") is True
    view = body["properties"].get("instanceView") or {}
    names = [str(one.get("type", "")) for one in view.get("extensions") or []]
    names += [str((o.get("properties") or {}).get("type", "")) for o in body.get("resources") or []]
    if enabled or any("azurediskencryption" in name.lower() for name in names):
        codes |= {"DISK_ENCRYPTION", "RESTORE_ENCRYPTED"}


def machine(codes: set[str], properties: dict[str, Any], view: dict[str, Any]) -> bool:
    """Add what the machine itself shows; say whether any of it blocks."""
    states = [str(one.get("code", "")).lower() for one in view.get("statuses") or []]
    power = next((one.split("/", 1)[1] for one in states if one.startswith("powerstate/")), None)
    provisioning = str(properties.get("provisioningState", "")).lower()
    blocked = False
    if provisioning in {"creating", "updating", "migrating"}:
        codes.add("PROVISIONING")
    if provisioning == "failed":
        codes.add("PROVISIONING_FAILED")
    if power in {"starting", "stopping", "deallocating"}:
        codes.add("POWER_CHANGING")
    hibernated = "hibernationstate/hibernated" in states
    if hibernated:
        codes.add("HIBERNATED")
        blocked = True
    elif power in {"stopped", "deallocated"}:
        codes.add("VM_OFF")
    if (properties.get("additionalCapabilities") or {}).get(
        "hibernationEnabled"
    ) and not hibernated:
        codes.add("HIBERNATION_ENABLED")
    security = (properties.get("securityProfile") or {}).get("securityType", "")
    if str(security).lower() == "confidentialvm":
        codes.add("CONFIDENTIAL_VM")
        blocked = True
    if str(properties.get("priority", "")).lower() in {"spot", "low"}:
        codes.add("SPOT_VM")
    if str((properties.get("hardwareProfile") or {}).get("vmSize", "")).lower() in SMALL:
        codes.add("VM_SIZE_SMALL")
    if len((properties.get("networkProfile") or {}).get("networkInterfaces") or []) > 1:
        codes.add("RESTORE_SEVERAL_NICS")
    return blocked


def system(
    codes: set[str], properties: dict[str, Any], storage: dict[str, Any], view: dict[str, Any]
) -> None:
    del properties
    image = storage.get("imageReference") or {}
    words = " ".join(str(image.get(part, "")) for part in ("publisher", "offer", "sku")).lower()
    name = str(view.get("osName") or "").lower()
    for said in (name, words):
        if not said.strip():
            continue
        if any(word in said for word in ("coreos", "flatcar", "kinvolk")):
            codes.add("OS_UNSUPPORTED")
            return
        windows = "windows" in said
        if windows and any(word in said for word in OLD_WINDOWS):
            codes.add("OS_OLD")
            return
        if windows and re.search(r"20(16|19|22|25)|windows.?1[01]|win1[01]", said):
            return
        if any(word in said for word in LISTED):
            return
    codes.add("OS_UNTESTED")


def agent(
    codes: set[str], properties: dict[str, Any], storage: dict[str, Any], view: dict[str, Any]
) -> None:
    states = [str(one.get("code", "")).lower() for one in view.get("statuses") or []]
    power = next((one.split("/", 1)[1] for one in states if one.startswith("powerstate/")), None)
    found = view.get("vmAgent") or {}
    status = str(((found.get("statuses") or [{}])[0]).get("code", "")).lower()
    version = str(found.get("vmAgentVersion", ""))
    ready = status == "provisioningstate/succeeded" and version != "Unknown"
    if power in {None, "running"} and not ready:
        codes.add("AGENT_NOT_READY")
    profile = properties.get("osProfile") or {}
    settings = [profile.get("windowsConfiguration") or {}, profile.get("linuxConfiguration") or {}]
    if profile.get("allowExtensionOperations") is False or any(
        one.get("provisionVMAgent") is False for one in settings
    ):
        codes.add("AGENT_DISABLED")
    image = storage.get("imageReference") or {}
    if not profile and not image.get("publisher") and not image.get("id") and not ready:
        codes.add("AGENT_MIGRATED")


def table(folder: Path) -> str:
    """Print every expectation."""
    lines = []
    for where, body in recorded(folder):
        decision, codes = expected(body)
        name = str(body.get("name") or body["id"].rsplit("/", 1)[-1])
        lines.append(f"{where}\t{name}\t{decision}\t{' '.join(codes)}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    pass
