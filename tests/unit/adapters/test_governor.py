"""The governor: learns budgets from answers, shares them, stops when told, and knows no limit."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from uuid import UUID

import pytest

import shared.adapters.governor as module
from shared.adapters import meters
from shared.adapters.governor import HELD_BACK, Drawn, Governor
from shared.adapters.meters import Meter
from shared.domain.ids import ArmId, virtual_machine
from shared.errors import AzureFault
from tests.fakes.azure import START, FakeClock
from tests.fakes.wire import SUB, Answer, Wire, clients_on, settings_for

OTHER = "33333333-3333-4333-8333-333333333333"
JOBS = "Microsoft.RecoveryServices/vaults/backupJobs/read"
VAULT = ArmId.parse(
    f"/subscriptions/{SUB}/resourceGroups/rg/providers/Microsoft.RecoveryServices/vaults/v"
)
PATH = f"https://management.azure.com{VAULT}"
THROTTLED = (
    "Number of requests for action '{action}' exceeded the limit of '150' for time interval "
    "'01:00:00'. Please try again after '324' seconds."
)


class Fast(FakeClock):
    """A clock whose real waits are nothing, and which moves with them."""

    def real_seconds(self, delay):
        self.advance(delay)
        return 0.0


def governor(clock: FakeClock | None = None, *, instances: int = 4, **env: str) -> Governor:
    return Governor(settings_for(INSTANCES=str(instances), **env), clock or Fast())


def put(subscription: str = SUB) -> Drawn:
    return Drawn(subscription, "microsoft.recoveryservices/vaults/x/write", "writes")


def jobs(subscription: str = SUB) -> Drawn:
    return Drawn(subscription, JOBS.lower(), "reads")


def left(name: str, value: object) -> dict[str, str]:
    return {f"x-ms-ratelimit-remaining-{name}": str(value)}


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch):
    monkeypatch.setattr(module, "_jittered", lambda seconds: seconds)


# --- what a request draws on ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "method, url, drawn",
    [
        pytest.param(
            "GET", f"{PATH}/backupJobs?$filter=x", (SUB, JOBS.lower(), "reads"), id="list"
        ),
        pytest.param("GET", f"{PATH}/backupJobs/1", (SUB, JOBS.lower(), "reads"), id="one"),
        pytest.param(
            "PUT",
            f"{PATH}/backupFabrics/Azure/protectionContainers/a%3Bb/protectedItems/c%3Bd",
            (
                SUB,
                (
                    "microsoft.recoveryservices/vaults/backupfabrics/protectioncontainers/"
                    "protecteditems/write"
                ),
                "writes",
            ),
            id="PUT",
        ),
        pytest.param(
            "POST",
            f"{PATH}/backupFabrics/Azure/protectionContainers/a/protectedItems/c/backup",
            (
                SUB,
                (
                    "microsoft.recoveryservices/vaults/backupfabrics/protectioncontainers/"
                    "protecteditems/backup/action"
                ),
                "writes",
            ),
            id="POST",
        ),
        pytest.param(
            "POST",
            "https://arm/providers/Microsoft.ResourceGraph/resources?api-version=1",
            ("", "microsoft.resourcegraph/resources/action", "writes"),
            id="Resource Graph",
        ),
        pytest.param(
            "GET", "https://arm/subscriptions?x", ("", "subscriptions/read", "reads"), id="bare"
        ),
    ],
)
def test_a_request_draws_on_its_subscription_and_action(method, url, drawn):
    found = Drawn.by(method, url)

    assert (found.subscription, found.action, found.kind) == drawn


# --- slots ---------------------------------------------------------------------------------------


async def test_what_nothing_is_known_of_is_free():
    assert await governor().slot(SUB, urgent=False) == 0.0


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(left("subscription-writes", 7), id="ARM writes"),
        pytest.param(left("subscription-reads", 7), id="ARM reads"),
        pytest.param(left("subscription-global-writes", 7), id="global writes"),
        pytest.param(left("subscription-resource-requests", 7), id="the provider's own"),
        pytest.param(left("subscription-resource-entities-read", 7), id="entities"),
        pytest.param(
            left("resource", "Microsoft.Compute/LowCostGetSubscriptionMaximum;7"), id="compute"
        ),
        pytest.param(
            left("resource", "Microsoft.Compute/LowCostGet3Min;7,Microsoft.Compute/X30Min;9"),
            id="compute of 2019",
        ),
    ],
)
async def test_an_instance_takes_its_part_of_what_is_left(headers):
    clock = FakeClock(speed=1e9)
    pace = governor(clock, instances=3)
    pace.answered(put(), headers)

    granted = [await pace.slot(SUB, urgent=True) for _ in range(3)]

    assert granted == [0.0, 0.0, 0.5]  # two of the seven are a third

    pace.done(SUB)
    assert await pace.slot(SUB, urgent=True) == 0.0  # the look is over, and drew nothing


async def test_one_subscription_leaves_room_for_another():
    pace = governor(FakeClock(speed=1e9))
    granted = 0
    while await pace.slot(SUB, urgent=True) == 0.0:
        granted += 1

    assert granted == 12
    assert await pace.slot(OTHER, urgent=True) == 0.0


async def test_what_is_put_off_comes_back_one_behind_the_other():
    pace = governor(FakeClock(speed=1e9))
    pace.refused(put(), "SubscriptionRequestsThrottled", "", 30)
    turns = [await pace.slot(SUB, urgent=True) for _ in range(5)]

    assert turns == [30.0, 32.0, 34.0, 36.0, 38.0]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(left("subscription-deletes", 0), id="deletes"),
        pytest.param(left("resource", "Microsoft.Compute/LowCostGetResource;0"), id="one VM's"),
        pytest.param(left("subscription-writes", "many"), id="no number"),
        pytest.param(left("resource", "nonsense"), id="no bucket"),
    ],
)
async def test_what_a_reconcile_does_not_draw_on_does_not_hold_it(headers):
    pace = governor()
    pace.answered(put(), headers)

    assert [await pace.slot(SUB, urgent=True) for _ in range(9)] == [0.0] * 9


async def test_backup_reads_that_ran_out_do_not_hold_changes():
    pace = governor()
    pace.answered(jobs(), left("subscription-resource-requests", 0))
    pace.refused(jobs(), "ResourceRequestsThrottled", THROTTLED.format(action=JOBS), 324)

    assert await pace.slot(SUB, urgent=True) == 0.0
    assert pace.may_read(SUB, JOBS) == 324.0


async def test_subscriptions_do_not_disturb_each_other():
    pace = governor()
    pace.refused(put(), "SubscriptionRequestsThrottled", "", 60)

    assert await pace.slot(SUB, urgent=True) == 60.0
    assert await pace.slot(OTHER, urgent=True) == 0.0


async def test_a_short_wait_is_waited_and_a_long_one_is_told():
    clock = Fast()
    pace = governor(clock)
    pace.refused(put(), "SubscriptionRequestsThrottled", "", 1.5)
    assert await pace.slot(SUB, urgent=True) == 0.0
    assert 1.5 <= (clock.now() - START).total_seconds() <= 2.0

    pace.refused(put(), "SubscriptionRequestsThrottled", "", 30)
    assert await pace.slot(SUB, urgent=True) == pytest.approx(30)


async def test_a_single_event_goes_before_the_backlog():
    clock = Fast()
    pace = governor(clock)
    pace.refused(put(), "SubscriptionRequestsThrottled", "", 1.0)

    urgent = asyncio.create_task(pace.slot(SUB, urgent=True))
    await asyncio.sleep(0)
    assert pace.may_read(SUB, JOBS) > 0  # a read that can wait yields
    backlog = asyncio.create_task(pace.slot(SUB, urgent=False))

    assert await urgent == 0.0
    assert await backlog == 0.0
    assert pace.may_read(SUB, JOBS) == 0.0


async def test_a_stopped_wait_leaves_nothing_behind():
    pace = Governor(settings_for(), FakeClock())
    pace.refused(put(), "SubscriptionRequestsThrottled", "", 1.0)
    waiting = asyncio.create_task(pace.slot(SUB, urgent=True))
    await asyncio.sleep(0)

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert pace.may_read(SUB, JOBS) == 0.0


# --- meters --------------------------------------------------------------------------------------


def meter_after(*readings: float, clock: FakeClock) -> Meter:
    meter = Meter()
    for reading in readings:
        meter.read(reading, clock.now())
    return meter


def test_front_ends_that_count_apart_are_believed_where_they_are_lower():
    clock = FakeClock()

    assert meter_after(299, 12, 298, 11, clock=clock).low(clock.now()) == 11


def test_a_counter_that_jumps_up_once_does_not_open_the_gates():
    clock = FakeClock()
    meter = meter_after(3, 3, 3, 299, clock=clock)

    assert meter.wait(clock.now(), instances=4) > 0


def test_an_old_reading_is_no_reading():
    clock = FakeClock()
    meter = meter_after(0, clock=clock)
    clock.advance(61)

    assert meter.wait(clock.now(), instances=4) == 0.0


def test_an_exhausted_budget_is_tried_again_ever_more_slowly():
    clock = FakeClock()
    meter = meter_after(0, clock=clock)
    waits = []
    for _ in range(5):
        waits.append(meter.wait(clock.now(), instances=4))
        clock.advance(waits[-1])
        assert meter.wait(clock.now(), instances=4) == 0.0
        meter.grant(clock.now())
        meter.read(0, clock.now())

    assert waits == [2, 4, 8, 16, 32]
    meter.readings.clear()
    meter.read(100, clock.now())
    meter.grant(clock.now())
    assert meter.wait(clock.now(), instances=4) == 0.0


def test_a_budget_that_is_low_but_not_empty_is_soon_looked_at_again():
    clock = FakeClock()
    meter = meter_after(3, clock=clock)

    assert meter.wait(clock.now(), instances=4) == 0.5


def test_a_429_does_not_leave_lying_what_comes_back_by_itself():
    clock = FakeClock()
    meter = meter_after(0, clock=clock)
    for come_back in (20, 40, 60):  # ten a second, of which one is drawn
        clock.advance(2)
        meter.read(come_back - 1, clock.now())
    meter.grant(clock.now())
    for _ in range(8):
        meter.refuse(clock.now(), 0)
        clock.advance(2)

    assert meter.gap(clock.now()) > 1
    assert meter.wait(clock.now(), instances=2) == 0.0
    meter.grant(clock.now())
    assert 0.1 < meter.wait(clock.now(), instances=2) < 0.4


def test_a_429_halves_the_speed_and_quiet_brings_it_back():
    clock = FakeClock()
    meter = Meter()
    for _ in range(30):  # one in two seconds
        meter.grant(clock.now())
        clock.advance(2)

    meter.refuse(clock.now(), 10)

    assert meter.wait(clock.now(), instances=1) == 10
    clock.advance(10)
    slow = meter.gap(clock.now())
    assert slow >= 4
    clock.advance(30)
    assert meter.gap(clock.now()) == pytest.approx(slow / 2)
    clock.advance(3600)
    assert meter.gap(clock.now()) == 0.0


def test_a_second_429_halves_again():
    clock = FakeClock()
    meter = Meter()
    meter.refuse(clock.now(), 0)
    once = meter.gap(clock.now())
    meter.refuse(clock.now(), 0)
    assert meter.gap(clock.now()) == once  # those of one moment are one

    clock.advance(2)
    before = meter.gap(clock.now())
    meter.refuse(clock.now(), 0)
    assert meter.gap(clock.now()) == pytest.approx(2 * before)


def test_a_429_that_tells_no_time_is_waited_out_ever_longer():
    clock = FakeClock()
    meter = Meter()
    meter.refuse(clock.now(), None)
    first = meter.hold(clock.now())
    clock.advance(first)
    meter.refuse(clock.now(), None)

    assert meter.hold(clock.now()) == 2 * first > 0


# --- reads of the watch --------------------------------------------------------------------------


def reads_in_an_hour(budget: float) -> int:
    clock = FakeClock()
    pace = governor(clock)
    pace.answered(jobs(), left("subscription-resource-requests", budget))
    done = 0
    for _ in range(3600):
        if pace.may_read(SUB, JOBS) == 0.0:
            pace.sent(jobs())
            done += 1
        clock.advance(1)
    return done


@pytest.mark.parametrize("budget", [150, 249, 450, 1099])
def test_the_watch_uses_two_fifths_of_whatever_the_budget_turns_out_to_be(budget):
    share = 0.4 * budget

    assert share <= reads_in_an_hour(budget) <= 1.3 * share  # an hour and what was saved up


def test_the_watch_is_told_how_long_to_wait_and_never_falls_silent_for_long():
    clock = FakeClock()
    pace = governor(clock)
    pace.answered(jobs(), left("subscription-resource-requests", 150))
    longest = 0.0
    for _ in range(200):
        wait = pace.may_read(SUB, JOBS)
        longest = max(longest, wait)
        clock.advance(wait)
        pace.sent(jobs())

    assert longest < 90


# --- vaults --------------------------------------------------------------------------------------


async def test_enables_in_flight_per_vault_are_capped_and_given_back():
    clock = FakeClock()
    pace = governor(clock, instances=2, VAULT_IN_FLIGHT="4")

    assert [await pace.vault_slot(VAULT) for _ in range(2)] == [0.0, 0.0]
    assert await pace.vault_slot(VAULT) > 0
    pace.settled(VAULT)
    assert await pace.vault_slot(VAULT) == 0.0


async def test_an_enable_that_another_instance_settled_is_forgotten_after_a_while():
    clock = FakeClock()
    pace = governor(clock, instances=1, VAULT_IN_FLIGHT="1")
    await pace.vault_slot(VAULT)

    wait = await pace.vault_slot(VAULT)
    clock.advance(wait)

    assert await pace.vault_slot(VAULT) == 0.0


def test_settling_what_was_never_sent_here_is_harmless():
    governor().settled(VAULT)


# --- what is kept ---------------------------------------------------------------------------------


async def test_budgets_and_vaults_that_nothing_is_asked_of_any_more_are_let_go():
    """A subscription and its vault every hour."""
    clock = FakeClock()
    pace = governor(clock)

    for hour in range(100):
        clock.advance(3600)
        vault = ArmId.of(str(UUID(int=hour)), "rg", VAULT.provider, VAULT.chain)
        assert await pace.vault_slot(vault) == 0.0
        pace.answered(put(vault.subscription), left("subscription-writes", 100))
        pace.refused(jobs(vault.subscription), "", "", 60.0)

    assert len(pace._meters) <= 4
    assert len(pace._vaults) <= 2


def test_a_budget_is_remembered_for_as_long_as_azure_says_to_stay_away():
    clock = FakeClock()
    pace = governor(clock)
    pace.refused(jobs(), "", "", 6 * 3600.0)

    clock.advance(5 * 3600)
    pace.answered(put(), left("subscription-writes", 100))

    assert pace.hold(jobs()) == 3600


async def test_a_budget_that_azure_speaks_of_no_more_is_let_go_though_others_are_drawn_on():
    clock = FakeClock()
    pace = governor(clock)
    pace.refused(Drawn(SUB, "x/read", "reads"), "", "", 30.0)

    for _ in range(60):
        clock.advance(120)
        assert await pace.slot(SUB, urgent=False) == 0.0
        pace.answered(put(), left("subscription-writes", 100))

    assert len(pace._meters) == 1


# --- on the wire ---------------------------------------------------------------------------------


async def test_what_azure_said_to_keep_away_is_not_sent():
    wire, clock = Wire(), FakeClock(speed=1e9)
    pace = governor(clock)
    clients = clients_on(wire, clock=clock, governor=pace)
    text = THROTTLED.format(action="Microsoft.Compute/virtualMachines/read")
    body = {"error": {"code": "ResourceRequestsThrottled", "message": text}}
    wire.on("GET", "/virtualMachines/", Answer(429, body))
    path = str(virtual_machine(SUB, "rg", "vm"))

    with pytest.raises(AzureFault) as first:
        await clients.get(path, api_version="1", operation="vm.get")
    with pytest.raises(AzureFault) as second:
        await clients.get(path, api_version="1", operation="vm.get")

    assert (first.value.code, first.value.retry_after) == ("ResourceRequestsThrottled", 324.0)
    assert (second.value.code, second.value.status) == (HELD_BACK, 429)
    assert second.value.retry_after == pytest.approx(324)
    assert len(wire.sent) == 1
    assert pace.throttled["microsoft.compute/virtualmachines/read"] == 1
    clock.advance(325)
    wire.on("GET", "/virtualMachines/", Answer(200, {}))
    await clients.get(path, api_version="1", operation="vm.get")


async def test_a_single_vm_that_was_asked_too_often_does_not_hold_the_others():
    pace = governor()
    text = '{"error": {"details": [{"code": "TooManyRequests", "target": "LowCostGetResource"}]}}'

    pace.refused(put(), "OperationNotAllowed", text, 30)

    assert await pace.slot(SUB, urgent=True) == 0.0


async def test_the_quota_of_resource_graph_is_waited_out():
    wire, clock = Wire(), Fast()
    clients = clients_on(wire, clock=clock, governor=governor(clock))
    headers = {"x-ms-user-quota-remaining": "1", "x-ms-user-quota-resets-after": "00:00:02"}
    wire.on("POST", "/resources", Answer(200, {}, headers))

    for _ in range(2):
        await clients.post(
            "/providers/Microsoft.ResourceGraph/resources", {}, api_version="1", operation="graph"
        )

    assert (clock.now() - START).total_seconds() == pytest.approx(2)


def test_no_limit_of_azures_stands_in_the_code():
    """The numbers of facts §4 are the simulator's; the product learns."""
    limits = "150 299 300 324 449 450 799 800 1099 1100 1199 1200 3000 3750 8000 12000 24000"
    for source in (module, meters):
        text = re.sub(r'""".*?"""|#.*', "", Path(source.__file__).read_text(), flags=re.DOTALL)
        numbers = set(re.findall(r"\b\d[\d_]*", text))
        assert numbers & set(limits.split()) <= {"300"}, source  # 300 s: the longest probe
