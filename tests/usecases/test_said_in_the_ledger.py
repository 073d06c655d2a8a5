"""What the guides show on their pages is kept: what a sweep saw, and the job behind a change."""

from shared import telemetry
from shared.domain.states import State
from shared.explaining import explained
from tests.unit.domain import worlds
from tests.usecases.house import House

VAULT = worlds.vault()


async def test_a_sweep_says_when_it_ran_and_what_it_found_new_and_left_alone():
    house = House()
    house.region(VAULT)
    house.machines.add(worlds.vm("web-1"))
    house.machines.add(worlds.vm("node", managed_by="/subscriptions/x/y/z/cluster"))
    await house.play(1800, step=30)

    (mark,) = await house.ledger.sweeps()

    assert mark.started_at <= mark.finished_at
    assert mark.vms == 2
    assert mark.counts[State.ENROLLED] == mark.counts[State.IGNORED] == 1


async def test_the_job_that_settled_a_change_is_kept_with_the_vm():
    house = House()
    house.region(VAULT)
    vm = worlds.vm()
    house.machines.add(vm)
    await house.event(vm.id)
    await house.play(120)

    row = await house.row(vm.id)

    told = await explained(house.ports, vm.id)
    assert f"Jobs\n  latest change: {row.job}, in vault {VAULT.name}\n" in told.text
    assert row.job
    assert row.job in {
        job.id async for page in house.backup.jobs(VAULT.id, since=worlds.NOW) for job in page
    }


async def test_a_code_of_a_job_that_nobody_knows_is_counted_and_shown_as_it_is(monkeypatch):
    counted = []
    monkeypatch.setattr(
        telemetry, "count", lambda name, *_, **labels: counted.append((name, labels.get("code")))
    )
    house = House()
    house.region(VAULT)
    vm = worlds.vm()
    house.machines.add(vm)
    house.backup.fail_job(vm.id, "UserErrorOfTheFuture", "Nobody has seen this.")
    await house.event(vm.id)
    await house.play(300)

    assert ("enrollment.unknown_codes", "UserErrorOfTheFuture") in counted
    (finding,) = (await house.row(vm.id)).findings
    assert finding.evidence == "UserErrorOfTheFuture: Nobody has seen this."
