"""Exports: every VM that passes the filters, with the date, for auditors and spreadsheets.

Names and tags are other people's text: in CSV a cell that a spreadsheet would take for a formula
begins with an apostrophe (DESIGN §3.18).
"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shared.domain.coverage import Standing
from shared.domain.quoting import printable
from shared.web.auth import Caller
from shared.web.desk import Desk
from shared.web.filters import Filters
from shared.web.http import Answer, Request
from shared.web.reading import Found, every
from shared.web.view import Counted, considered, overview

COLUMNS = (
    "subscription", "group", "name", "standing", "region", "vault", "policy", "rule",
    "causes", "why", "since", "until", "last_recovery_point", "counted_at",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "\uff1d", "\uff0b", "\uff0d", "\uff20")


async def as_csv(desk: Desk, request: Request, _caller: Caller) -> Answer:
    """Give the list as CSV (UTF-8 with its mark, which Excel needs)."""
    filters = Filters.of(request.params)
    counted = await _counted(desk)
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    times = {one.subscription: one.summary.counted_at for one in counted}
    async for found in every(desk.ports, counted, filters):
        line = _line(found, times[found.subscription])
        writer.writerow([safe(str(line[name])) for name in COLUMNS])
    now = desk.ports.clock.now()
    return _download(("\ufeff" + text.getvalue()).encode(), "text/csv; charset=utf-8", now, "csv")


async def as_json(desk: Desk, request: Request, _caller: Caller) -> Answer:
    """Give the same list as JSON, with the numbers it adds up to."""
    filters = Filters.of(request.params)
    now = desk.ports.clock.now()
    counted = await _counted(desk)
    times = {one.subscription: one.summary.counted_at for one in counted}
    vms = [
        _line(found, times[found.subscription]) | {"tags": found.entry.tags}
        async for found in every(desk.ports, counted, filters)
    ]
    totals: dict[str, int] = {}
    for line in vms:
        totals[line["standing"]] = totals.get(line["standing"], 0) + 1
    cover = overview(counted, Filters(subscription=filters.subscription))
    body = {
        "at": now,
        "filters": filters.chosen(),
        "protected": cover.protected,
        "of": cover.of,
        "without_row": cover.missing,
        "doubts": {one.subscription: one.why for one in cover.doubts},
        "standings": totals,
        "vms": vms,
    }
    return _download(msgspec.json.encode(body), "application/json", now, "json")


def safe(cell: str) -> str:
    """Make a cell that no spreadsheet runs."""
    text = printable(cell.replace("\t", " ").replace("\r", " ").replace("\n", " "))
    return f"'{text}" if cell.lstrip().startswith(_FORMULA) else text


async def _counted(desk: Desk) -> tuple[Counted, ...]:
    ports = desk.ports
    return considered(
        await ports.coverage.summaries(),
        await ports.ledger.sweeps(),
        scope=ports.settings.subscriptions,
        now=ports.clock.now(),
        every=timedelta(seconds=ports.settings.sweep_seconds),
    )


def _line(found: Found, counted_at: datetime) -> dict[str, Any]:
    entry = found.entry
    return {
        "subscription": found.subscription,
        "group": entry.group,
        "name": entry.name,
        "standing": found.standing.value,
        "region": entry.region,
        "vault": entry.vault,
        "policy": entry.policy,
        "rule": entry.rule,
        "causes": " ".join(entry.causes),
        "why": "nobody has looked lately" if _hidden(found) else entry.why,
        "since": _time(entry.since),
        "until": _time(entry.until),
        "last_recovery_point": _time(entry.point),
        "counted_at": counted_at.isoformat(),
    }


def _hidden(found: Found) -> bool:
    return found.standing is Standing.UNKNOWN and found.entry.standing is not Standing.UNKNOWN


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else ""


def _download(body: bytes, kind: str, now: datetime, suffix: str) -> Answer:
    name = f"coverage-{now:%Y%m%dT%H%MZ}.{suffix}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Answer(status=200, body=body, kind=kind, headers=headers)
