"""Checks and shapes of the VM bodies that Compute takes and gives."""

import re
from collections.abc import Mapping
from typing import cast

from simulator.arm import Call, Json, Refusal
from simulator.world import Body, World

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
#: Members a client cannot set; a GET's body sent back is accepted and they are ignored.
READ_ONLY = ("vmId", "timeCreated", "provisioningState", "instanceView")


def invalid(target: str, message: str) -> Refusal:
    """Compute's 400 for a parameter (common Azure knowledge; not recorded)."""
    return Refusal(400, "InvalidParameter", message, target=target)


def checked_put(call: Call, before: Body | None) -> Body:
    """Return the writable body of a VM PUT, or refuse what Compute would refuse."""
    body = call.fields()
    name = call.params["vm"]
    if not NAME.fullmatch(name):
        raise invalid("vmName", f"The value '{name}' of parameter 'vmName' is invalid.")
    location = body.get("location")
    if not isinstance(location, str) or not location:
        raise Refusal(
            400,
            "LocationRequired",
            "The location property is required for this definition.",
            headers={"x-ms-failure-cause": "gateway"},
        )
    if before is not None and plain(location) != plain(str(before.get("location", ""))):
        raise Refusal(
            409,
            "InvalidResourceLocation",
            f"The resource '{name}' already exists in location '{before.get('location')}' in "
            f"resource group '{call.params['rg']}'. A resource with the same name cannot be "
            f"created in location '{location}'. Please select a new resource name.",
            headers={"x-ms-failure-cause": "gateway"},
        )
    properties = body.get("properties")
    if not isinstance(properties, dict):
        raise invalid("vm.properties", "Required parameter 'vm.properties' is missing (null).")
    for part in ("hardwareProfile", "storageProfile"):
        if not isinstance(properties.get(part), dict) and before is None:
            raise invalid(part, f"Required parameter '{part}' is missing (null).")
    _check_luns(properties)
    checked_tags(body.get("tags"))
    return body


def checked_tags(tags: Json) -> dict[str, str]:
    """Return tags as strings, or refuse them: an object of strings, at most 50."""
    if tags is None:
        return {}
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise Refusal(
            400,
            "InvalidRequestContent",
            "The request content was invalid and could not be deserialized: 'tags is an object "
            "of strings'.",
            headers={"x-ms-failure-cause": "gateway"},
        )
    if len(tags) > 50:
        raise Refusal(
            400,
            "TooManyTags",
            f"The number of tags '{len(tags)}' exceeds the maximum number of tags '50'.",
            headers={"x-ms-failure-cause": "gateway"},
        )
    return {str(name): str(value) for name, value in tags.items()}


def new_vm(world: World, call: Call, sent: Body) -> Body:
    """Return the body a new VM is stored with, disks named and ids given as Compute does."""
    vm_name = call.params["vm"]
    properties = dict(cast("Mapping[str, Json]", sent["properties"]))
    for member in READ_ONLY:
        properties.pop(member, None)
    properties["vmId"] = world.new_guid()
    properties["storageProfile"] = _storage(world, call, properties.get("storageProfile"))
    body: Body = {
        "name": vm_name,
        "id": call.resource_id,
        "type": "Microsoft.Compute/virtualMachines",
        "location": sent["location"],
        "tags": checked_tags(sent.get("tags")),
        "properties": properties,
    }
    for member in ("zones", "plan", "identity", "managedBy", "extendedLocation", "_sim"):
        if member in sent:
            body[member] = sent[member]
    return body


def merged(before: Body, sent: Body) -> Body:
    """Return a VM after a PUT or PATCH: sent members replace theirs, read-only ones stay."""
    after = dict(before)
    properties = dict(cast("Mapping[str, Json]", before["properties"]))
    changes = sent.get("properties")
    sent_properties = changes if isinstance(changes, dict) else {}
    properties |= {n: value for n, value in sent_properties.items() if n not in READ_ONLY}
    if "tags" in sent:
        after["tags"] = checked_tags(sent["tags"])
    for member in ("zones", "plan", "identity", "managedBy", "_sim"):
        if member in sent:
            after[member] = sent[member]
    after["properties"] = properties
    storage = properties.get("storageProfile")
    if isinstance(storage, dict):
        old = cast("Mapping[str, Json]", before["properties"]).get("storageProfile")
        properties["storageProfile"] = _completed(dict(storage), old)
    return after


def with_state(body: Body, state: str) -> Body:
    """Return a copy in another provisioning state."""
    properties = dict(cast("Mapping[str, Json]", body["properties"]))
    properties["provisioningState"] = state
    return {**body, "properties": properties}


def with_disk_ids(body: Body) -> Body:
    """Name the managed disks that exist once a write is done (recorded: not before)."""
    properties = dict(cast("Mapping[str, Json]", body["properties"]))
    storage = properties.get("storageProfile")
    disks = storage.get("dataDisks") if isinstance(storage, dict) else None
    if not isinstance(disks, list) or not isinstance(storage, dict):
        return body
    group = str(body["id"]).split("/providers/", maxsplit=1)[0]
    named = []
    for disk in disks:
        managed = disk.get("managedDisk")
        if isinstance(managed, dict) and "id" not in managed:
            where = f"{group}/providers/Microsoft.Compute/disks/{disk.get('name')}"
            disk = {**disk, "managedDisk": {**managed, "id": where}}  # noqa: PLW2901
        named.append(disk)
    properties["storageProfile"] = {**storage, "dataDisks": named}
    return {**body, "properties": properties}


def plain(location: str) -> str:
    """Return a region the way Azure compares it: lower case, no blanks."""
    return location.replace(" ", "").lower()


def _completed(storage: Body, old: Json) -> Body:
    """Fill in what Compute does when a disk is added: recorded, with the image kept."""
    kept = old if isinstance(old, dict) else {}
    image = storage.get("imageReference") or kept.get("imageReference")
    disks = storage.get("dataDisks")
    added = []
    for disk in disks if isinstance(disks, list) else []:
        managed = disk.get("managedDisk") or {}
        added.append(
            {
                "lun": disk.get("lun"),
                "name": disk.get("name"),
                "createOption": disk.get("createOption"),
                "caching": disk.get("caching") or "None",
                "managedDisk": {"storageAccountType": "Premium_LRS", **managed},
                "deleteOption": "Detach",
                "toBeDetached": False,
                **{k: v for k, v in disk.items() if k not in {"managedDisk", "caching"}},
            }
        )
    first = {"imageReference": image} if image else {}
    return {**first, **storage, "dataDisks": added}


def _storage(world: World, call: Call, profile: Json) -> Body:
    storage: Body = dict(profile) if isinstance(profile, dict) else {}
    os_disk = storage.get("osDisk")
    disk: Body = dict(os_disk) if isinstance(os_disk, dict) else {}
    disk.setdefault("osType", "Linux")
    disk.setdefault("createOption", "FromImage")
    disk.setdefault("name", f"{call.params['vm']}_OsDisk_1_{world.new_guid().replace('-', '')}")
    if "vhd" not in disk:
        managed = disk.get("managedDisk")
        kept: Body = dict(managed) if isinstance(managed, dict) else {}
        kept.setdefault("storageAccountType", "Premium_LRS")
        group = f"/subscriptions/{call.params['s']}/resourceGroups/{call.params['rg']}"
        kept.setdefault("id", f"{group}/providers/Microsoft.Compute/disks/{disk['name']}")
        disk["managedDisk"] = kept
    storage["osDisk"] = disk
    storage.setdefault("dataDisks", [])
    return storage


def _check_luns(properties: Mapping[str, Json]) -> None:
    storage = properties.get("storageProfile")
    disks = storage.get("dataDisks") if isinstance(storage, dict) else None
    luns = [disk.get("lun") for disk in disks or () if isinstance(disk, dict)]
    if len(luns) != len(set(luns)):
        raise invalid("dataDisk.lun", "A disk at the same LUN is already attached to the VM.")
