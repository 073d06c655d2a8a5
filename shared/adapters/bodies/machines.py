"""Virtual machines: the body of a GET with its instance view (facts §1.2)."""

from __future__ import annotations

from shared.adapters.bodies.reading import (
    Body,
    arm_id,
    flag,
    mapping,
    moment,
    number,
    rows,
    same,
    tags,
    text,
    texts,
    words,
)
from shared.domain.ids import ArmId
from shared.domain.model import Agent, Disk, Image, OsType, SecurityType, Vm, region_of

_POWER, _FAILED = "powerstate/", "provisioningstate/failed"
_HIBERNATED = "hibernationstate/hibernated"
_DISK_ENCRYPTION = "microsoft.azure.security.azurediskencryption"


def parse_vm(body: Body, asked: ArmId) -> Vm:
    """Give the VM. ``asked`` is its id as we asked for it, should the body's be unreadable.

    Raises:
        ValueError: the body is no VM's at all; nothing may be concluded from it.

    """
    properties = mapping(body, "properties")
    if not properties:
        raise ValueError("a body without properties is no VM's")
    storage = mapping(properties, "storageProfile")
    view = mapping(properties, "instanceView")
    os_body = mapping(storage, "osDisk")
    os_profile = mapping(properties, "osProfile")
    extensions = _extensions(body, view)
    codes = [text(status, "code").lower() for status in rows(view, "statuses")]
    return Vm(
        id=arm_id(body, "id") or asked,
        uid=text(properties, "vmId"),
        location=region_of(text(body, "location")),
        tags=tags(body, "tags"),
        provisioning=text(properties, "provisioningState"),
        power=next((code[len(_POWER) :] for code in codes if code.startswith(_POWER)), None),
        agent=_agent(view),
        os=_os(text(os_body, "osType")),
        os_name=words(view, "osName"),
        os_version=words(view, "osVersion"),
        size=text(properties, "hardwareProfile", "vmSize"),
        image=_image(mapping(storage, "imageReference")),
        security=_security(text(properties, "securityProfile", "securityType")),
        os_disk=_disk(os_body),
        data_disks=tuple(_disk(disk) for disk in rows(storage, "dataDisks")),
        created=moment(properties, "timeCreated"),
        managed_by=words(body, "managedBy"),
        scale_set=words(properties, "virtualMachineScaleSet", "id"),
        priority=words(properties, "priority"),
        plan=_plan(mapping(body, "plan")),
        has_os_profile=bool(os_profile),
        provision_agent=_provision_agent(os_profile),
        allow_extensions=flag(os_profile, "allowExtensionOperations"),
        encryption_at_host=flag(properties, "securityProfile", "encryptionAtHost"),
        disk_encryption=_encrypted(os_body, view, extensions),
        hibernated=_HIBERNATED in codes,
        extended_location=words(body, "extendedLocation", "name"),
        nics=tuple(
            text(nic, "id") for nic in rows(properties, "networkProfile", "networkInterfaces")
        ),
        zones=texts(body, "zones"),
        extensions=extensions,
        failure=_failure(view),
        computer_name=words(view, "computerName") or words(os_profile, "computerName"),
        can_hibernate=flag(properties, "additionalCapabilities", "hibernationEnabled") or False,
        key_vault=_key_vault(os_body, view),
    )


def _agent(view: Body) -> Agent | None:
    """Give the agent; a deallocated VM has none (report §6.32)."""
    agent = mapping(view, "vmAgent")
    if not agent:
        return None
    statuses = rows(agent, "statuses")
    status = statuses[0] if statuses else {}
    return Agent(
        version=text(agent, "vmAgentVersion") or "Unknown",
        code=text(status, "code"),
        status=text(status, "displayStatus"),
        message=text(status, "message"),
    )


def _os(word: str) -> OsType | None:
    return next((one for one in OsType if same(word, one)), None)


def _security(word: str) -> SecurityType:
    return next((one for one in SecurityType if same(word, one)), SecurityType.STANDARD)


def _image(reference: Body) -> Image:
    return Image(
        publisher=text(reference, "publisher"),
        offer=text(reference, "offer"),
        sku=text(reference, "sku"),
        version=text(reference, "exactVersion") or text(reference, "version"),
        id=text(reference, "id")
        or text(reference, "sharedGalleryImageId")
        or text(reference, "communityGalleryImageId"),
    )


def _plan(plan: Body) -> str | None:
    """Give the marketplace plan as publisher/product/name."""
    return "/".join(text(plan, key) for key in ("publisher", "product", "name")) if plan else None


def _disk(disk: Body) -> Disk:
    managed = mapping(disk, "managedDisk")
    return Disk(
        name=text(disk, "name"),
        id=arm_id(managed, "id"),
        lun=number(disk, "lun"),
        size_gb=number(disk, "diskSizeGB"),
        storage_type=words(managed, "storageAccountType"),
        unmanaged=bool(mapping(disk, "vhd")) and not managed,
        ephemeral=same(text(disk, "diffDiskSettings", "option"), "Local"),
        write_accelerator=flag(disk, "writeAcceleratorEnabled") or False,
        create_option=text(disk, "createOption"),
        security_type=words(managed, "securityProfile", "securityEncryptionType"),
        encryption_set=words(managed, "diskEncryptionSet", "id"),
    )


def _extensions(body: Body, view: Body) -> tuple[str, ...]:
    """Give publisher.type of each extension, from the view and from the child resources."""
    reported = [text(extension, "type") for extension in rows(view, "extensions")]
    resources = [
        f"{text(extension, 'properties', 'publisher')}.{text(extension, 'properties', 'type')}"
        for extension in rows(body, "resources")
        if text(extension, "properties", "type")
    ]
    return tuple(dict.fromkeys(name for name in [*reported, *resources] if name))


def _encrypted(os_body: Body, view: Body, extensions: tuple[str, ...]) -> bool:
    """Tell whether Azure Disk Encryption shows: in settings, the disks' view or an extension."""
    if flag(os_body, "encryptionSettings", "enabled"):
        return True
    if any(name.lower().startswith(_DISK_ENCRYPTION) for name in extensions):
        return True
    return any(
        flag(setting, "enabled") or False
        for disk in rows(view, "disks")
        for setting in rows(disk, "encryptionSettings")
    )


def _key_vault(os_body: Body, view: Body) -> str | None:
    """Give the key vault of the first disk whose encryption settings name one."""
    seen = [setting for disk in rows(view, "disks") for setting in rows(disk, "encryptionSettings")]
    for setting in (mapping(os_body, "encryptionSettings"), *seen):
        if vault := words(setting, "diskEncryptionKey", "sourceVault", "id"):
            return vault
    return None


def _provision_agent(os_profile: Body) -> bool | None:
    windows = flag(os_profile, "windowsConfiguration", "provisionVMAgent")
    return (
        flag(os_profile, "linuxConfiguration", "provisionVMAgent") if windows is None else windows
    )


def _failure(view: Body) -> str | None:
    """Give what a failed provisioning says."""
    for status in rows(view, "statuses"):
        if text(status, "code").lower().startswith(_FAILED):
            return text(status, "message") or text(status, "displayStatus")
    return None
