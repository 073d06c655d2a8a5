"""How long things take, drawn a few hundred times and held against the recorded distributions.

The figures are those of 631 enables and 277 first backups (report §1.1, §1.2 and §5), written down
here by themselves: the simulator's own tables are not asked.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from statistics import median

import pytest

from simulator.backup.durations import Kind, length
from simulator.instance_view import ready_at
from tests.simulator.backup_lab import SOMEBODY, VAULT, lab

DRAWS = 400


def drawn(kind: Kind, age: float = 1e9) -> list[float]:
    state = lab().world.backup
    return sorted(
        length(state, kind, str(number), age=age).total_seconds() for number in range(DRAWS)
    )


@pytest.mark.parametrize(
    "age, middle, slow",
    [
        pytest.param(15, 91.7, 1.00, id="younger than 20 s"),
        pytest.param(25, 91.6, 0.86, id="20 to 30 s"),
        pytest.param(35, 91.6, 0.81, id="30 to 40 s"),
        pytest.param(45, 91.5, 0.65, id="40 to 50 s"),
        pytest.param(55, 32.6, 0.36, id="50 to 60 s"),
        pytest.param(65, 31.0, 0.08, id="60 to 70 s"),
        pytest.param(75, 30.9, 0.02, id="70 to 80 s"),
        pytest.param(500, 31.0, 0.00, id="older"),
    ],
)
def test_an_enable_takes_31_or_91_seconds_by_the_age_of_the_vm(age, middle, slow):
    seconds = drawn(Kind.ENABLE, age)

    assert median(seconds) == pytest.approx(middle, abs=1.5)
    assert sum(one >= 80 for one in seconds) / DRAWS == pytest.approx(slow, abs=0.07)


def test_enables_of_older_vms_have_the_recorded_tail():
    seconds = drawn(Kind.ENABLE)
    tenth, ninetieth, last = (seconds[round(share * DRAWS) - 1] for share in (0.1, 0.9, 0.99))

    assert tenth == pytest.approx(30.7, abs=0.5)
    assert ninetieth == pytest.approx(41.1, abs=1.0)
    assert last == pytest.approx(61, abs=10)
    assert seconds[-1] <= 93


@pytest.mark.parametrize(
    "kind, least, middle, most",
    [
        pytest.param(Kind.POLICY_CHANGE, 1.1, 2.7, 4.4, id="change of policy"),
        pytest.param(Kind.DISABLE, 1.4, 2.8, 4.2, id="disable"),
        pytest.param(Kind.UNDELETE, 10.6, 11.2, 11.8, id="undelete"),
        pytest.param(Kind.SOFT_DELETE, 10.8, 11.5, 13.0, id="soft delete"),
        pytest.param(Kind.HARD_DELETE, 101, 111.4, 117, id="hard delete"),
        pytest.param(Kind.REFRESH, 9, 12, 76, id="refresh of containers"),
        pytest.param(Kind.SNAPSHOT, 456, 458, 469, id="snapshot of a first backup"),
    ],
)
def test_an_operation_takes_as_long_as_recorded(kind, least, middle, most):
    seconds = drawn(kind)

    assert least - 0.1 <= seconds[0]
    assert seconds[-1] <= most + 0.1
    assert median(seconds) == pytest.approx(middle, rel=0.06)


def test_a_first_backup_takes_41_minutes_or_some_steps_of_ten_more():
    seconds = drawn(Kind.BACKUP)

    assert sum(2470 <= one <= 2480 for one in seconds) / DRAWS == pytest.approx(116 / 277, abs=0.08)
    assert all((one - 2472) % 600 < 12 for one in seconds)
    assert seconds[0] >= 2472
    assert seconds[-1] <= 9078


@pytest.mark.parametrize(
    "age, ready",
    [
        pytest.param(11, 0.00, id="before the earliest"),
        pytest.param(15, 0.05, id="10 to 20 s"),
        pytest.param(25, 0.19, id="20 to 30 s"),
        pytest.param(35, 0.22, id="30 to 40 s"),
        pytest.param(45, 0.27, id="40 to 50 s"),
        pytest.param(55, 0.33, id="50 to 60 s"),
        pytest.param(70, 0.86, id="60 to 80 s"),
        pytest.param(81, 1.00, id="older than 80 s"),
    ],
)
def test_an_agent_is_ready_by_its_age_as_often_as_recorded(age, ready):
    """695 looks at young VMs (report §5)."""
    provisioned = datetime(2026, 3, 2, tzinfo=UTC)
    looked = provisioned + timedelta(seconds=age)
    seen = [ready_at(provisioned, str(number), {}) for number in range(DRAWS)]

    assert sum(at is not None and at <= looked for at in seen) / DRAWS == pytest.approx(
        ready, abs=0.06
    )


def test_noise_is_what_was_recorded_as_often_as_it_was():
    """89 failures of 109,297 requests, by code (report §2.2): mostly 504, some 500, ten 429."""
    sim = lab(knobs={"noise.share": 1.0, "budgets.enforced": False})
    answers = [sim.ask("GET", VAULT, caller=SOMEBODY).body for _ in range(3 * DRAWS)]
    codes = Counter(body.get("error", {}).get("code") for body in answers)

    assert codes["GatewayTimeout"] / len(answers) == pytest.approx(52 / 89, abs=0.06)
    assert codes["RestApiInternalError"] / len(answers) == pytest.approx(16 / 89, abs=0.05)
    assert codes["ResourceRequestsThrottled"] / len(answers) == pytest.approx(10 / 89, abs=0.04)
