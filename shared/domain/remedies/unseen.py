"""Remedies about what only the guest's owner can see."""

from __future__ import annotations

from shared.domain.findings import Remedy


def restore_once() -> Remedy:
    return Remedy(text="Restore a copy once and look whether the data is usable.")


def in_guest() -> Remedy:
    return Remedy(text="Back this workload up inside the guest as well.")


def restore_disks() -> Remedy:
    return Remedy(
        text="Restore the disks and create the VM with its network settings by script.",
        link="https://learn.microsoft.com/azure/backup/backup-azure-arm-restore-vms"
        "#restore-vms-with-special-configurations",
    )


def replace_disks() -> Remedy:
    return Remedy(
        text="Choose the restore option that replaces existing disks.",
        link="https://learn.microsoft.com/azure/backup/backup-azure-arm-restore-vms"
        "#replace-existing-disks",
    )


def file_restore_list() -> Remedy:
    return Remedy(
        text="See the list of systems that allow file restore.",
        link="https://learn.microsoft.com/azure/backup/backup-support-matrix-iaas"
        "#support-for-file-level-restore",
    )


def consistency_scripts() -> Remedy:
    return Remedy(
        text="Install pre- and post-snapshot scripts for the application.",
        link="https://learn.microsoft.com/azure/backup/backup-azure-linux-app-consistent",
    )


def move_schedule() -> Remedy:
    return Remedy(
        text="If the wall clock matters, change the schedule by hand at both changes, or choose UTC"
        " and live with the shift."
    )
