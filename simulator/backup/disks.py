"""Which disks of a VM a backup takes: the OS disk always, data disks by selection (facts §3.7)."""

from dataclasses import dataclass

from simulator.backup.formats import Fields, fields_of, text_of

OS_LUN = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    lun: int
    name: str


def chosen_disks(vm: Fields, selection: Fields | None) -> tuple[list[Disk], list[Disk]]:
    """Split a VM's disks into backed up and left out."""
    storage = fields_of(fields_of(vm.get("properties")).get("storageProfile"))
    os_name = text_of(fields_of(storage.get("osDisk")).get("name")) or "osdisk"
    included, excluded = [Disk(lun=OS_LUN, name=os_name)], list[Disk]()
    listed = fields_of(selection).get("diskLunList")
    luns = set(listed) if isinstance(listed, list) else set()
    wanted = fields_of(selection).get("isInclusionList") is True
    data = storage.get("dataDisks")
    for entry in data if isinstance(data, list) else []:
        fields = fields_of(entry)
        lun = fields.get("lun")
        disk = Disk(lun=lun if isinstance(lun, int) else 0, name=text_of(fields.get("name")))
        taken = selection is None or (disk.lun in luns) == wanted
        (included if taken else excluded).append(disk)
    return included, excluded
