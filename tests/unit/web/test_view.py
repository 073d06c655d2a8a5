"""The numbers of the page: nothing in them may flatter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.coverage import (
    CLAIMS,
    NO_VM,
    Count,
    Entry,
    Standing,
    Summary,
    cells,
    doubt,
    doubted,
    entry_of,
    percentile,
    standing_of,
)
from shared.domain.findings import Finding, Severity
from shared.domain.ids import virtual_machine
from shared.domain.records import Row, SweepMark
from shared.domain.sheets import DAYS_KEPT, Day, SeenJob, TrendSheet, job_sheet, with_today
from shared.domain.states import State
from shared.web import charts
from shared.web.filters import Filters
from shared.web.view import considered, overview, percent

SUB = "aaaaaaaa-0000-4000-8000-000000000001"
OTHER = "aaaaaaaa-0000-4000-8000-000000000002"
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
EVERY = timedelta(minutes=15)


def row(name: str, state: State, subscription: str = SUB, **changes) -> Row:
    base = Row(
        vm=str(virtual_machine(subscription, "rg", name)),
        state=state,
        since=NOW,
        seen_at=NOW,
        region="westeurope",
    )
    return msgspec.structs.replace(base, **changes)


def swept(subscription: str = SUB, **changes) -> SweepMark:
    base = SweepMark(subscription=subscription, sweep="s", started_at=NOW, finished_at=NOW)
    return msgspec.structs.replace(base, **changes)


def counted(name: str, rows: list[Row], *, swept: SweepMark | None = None) -> Summary:
    """Count rows as they come: a page at a time."""
    count = Count(name, now=NOW, swept=swept)
    for start in range(0, len(rows), 2):
        count.add(rows[start : start + 2])
    return count.summary(now=NOW, mark="")


def seen(rows: list[Row], marks: list[SweepMark], *, now=NOW, scope=(), **filters):
    by_subscription: dict[str, list[Row]] = {}
    for one in rows:
        by_subscription.setdefault(one.vm.split("/")[2], []).append(one)
    summaries = [counted(name, some) for name, some in by_subscription.items()]
    found = considered(summaries, marks, scope=scope, now=now, every=EVERY)
    return overview(found, Filters(**filters))


def test_every_state_but_gone_has_a_standing():
    assert {state for state in State if standing_of(row("a", state)) is None} == {State.GONE}


def test_only_a_recovery_point_counts_as_protected():
    cover = seen([row(state, state) for state in State], [swept()])

    assert cover.protected == 1
    assert cover.of == len(State) - 3  # gone, orphaned, ignored
    assert cover.count(Standing.PROTECTED) == 1


@given(st.lists(st.sampled_from(State), max_size=30), st.booleans())
def test_whatever_the_estate_the_parts_add_up_and_never_exceed_the_whole(states, trusted):
    rows = [row(f"vm-{number}", state) for number, state in enumerate(states)]
    cover = seen(rows, [swept()] if trusted else [])
    alive = [state for state in states if state is not State.GONE]

    assert sum(one.count for one in cover.standings) == len(alive)
    assert 0 <= cover.protected <= cover.of <= len(alive)
    assert cover.protected == (states.count(State.PROTECTED) if trusted else 0)
    assert sum(part.of for part in cover.regions) == cover.of


def test_excluding_a_vm_does_not_raise_the_share():
    before = seen([row("a", State.PROTECTED), row("b", State.BLOCKED)], [swept()])
    after = seen([row("a", State.PROTECTED), row("b", State.EXCLUDED)], [swept()])

    assert before.share == after.share == "50.0 %"


@pytest.mark.parametrize(
    "mark, says",
    [
        pytest.param(None, "never swept", id="never"),
        pytest.param(swept(finished_at=None), "never swept", id="not finished"),
        pytest.param(swept(suspicious="3 VMs where 9 were known"), "not believed", id="suspicious"),
        pytest.param(
            swept(finished_at=NOW - timedelta(minutes=33)), "not swept since", id="two sweeps ago"
        ),
        pytest.param(swept(finished_at=NOW - timedelta(minutes=31)), "", id="just in time"),
    ],
)
def test_a_claim_of_protection_expires_when_nobody_looked(mark, says):
    marks = [mark] if mark is not None else []
    cover = seen([row("a", State.PROTECTED), row("b", State.BLOCKED)], marks)

    assert says in doubt(mark, NOW, EVERY)
    assert bool(cover.doubts) == bool(says)
    assert cover.protected == (0 if says else 1)
    assert cover.count(Standing.UNKNOWN) == (1 if says else 0)
    assert cover.count(Standing.BLOCKED) == 1


def test_only_claims_are_doubted():
    changed = {one for one in Standing if doubted(one, doubtful=True) is not one}

    assert changed == set(CLAIMS)


def test_vms_that_a_sweep_saw_and_no_row_tells_of_are_unknown():
    cover = seen([row("a", State.PROTECTED)], [swept(vms=4)])

    assert (cover.protected, cover.of, cover.missing) == (1, 4, 3)
    assert cover.count(Standing.UNKNOWN) == 3


def test_a_vm_deleted_since_the_sweep_is_not_missed():
    gone = row("b", State.GONE, since=NOW + timedelta(minutes=1))
    summary = counted(SUB, [row("a", State.PROTECTED), gone], swept=swept(vms=2))
    found = considered([summary], [swept(vms=2)], scope=(), now=NOW, every=EVERY)

    assert found[0].missing == 0


def test_a_subscription_in_scope_that_nobody_swept_is_told():
    cover = seen([row("a", State.PROTECTED)], [swept()], scope=(SUB, OTHER))

    assert [(one.subscription, one.why) for one in cover.doubts] == [(OTHER, "never swept")]


def test_a_subscription_that_left_the_scope_is_left_out():
    rows = [row("a", State.PROTECTED), row("b", State.BLOCKED, OTHER)]

    assert seen(rows, [swept(), swept(OTHER)], scope=(SUB,)).of == 1


@pytest.mark.parametrize(
    "part, whole, text",
    [
        pytest.param(0, 0, "–", id="nothing"),
        pytest.param(9999, 10000, "99.9 %", id="not quite all is not all"),
        pytest.param(10000, 10000, "100 %", id="all"),
        pytest.param(2, 3, "66.6 %", id="rounded down"),
    ],
)
def test_a_share_is_rounded_down(part, whole, text):
    assert percent(part, whole) == text


def blocked(name: str, *codes: str, **changes) -> Row:
    findings = tuple(
        Finding(code=code, severity=Severity.BLOCKER, text="t", evidence="e") for code in codes
    )
    return row(name, State.BLOCKED, findings=findings, **changes)


def test_causes_are_counted_per_vm_worst_first():
    rows = [blocked("a", "DISK_ULTRA", "AGENT_OLD"), blocked("b", "AGENT_OLD")]
    cover = seen([*rows, row("c", State.STUCK, why="parked 2026-x")], [swept()])

    assert [(one.key, one.count) for one in cover.causes] == [
        ("AGENT_OLD", 2),
        ("DISK_ULTRA", 1),
        ("parked", 1),
    ]


@pytest.mark.parametrize(
    "filters, names",
    [
        pytest.param({"cause": "AGENT_OLD"}, {"a", "b"}, id="cause"),
        pytest.param({"standing": "protected"}, {"c"}, id="standing"),
        pytest.param({"region": "northeurope"}, {"b"}, id="region"),
        pytest.param({"subscription": SUB.upper()}, {"a", "b", "c"}, id="subscription"),
        pytest.param({"rule": "prod", "cause": "AGENT_OLD"}, {"a"}, id="two at once"),
        pytest.param({"standing": "unknown"}, set(), id="none"),
    ],
)
def test_filters_count_what_they_say(filters, names):
    rows = [
        blocked("a", "AGENT_OLD", rule="prod"),
        blocked("b", "AGENT_OLD", region="northeurope"),
        row("c", State.PROTECTED),
    ]

    assert seen(rows, [swept()], **filters).of == len(names)


@pytest.mark.parametrize(
    "filters, found",
    [
        pytest.param(Filters(q="WEB"), True, id="name in any case"),
        pytest.param(Filters(q="rg-a/web"), True, id="group and name"),
        pytest.param(Filters(q="db"), False, id="another name"),
        pytest.param(Filters(tag="ENV"), True, id="a tag by name"),
        pytest.param(Filters(tag="env= prod"), True, id="a tag by value"),
        pytest.param(Filters(tag="env=test"), False, id="another value"),
        pytest.param(Filters(tag="team"), False, id="a tag it has not"),
    ],
)
def test_names_and_tags_are_looked_for_in_entries(filters, found):
    entry = Entry(group="rg-a", name="web-1", standing=Standing.BLOCKED, tags={"Env": "Prod"})

    assert filters.finds(entry) is found


_TEXTS = st.text(alphabet=st.sampled_from('aBΣσςİKß"\\/=\x01 é\u2028'), max_size=6)


@given(group=_TEXTS, name=_TEXTS, key=_TEXTS, value=_TEXTS, q=_TEXTS, tag=_TEXTS)
def test_every_entry_that_is_found_has_what_its_line_is_searched_for(
    group, name, key, value, q, tag
):
    entry = Entry(group=group, name=name, standing=Standing.BLOCKED, tags={key: value})
    filters = Filters.of({"q": q, "tag": tag})
    line = msgspec.json.encode(entry).decode()

    assert not filters.finds(entry) or filters.having in line.lower()


@given(
    st.dictionaries(
        st.sampled_from(["standing", "cause", "q", "tag", "page", "region", "nonsense"]),
        st.text(max_size=300),
    )
)
def test_any_query_string_is_read_and_written_again(params):
    filters = Filters.of(params)

    assert filters.page >= 1
    assert "page" not in filters.query()
    assert filters.query().startswith("?")


def test_an_entry_keeps_short_what_strangers_wrote():
    entry = entry_of(row("a", State.BLOCKED, why="x\u202ey" * 100, tags={"t" * 99: "v" * 999}))

    assert entry is not None
    assert len(entry.why) <= 120
    assert "\u202e" not in entry.why
    assert all(len(key) <= 64 and len(value) <= 64 for key, value in entry.tags.items())


def test_a_row_with_an_id_nobody_can_read_is_left_out_and_not_fatal():
    assert entry_of(msgspec.structs.replace(row("a", State.BLOCKED), vm="nonsense")) is None


@given(st.lists(st.sampled_from(Standing), max_size=50))
def test_cells_count_every_entry_once(standings):
    entries = [Entry(group="g", name=str(n), standing=one) for n, one in enumerate(standings)]

    assert sum(cell.count for cell in cells(entries)) == len(standings)


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=200))
def test_percentiles_are_right_to_ten_percent(times):
    rows = [
        row(
            f"vm-{number}",
            State.ENROLLED,
            first_seen=NOW - timedelta(seconds=taken),
            enrolled_at=NOW,
        )
        for number, taken in enumerate(times)
    ]
    summary = counted(SUB, rows)
    exact = sorted(times)[(len(times) + 1) // 2 - 1]

    assert percentile(summary.enroll, 0.5) == pytest.approx(exact, rel=0.055)


def test_without_enrollments_there_is_no_percentile():
    assert percentile({}, 0.5) is None


def test_the_trend_keeps_one_line_a_day_and_forgets_the_oldest():
    trend = TrendSheet(days=tuple(Day(f"2025-{n:04d}", 1, 2) for n in range(DAYS_KEPT)))
    trend = with_today(with_today(trend, Day("2026-03-02", 1, 2)), Day("2026-03-02", 2, 2))

    assert len(trend.days) == DAYS_KEPT
    assert trend.days[-1] == Day("2026-03-02", 2, 2)
    assert trend.days[0].day == "2025-0001"


def job(number: int, status: str, back: int = 1) -> SeenJob:
    return SeenJob(
        id=f"/j/{number}",
        vm="web",
        operation="Backup",
        status=status,
        started=NOW - timedelta(hours=back, seconds=number),
    )


def test_all_jobs_are_counted_and_the_failed_ones_kept_first():
    jobs = [job(number, "Completed") for number in range(1200)] + [job(5000, "Failed", 20)]
    sheet = job_sheet(jobs, NOW)

    assert sum(count for *_, count in sheet.counts) == 1201
    assert len(sheet.jobs) == 1000
    assert "Failed" in {one.status for one in sheet.jobs}


def test_hours_stack_to_the_highest_column():
    bars = charts.hours(job_sheet([job(1, "Completed"), job(2, "Failed")], NOW), NOW)

    assert {bar.key for bar in bars} == {"done", "failed"}
    assert min(bar.y for bar in bars) == 0
    assert all(0 <= bar.x <= charts.WIDTH for bar in bars)


def test_the_bar_shows_the_smallest_standing_and_stays_in_its_frame():
    rows = [row(f"p{number}", State.PROTECTED) for number in range(2000)]
    cover = seen([*rows, row("b", State.BLOCKED)], [swept()])
    bars = charts.stacked(cover.standings)

    assert all(bar.width >= 1.9 for bar in bars)
    assert bars[-1].x + bars[-1].width <= charts.WIDTH + 0.2


def test_a_trend_needs_two_days():
    one, two = Day("2026-03-01", 0, 2), Day("2026-03-02", 1, 2)

    assert charts.trend([one]) is None
    assert charts.trend([one, two]).points == "0.0,120.0 720.0,60.0"


def test_what_is_no_vm_is_no_part_of_the_whole():
    assert {Standing.ORPHANED, Standing.IGNORED} == NO_VM
