"""The switches of a rule, resolved: the rule's own, else the file's, else the built-in ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from shared.domain.rules.model import (
    Choice,
    Consents,
    FirstBackup,
    FirstBackupSwitch,
    SharedDisks,
    Switches,
    TrustedLaunch,
    WantedKind,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the VMs of one rule are treated; every field decided.

    ``minimum_age_minutes`` None means: 10 minutes for short-lived kinds of VM (scale-set
    instances, Spot, image builders), none for others.
    """

    first_backup: FirstBackupSwitch | FirstBackup = FirstBackupSwitch.NEVER
    network_check: bool = False
    pre_validate: bool = False
    grace_minutes: int = 60
    minimum_age_minutes: int | None = None
    deadline_hours: int = 6
    scale_set_instances: Choice = Choice.IGNORE
    spot_vms: Choice = Choice.ENROLL
    policy_kind: WantedKind = WantedKind.STANDARD
    trusted_launch: TrustedLaunch = TrustedLaunch.PREFER
    shared_disks: SharedDisks = SharedDisks.BLOCK
    resume_stopped: bool = False
    undelete: bool = False
    standard_to_enhanced: bool = False
    tell: frozenset[str] = frozenset(
        {
            "TAG_VALUE_UNKNOWN",
            "POLICY_WEAKER",
            "POLICY_ONE_WAY",
            "EXCLUSION_ENDING",
            "EXCLUSION_EXPIRED",
        }
    )

    @property
    def first_backup_after(self) -> int | None:
        """Hours that the schedule must be away for us to start a first backup; None: never."""
        match self.first_backup:
            case FirstBackup(further_than_hours=hours):
                return hours
            case FirstBackupSwitch.ALWAYS:
                return 0
            case FirstBackupSwitch.NEVER:
                return None
            case unknown:
                assert_never(unknown)


_BUILT_IN = Options()


def resolved(*layers: Switches) -> Options:
    """Merge switches, the most specific first."""
    chosen: dict[str, object] = {}
    for name in Switches.__struct_fields__:
        if name == "consents":
            continue
        value = next((v for layer in layers if (v := getattr(layer, name)) is not None), None)
        if value is not None:
            chosen[name] = frozenset(value) if name == "tell" else value
    consents = [layer.consents for layer in layers if layer.consents is not None]
    for name in Consents.__struct_fields__:
        value = next((v for one in consents if (v := getattr(one, name)) is not None), None)
        if value is not None:
            chosen[name] = value
    return Options(**chosen) if chosen else _BUILT_IN  # type: ignore[arg-type]
