"""Sheets of the coverage page: room per vault, backup jobs, trend. One row each, read as a whole.

They are refreshed with every sweep and say when they were read (`shared/coverage.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import msgspec

QUEUED = "queued"  # the note that holds the `QueueSheet`
IN_FORCE = "rules-in-force"  # the note that says which rules run
QUEUES = ("enrollments", "enrollments-backlog", "sweeps", "notices")


class QueueSheet(msgspec.Struct, frozen=True, kw_only=True):
    """Messages per queue, hidden ones too. A note of the ledger: read anew every minute."""

    read_at: datetime
    depths: dict[str, int] = {}


class VaultRoom(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken in one vault."""

    vault: str
    region: str
    items: int
    today: int
    policies: dict[str, int] = {}  # name -> VMs


class VaultSheet(msgspec.Struct, frozen=True, kw_only=True, tag="vaults"):
    """Free room per vault."""

    read_at: datetime
    vaults: tuple[VaultRoom, ...] = ()


class SeenJob(msgspec.Struct, frozen=True, kw_only=True):
    """One backup job as Resource Graph shows it."""

    id: str
    vm: str  # name
    operation: str
    status: str
    started: datetime
    ended: datetime | None = None
    code: str = ""


class JobSheet(msgspec.Struct, frozen=True, kw_only=True, tag="jobs"):
    """Jobs of the last 24 h: all of them counted, the failed and the newest one by one."""

    read_at: datetime
    counts: tuple[tuple[str, str, str, int], ...] = ()  # hour (ISO), operation, status, jobs
    jobs: tuple[SeenJob, ...] = ()


class Day(msgspec.Struct, frozen=True, array_like=True):
    """One UTC day's latest numbers."""

    day: str
    protected: int
    of: int
    standings: dict[str, int] = {}


class TrendSheet(msgspec.Struct, frozen=True, kw_only=True, tag="trend"):
    """How coverage developed."""

    days: tuple[Day, ...] = ()


type Sheet = VaultSheet | JobSheet | TrendSheet

JOBS_LISTED = 1000
DAYS_KEPT = 400


def job_sheet(jobs: Iterable[SeenJob], now: datetime) -> JobSheet:
    """Count jobs; keep those one by one that a person may look for."""
    counts: Counter[tuple[str, str, str]] = Counter()
    listed: list[SeenJob] = []
    for job in jobs:
        counts[f"{job.started:%Y-%m-%dT%H}", job.operation, job.status] += 1
        listed.append(job)
    listed.sort(key=lambda job: (job.status != "Failed", -job.started.timestamp(), job.id))
    kept = sorted(listed[:JOBS_LISTED], key=lambda job: (job.started, job.id), reverse=True)
    return JobSheet(
        read_at=now,
        counts=tuple((*key, count) for key, count in sorted(counts.items())),
        jobs=tuple(kept),
    )


def with_today(trend: TrendSheet, today: Day) -> TrendSheet:
    """Take in the latest numbers of a day."""
    others = [day for day in trend.days if day.day != today.day]
    return TrendSheet(days=tuple(sorted([*others, today], key=lambda day: day.day))[-DAYS_KEPT:])
