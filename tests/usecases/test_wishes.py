"""What people ask for is recorded with their name, and then looked at like everything else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.messages import Cause
from shared.domain.records import DecisionKind
from shared.domain.states import State
from shared.errors import BadWish
from shared.wishes import Wish, carry_out
from tests.unit.domain import worlds
from tests.usecases.house import House

VM = worlds.vm().id


class Quiet:
    def __init__(self):
        self.snoozed = []

    async def snooze(self, vm, until, by, now):
        self.snoozed.append((vm, until, by))


async def wish(house: House, kind: DecisionKind, quiet: Quiet | None = None, **changes) -> str:
    asked = {"vm": VM, "kind": kind, "by": "ann (1)", "reason": "because of X", **changes}
    return await carry_out(house.ports, quiet or Quiet(), Wish(**asked))


async def test_an_exclusion_is_recorded_and_takes_effect():
    house = House()
    house.region()
    house.machines.add(worlds.vm(created=house.clock.now()))

    await wish(house, DecisionKind.EXCLUDE, until=house.clock.now() + timedelta(days=30))
    await house.play(10)

    (decision,) = await house.people.of(VM)
    assert (decision.by, decision.reason) == ("ann (1)", "because of X")
    row = await house.row(VM)
    assert row.state is State.EXCLUDED
    assert house.sent(VM) == 0


async def test_a_revoked_exclusion_lets_the_vm_be_enrolled():
    house = House()
    house.region()
    house.machines.add(worlds.vm(created=house.clock.now()))
    key = await wish(house, DecisionKind.EXCLUDE)
    await house.play(10)

    await wish(house, DecisionKind.REVOKE, revokes=key, reason="")
    await house.play(10)

    assert house.sent(VM) == 1


async def test_enroll_now_touches_an_old_vm_and_a_plain_retry_does_not():
    house = House(ENROLL_SINCE="2999-01-01T00:00:00Z")
    house.region()
    house.machines.add(worlds.vm(created=house.clock.now()))

    await wish(house, DecisionKind.RETRY)
    await house.play(10)
    assert house.sent(VM) == 0

    await wish(house, DecisionKind.RETRY, old_too=True)
    await house.play(10)
    assert house.sent(VM) == 1


async def test_a_snooze_quiets_the_notice_and_looks_at_nothing():
    house, quiet = House(), Quiet()
    until = house.clock.now() + timedelta(days=2)

    await wish(house, DecisionKind.SNOOZE, quiet, until=until)

    assert quiet.snoozed == [(VM, until, "ann (1)")]
    assert house.queues.sent == []


async def test_who_asked_travels_with_the_message():
    house = House()
    await wish(house, DecisionKind.RETRY)

    (sent,) = house.queues.sent
    assert (sent.message.cause, sent.message.by, sent.queue) == (
        Cause.OPERATOR,
        "ann (1)",
        "enrollments",
    )


@pytest.mark.parametrize(
    "kind, changes, says",
    [
        pytest.param(DecisionKind.EXCLUDE, {"reason": "  x "}, "Say why", id="no reason"),
        pytest.param(DecisionKind.SNOOZE, {}, "until when", id="a snooze without end"),
        pytest.param(
            DecisionKind.SNOOZE, {"until": timedelta(seconds=-1)}, "next 400 days", id="past"
        ),
        pytest.param(DecisionKind.EXCLUDE, {"until": timedelta(days=401)}, "400", id="too long"),
        pytest.param(DecisionKind.CONSENT_WEAKER, {}, "policy", id="a consent to anything"),
        pytest.param(DecisionKind.REVOKE, {"revokes": "x"}, "no such", id="nothing to revoke"),
    ],
)
async def test_a_wish_that_makes_no_sense_is_not_recorded(kind, changes, says):
    house = House()
    if "until" in changes:
        changes = {**changes, "until": house.clock.now() + changes["until"]}

    with pytest.raises(BadWish, match=says):
        await wish(house, kind, **changes)

    assert await house.people.of(VM) == ()
    assert house.queues.sent == []
