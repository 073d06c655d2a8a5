"""Protected items, as the backup service shows them and as Resource Graph does (facts §1.7, §4.5a).

Only `protectionState`, the policy and the soft-delete flag tell the truth: the words for health
stay green for items that are stopped or deleted (report §6.28).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from shared.adapters.bodies.reading import (
    Body,
    arm_id,
    flag,
    mapping,
    moment,
    number,
    numbers,
    rows,
    same,
    text,
    texts,
)
from shared.domain.ids import VIRTUAL_MACHINES, ArmId
from shared.domain.model import ProtectedItem, ProtectionState, Trouble

_VM = "AzureIaasVM"
_CONFIGURED = "ProtectionConfigured"  # Resource Graph's one word for IRPending and Protected
_UPDATING = "UpdatingProtection"
_NO_TROUBLE = "iaasvmhealth"  # titles of green and yellow begin so (report §2.2)
_REMAINING = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})(?:\.\d+)?")


def parse_item(body: Body, now: datetime) -> ProtectedItem | None:
    """Give the item; None if it is no VM's or its id cannot be read.

    ``now`` is when the body was read: what is left until a deleted item vanishes counts from it.
    """
    properties = mapping(body, "properties")
    item = arm_id(body, "id")
    if item is None or not same(text(properties, "backupManagementType"), _VM):
        return None
    recovery_point = moment(properties, "lastRecoveryPoint")
    policy = arm_id(properties, "policyId") or arm_id(properties, "policyInfo", "policyId")
    deleted = soft_deleted(properties)
    return ProtectedItem(
        id=item,
        source=_source(properties),
        state=ProtectionState.SOFT_DELETED
        if deleted
        else _state(properties, pointless=recovery_point is None),
        policy=policy,
        last_backup_status=text(properties, "lastBackupStatus"),
        last_backup=moment(properties, "lastBackupTime"),
        last_recovery_point=recovery_point,
        deferred_delete=_vanishes(properties, now) if deleted else None,
        health=text(properties, "healthStatus"),
        trouble=_trouble(properties),
        policy_name=text(properties, "policyName") or (policy.name if policy is not None else ""),
        excluded_luns=_excluded(mapping(properties, "extendedProperties")),
    )


def _source(properties: Body) -> ArmId | None:
    """Give the VM; None for a classic one."""
    for path in (
        ("sourceResourceId",),
        ("virtualMachineId",),
        ("dataSourceInfo", "resourceID"),
        ("dataSourceInfo", "resourceUri"),
    ):
        found = arm_id(properties, *path)
        if found is not None and found.type == VIRTUAL_MACHINES:
            return found
    return None


def soft_deleted(properties: Body) -> bool:
    """Tell whether these properties, or columns of Resource Graph, are a soft-deleted item's."""
    return bool(flag(properties, "isScheduledForDeferredDelete")) or same(
        text(properties, "currentProtectionState"), ProtectionState.SOFT_DELETED
    )


def _state(properties: Body, *, pointless: bool) -> ProtectionState:
    """Give the state from the REST field, or from Resource Graph's where that is all there is."""
    for word in (text(properties, "protectionState"), text(properties, "currentProtectionState")):
        if known := next((one for one in ProtectionState if same(word, one)), None):
            return known
        if same(word, _CONFIGURED) or same(word, _UPDATING):
            return ProtectionState.PENDING if pointless else ProtectionState.PROTECTED
    return ProtectionState.INVALID


def _vanishes(properties: Body, now: datetime) -> datetime | None:
    """Give when a soft-deleted item is purged.

    `deferredDeleteTimeInUTC` is the time of the delete call; what remains is computed when the
    body is read and not always of 14 days (report §6.25).
    """
    if found := _REMAINING.fullmatch(text(properties, "deferredDeleteTimeRemaining")):
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return now + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    deleted = moment(properties, "deferredDeleteTimeInUTC")
    kept = number(properties, "softDeleteRetentionPeriod") or number(
        properties, "softDeleteRetentionPeriodInDays"
    )
    return deleted + timedelta(days=kept) if deleted is not None and kept else None


def _trouble(properties: Body) -> Trouble | None:
    """Give the first error of the item's health, under its name or, without one, its number."""
    for detail in rows(properties, "healthDetails"):
        code = text(detail, "title") or str(number(detail, "code") or "")
        if code and not code.lower().startswith(_NO_TROUBLE):
            return Trouble(
                code=code,
                message=text(detail, "message"),
                recommendations=texts(detail, "recommendations"),
            )
    return None


def _excluded(extended: Body) -> tuple[int, ...]:
    """Give the excluded LUNs; a list of included ones says nothing about the others."""
    disks = mapping(extended, "diskExclusionProperties")
    return () if flag(disks, "isInclusionList") else numbers(disks, "diskLunList")
