"""Policies and vaults as a team declares them (rows S2, S6, F26).

A policy here is a template for every vault of a set; `policycode` turns it into ARM's body,
compares it with what is there and refuses to shorten retention.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of the declared things."""


Clock = Annotated[
    str,
    Meta(
        pattern=r"^([01][0-9]|2[0-3]):(00|30)$",
        description="Time of day, on the half hour, in the policy's time zone.",
    ),
]


class Redundancy(StrEnum):
    LOCAL = "LocallyRedundant"
    ZONE = "ZoneRedundant"
    GEO = "GeoRedundant"


class Day(StrEnum):
    SUNDAY = "Sunday"
    MONDAY = "Monday"
    TUESDAY = "Tuesday"
    WEDNESDAY = "Wednesday"
    THURSDAY = "Thursday"
    FRIDAY = "Friday"
    SATURDAY = "Saturday"


class Week(StrEnum):
    FIRST = "First"
    SECOND = "Second"
    THIRD = "Third"
    FOURTH = "Fourth"
    LAST = "Last"


class Month(StrEnum):
    JANUARY = "January"
    FEBRUARY = "February"
    MARCH = "March"
    APRIL = "April"
    MAY = "May"
    JUNE = "June"
    JULY = "July"
    AUGUST = "August"
    SEPTEMBER = "September"
    OCTOBER = "October"
    NOVEMBER = "November"
    DECEMBER = "December"


class Kind(StrEnum):
    STANDARD = "standard"
    ENHANCED = "enhanced"


class Hourly(Struct, frozen=True, kw_only=True):
    """Several backups a day (Enhanced only)."""

    every_hours: int
    start: Clock
    window_hours: Annotated[int, Meta(ge=4, le=24)]


class Weekly(Struct, frozen=True, kw_only=True):
    at: Clock
    days: Annotated[tuple[Day, ...], Meta(min_length=1)]


class Timetable(Struct, frozen=True, kw_only=True):
    """When backups start: exactly one of the three."""

    daily: Annotated[Clock | None, Meta(description="Once a day at this time.")] = None
    weekly: Weekly | None = None
    hourly: Hourly | None = None


class KeepWeekly(Struct, frozen=True, kw_only=True):
    weeks: int
    days: Annotated[tuple[Day, ...], Meta(min_length=1)]


class KeepMonthly(Struct, frozen=True, kw_only=True):
    """The point of a weekday (`weeks` and `days`) or of a day of the month (0: the last)."""

    months: int
    weeks: tuple[Week, ...] = ()
    days: tuple[Day, ...] = ()
    dates: tuple[int, ...] = ()


class KeepYearly(Struct, frozen=True, kw_only=True):
    """Like monthly, in the months of `in_months`: four of them keep the ends of quarters."""

    years: int
    in_months: Annotated[tuple[Month, ...], Meta(min_length=1)]
    weeks: tuple[Week, ...] = ()
    days: tuple[Day, ...] = ()
    dates: tuple[int, ...] = ()


class Keep(Struct, frozen=True, kw_only=True):
    """How long points are kept, per tier."""

    days: Annotated[int | None, Meta(description="Daily points, in days.")] = None
    weekly: KeepWeekly | None = None
    monthly: KeepMonthly | None = None
    yearly: KeepYearly | None = None


class DeclaredPolicy(Struct, frozen=True, kw_only=True):
    """One policy that shall exist in every vault of its sets."""

    name: str
    kind: Kind
    schedule: Timetable
    keep: Keep
    vaults: Annotated[
        tuple[str, ...], Meta(description="Vault sets; none: every set of the file.")
    ] = ()
    time_zone: Annotated[str, Meta(description="Windows time-zone id.")] = "UTC"
    instant_restore_days: int | None = None
    crash_consistent_only: bool = False


class Immutability(StrEnum):
    DISABLED = "Disabled"
    UNLOCKED = "Unlocked"  # Locked cannot be undone and is a person's step


class Hardening(Struct, frozen=True, kw_only=True):
    """How a vault made by us is set up."""

    redundancy: Redundancy = Redundancy.GEO
    cross_region_restore: bool = False
    soft_delete_days: Annotated[int, Meta(ge=14, le=180)] = 14
    immutability: Immutability = Immutability.UNLOCKED
    public_access: bool = False
    tags: dict[str, str] = {}


class DeclaredVault(Struct, frozen=True, kw_only=True):
    """One vault that shall exist."""

    subscription: str
    group: str
    name: str
    region: str
    hardening: Hardening = Hardening()


class NewVaults(Struct, frozen=True, kw_only=True):
    """Where a vault for a region without one is put; `create` lets the service make it."""

    create: bool = False
    subscription: Annotated[str, Meta(description="Empty: the VM's own.")] = ""
    group: str = "rg-backup-{region}"
    name: str = "rsv-backup-{region}"
    hardening: Hardening = Hardening()
