"""The overview, its lists, and the jobs of the last day."""

from __future__ import annotations

from dataclasses import dataclass

from shared.domain.catalogue import CATALOGUE
from shared.domain.coverage import MEANING, Standing
from shared.domain.limits import LIMITS
from shared.domain.sheets import JobSheet, SeenJob
from shared.web import auth, charts
from shared.web.auth import Caller, Role
from shared.web.desk import Desk
from shared.web.filters import Filters
from shared.web.http import Answer, Request, see
from shared.web.reading import seen
from shared.web.rendering import page
from shared.web.view import NOT_SEEN_YET

HOME = "/api/coverage"
ANSWERS = {  # what helps where a reason and no finding stands in the way
    "observing": "nothing is in its way: MODE=enforce enrolls it",
    "created-before-enroll-since": "nothing is in its way: ops backfill enrolls it",
    "vault-full-today": "goes on by itself tomorrow; another vault would be faster",
    "vaults-full": "another vault in the region",
    "ceiling": "goes on by itself; CHANGES_PER_HOUR and CHANGES_PER_DAY bound it",
    "parked": "the VM's notice or ops replay list says why",
    NOT_SEEN_YET: "is looked at next",
}
ELSE = "see the VM's own page"
TOP = 10  # lines of a table before "and N more"
JOBS_SHOWN = 200


async def overview(desk: Desk, request: Request, caller: Caller) -> Answer:
    """What is not protected right now, and why."""
    ports = desk.ports
    filters = Filters.of(request.params)
    view = await seen(ports, filters)
    now = ports.clock.now()
    return page(
        "overview.html",
        view=view,
        cover=view.overview,
        filters=filters,
        caller=caller,
        operator=caller.may(Role.OPERATOR),
        now=now,
        settings=ports.settings,
        meaning=MEANING,
        standings=tuple(Standing),
        answers={one.key: _answer(one.key) for one in view.overview.causes},
        bars=charts.stacked(view.overview.standings),
        trend=charts.trend(view.trend.days),
        hours=charts.hours(view.jobs, now) if view.jobs is not None else (),
        job_counts=_by_status(view.jobs),
        limit=LIMITS.number,
        top=TOP if "all" not in request.params else 10_000,
        late=view.health.late(now),
    )


def _answer(cause: str) -> str:
    entry = CATALOGUE.get(cause)
    return entry.answer if entry is not None else ANSWERS.get(cause, ELSE)


def _by_status(sheet: JobSheet | None) -> dict[str, int]:
    found = {"done": 0, "failed": 0, "other": 0}
    for _, _, status, count in sheet.counts if sheet is not None else ():
        found[charts.job_class(status)] += count
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilters:
    """What of the jobs is looked at; times are UTC hours, both included."""

    status: str = ""
    operation: str = ""
    vm: str = ""
    start: str = ""
    end: str = ""

    def keeps(self, job: SeenJob) -> bool:
        hour = f"{job.started:%Y-%m-%dT%H:%M}"
        return (
            self.status in {"", job.status}
            and self.operation in {"", job.operation}
            and self.vm.lower() in job.vm.lower()
            and (not self.start or hour >= self.start)
            and (not self.end or hour <= self.end)
        )


async def jobs(desk: Desk, request: Request, caller: Caller) -> Answer:
    """Backup jobs of the last day, filtered by status, operation and time (row S7)."""
    sheets = await desk.ports.coverage.sheets()
    sheet = next((one for one in sheets if isinstance(one, JobSheet)), None)
    params = request.params
    names = ("status", "operation", "vm", "start", "end")
    filters = JobFilters(**{name: params.get(name, "").strip()[:100] for name in names})
    listed = sheet.jobs if sheet is not None else ()
    passing = tuple(job for job in listed if filters.keeps(job))
    table: dict[str, dict[str, int]] = {}
    for _, operation, status, count in sheet.counts if sheet is not None else ():
        line = table.setdefault(operation, {})
        line[status] = line.get(status, 0) + count
    return page(
        "jobs.html",
        caller=caller,
        sheet=sheet,
        now=desk.ports.clock.now(),
        settings=desk.ports.settings,
        filters=filters,
        jobs=passing[:JOBS_SHOWN],
        passing=len(passing),
        table=table,
        statuses=sorted({status for line in table.values() for status in line}),
        operations=sorted(table),
    )


async def sign_out(desk: Desk, request: Request, _caller: Caller) -> Answer:
    """End the local session; the platform's is ended at the platform."""
    if desk.ports.settings.local_sign_in:
        return see(f"{HOME}/sign-in", cookie=auth.signed_out(secure=request.secure))
    return see("/.auth/logout")
