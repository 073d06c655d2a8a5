"""What counts as weaker protection."""

from dataclasses import replace
from datetime import time

import pytest

from shared.domain.model import Frequency, PolicyKind, Retention, Schedule
from shared.domain.strength import weaker
from tests.unit.domain.worlds import policy, vault

V = vault()
FULL = Retention(daily_days=30, weekly_weeks=52, monthly_months=12, yearly_years=5)
OLD = policy(V, "old", retention=FULL)
NEW = policy(V, "new", retention=FULL)
HOURLY = Schedule(frequency=Frequency.HOURLY, times=(time(8),), interval_hours=4, window_hours=12)
DAILY = Schedule(frequency=Frequency.DAILY, times=(time(23),))
WEEKLY = Schedule(frequency=Frequency.WEEKLY, times=(time(23),), days=("Sunday",))


@pytest.mark.parametrize(
    "old, new, named",
    [
        pytest.param(OLD, NEW, (), id="equal"),
        pytest.param(
            OLD, replace(OLD, retention=Retention(daily_days=1)), (), id="the same policy"
        ),
        pytest.param(
            OLD,
            replace(NEW, retention=replace(FULL, daily_days=29)),
            ("daily retention: 30 days to 29 days",),
            id="daily shorter",
        ),
        pytest.param(
            OLD,
            replace(NEW, retention=replace(FULL, daily_days=31, weekly_weeks=None)),
            ("weekly retention: 52 weeks to none",),
            id="a tier less, another longer",
        ),
        pytest.param(
            OLD,
            replace(NEW, retention=Retention(daily_days=30)),
            (
                "weekly retention: 52 weeks to none",
                "monthly retention: 12 months to none",
                "yearly retention: 5 years to none",
            ),
            id="every tier that shrinks is named",
        ),
        pytest.param(replace(OLD, retention=Retention(daily_days=30)), NEW, (), id="more tiers"),
        pytest.param(
            replace(OLD, schedule=HOURLY),
            replace(NEW, schedule=DAILY),
            ("backups a week: 21 to 7",),
            id="hourly to daily",
        ),
        pytest.param(
            OLD,
            replace(NEW, schedule=WEEKLY),
            ("backups a week: 7 to 1",),
            id="daily to weekly",
        ),
        pytest.param(replace(OLD, schedule=WEEKLY), NEW, (), id="weekly to daily"),
        pytest.param(
            replace(OLD, instant_restore_days=5),
            replace(NEW, instant_restore_days=2),
            ("instant restore: 5 days to 2 days",),
            id="instant restore shorter",
        ),
        pytest.param(
            OLD,
            replace(NEW, instant_restore_days=None),
            ("instant restore: 2 days to none",),
            id="instant restore unknown",
        ),
        pytest.param(
            OLD,
            replace(NEW, crash_consistent_only=True),
            ("consistency: application-consistent to crash-consistent only",),
            id="crash-consistent only",
        ),
        pytest.param(
            replace(OLD, retention=None),
            NEW,
            ("policy old cannot be read, so it counts as the stronger one",),
            id="old retention unreadable",
        ),
        pytest.param(
            replace(OLD, schedule=None),
            NEW,
            ("policy old cannot be read, so it counts as the stronger one",),
            id="old schedule unreadable",
        ),
        pytest.param(
            OLD, replace(NEW, retention=None), ("policy new cannot be read",), id="new unreadable"
        ),
        pytest.param(
            replace(OLD, kind=PolicyKind.ENHANCED),
            NEW,
            ("kind: Enhanced to Standard, which Azure refuses",),
            id="Enhanced to Standard",
        ),
        pytest.param(OLD, replace(NEW, kind=PolicyKind.ENHANCED), (), id="Standard to Enhanced"),
    ],
)
def test_everything_that_shrinks_is_named(old, new, named) -> None:
    assert weaker(old, new) == named
