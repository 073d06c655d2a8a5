"""Policies and vaults as code: compared, shown, applied, stopped at Azure's limit and resumed."""

from __future__ import annotations

import pytest

from shared.domain.ids import ArmId
from shared.domain.limits import LIMITS
from shared.domain.policycode import Create, Keep, Refuse, Update, to_body
from shared.domain.rules import parse
from shared.domain.rules.declared import Immutability, Redundancy
from shared.ensure import Done, Failed, Needed, Tomorrow, apply, plan
from shared.errors import Disposition
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.usecases.house import House

VAULT = worlds.vault()
DECLARED = """
declared:
  policies:
    - name: gold
      kind: standard
      schedule: {daily: "23:00"}
      keep: {days: 30}
"""
NEW = """
new_vaults:
  create: true
  hardening: {redundancy: ZoneRedundant, tags: {owner: backup-team}}
"""
EDITS = LIMITS.number("policy_edits_per_day")


def rules(more: str):
    return parse(worlds.RULES + more, "rules.yaml")


def many(count: int) -> str:
    """Rules that declare so many policies."""
    one = (
        '    - {{name: p-{n}, kind: standard, schedule: {{daily: "23:00"}}, keep: {{days: 30}}}}\n'
    )
    return "declared:\n  policies:\n" + "".join(one.format(n=n) for n in range(count))


@pytest.fixture
def house():
    made = House()
    made.region(VAULT)
    made.rules.rules = rules(DECLARED)
    return made


async def applied(house, needed: Needed):
    return [outcome async for outcome in apply(house.ports, needed)]


def kinds(needed: Needed):
    return [(one.vault.name, type(one.plan)) for one in needed.policies]


async def test_a_declared_policy_is_planned_made_and_then_as_it_should_be(house):
    needed = await plan(house.ports)
    assert kinds(needed) == [(VAULT.name, Create)]
    assert house.setup.puts == []  # planning writes nothing

    (done,) = await applied(house, needed)

    policy = VAULT.id.child("backupPolicies", "gold")
    assert done == Done(resource=policy)
    assert house.setup.bodies[policy.key]["retentionPolicy"]["dailySchedule"]
    assert kinds(await plan(house.ports)) == [(VAULT.name, Keep)]
    assert await applied(house, await plan(house.ports)) == []


@pytest.mark.parametrize(
    "there, allowed, expected",
    [
        pytest.param(60, (), Refuse, id="shorter is refused"),
        pytest.param(60, ("gold",), Update, id="shorter, and the policy is named"),
        pytest.param(60, ("silver",), Refuse, id="shorter, and another is named"),
        pytest.param(20, (), Update, id="longer"),
    ],
)
async def test_keeping_less_needs_the_policys_name(house, there, allowed, expected):
    (declared,) = house.rules.rules.content.declared.policies
    body = to_body(declared)
    duration = body["retentionPolicy"]["dailySchedule"]["retentionDuration"]
    duration["count"] = there
    house.setup.bodies[VAULT.id.child("backupPolicies", "gold").key] = body

    needed = await plan(house.ports, may_shorten=allowed)
    outcomes = await applied(house, needed)

    (one,) = needed.policies
    assert type(one.plan) is expected
    assert one.plan.differences == (f"keep.days: {there} -> 30",)
    assert len(outcomes) == (0 if expected is Refuse else 1)
    assert needed.refused == (needed.policies if expected is Refuse else ())


async def test_a_run_stops_at_azures_edits_of_a_day_and_the_next_goes_on(house):
    house.rules.rules = rules(many(EDITS + 3))

    first = await applied(house, await plan(house.ports))
    assert len(first) == EDITS + 1
    (stopped,) = (one for one in first if isinstance(one, Tomorrow))
    assert (stopped.vault, stopped.left) == (VAULT.id, 3)

    house.clock.advance(3600)
    (again,) = await applied(house, await plan(house.ports))
    assert again == stopped  # the limit is of 24 hours, not of a run

    house.clock.advance((stopped.at - house.clock.now()).total_seconds())
    rest = await applied(house, await plan(house.ports))
    assert [type(one) for one in rest] == [Done] * 3
    assert {kind for _, kind in kinds(await plan(house.ports))} == {Keep}


async def test_a_vault_that_refuses_is_left_and_the_others_go_on(house):
    other = worlds.vault("rsv-other")
    house.region(other)
    refusal = fault("AuthorizationFailed", status=403, disposition=Disposition.PARK)
    house.setup.refuse(VAULT.id.child("backupPolicies", "gold"), refusal)

    outcomes = await applied(house, await plan(house.ports))

    assert [(type(one), one.resource.parent.name) for one in outcomes] == [
        (Failed, VAULT.name),
        (Done, other.name),
    ]


# --- vaults --------------------------------------------------------------------------------------


async def test_a_region_with_vms_and_no_vault_gets_a_hardened_one_with_its_policies(house):
    house.rules.rules = rules(DECLARED + NEW)
    house.machines.add(worlds.vm(), worlds.vm("far", location="koreacentral"))

    needed = await plan(house.ports)

    (making,) = needed.vaults
    assert making.vault.name == "rsv-backup-koreacentral"
    assert making.vault.group == "rg-backup-koreacentral"
    assert making.hardening.redundancy is Redundancy.ZONE
    assert making.hardening.immutability is Immutability.UNLOCKED
    assert making.hardening.public_access is False
    assert making.hardening.tags == {"owner": "backup-team", "backup-vault": "central"}
    assert kinds(needed) == [(VAULT.name, Create), (making.vault.name, Create)]

    outcomes = await applied(house, needed)
    assert [one.resource.name for one in outcomes] == [making.vault.name, "gold", "gold"]
    after = await plan(house.ports)
    assert (after.vaults, after.differing) == ((), ())
    assert {kind for _, kind in kinds(after)} == {Keep}


async def test_without_the_switch_the_region_is_only_named(house):
    house.machines.add(worlds.vm("far", location="koreacentral"))

    needed = await plan(house.ports)

    assert (needed.vaults, needed.uncovered) == ((), ("koreacentral",))


async def test_a_vault_that_cannot_be_made_gets_no_policies(house):
    house.rules.rules = rules(DECLARED + NEW)
    house.machines.add(worlds.vm("far", location="koreacentral"))
    needed = await plan(house.ports)
    denied = fault("AuthorizationFailed", status=403, disposition=Disposition.PARK)
    house.setup.refuse(needed.vaults[0].vault, denied)

    outcomes = await applied(house, needed)

    assert [type(one) for one in outcomes] == [Failed, Done]
    assert outcomes[1].resource.parent == VAULT.id


async def test_a_declared_vault_is_made_and_one_that_differs_is_only_told(house):
    house.rules.rules = rules(
        f"""
declared:
  vaults:
    - {{subscription: {worlds.SUB}, group: rg-b, name: rsv-new, region: Korea Central}}
    - subscription: {worlds.SUB}
      group: {VAULT.id.group}
      name: {VAULT.name}
      region: westeurope
      hardening: {{redundancy: LocallyRedundant}}
"""
    )

    needed = await plan(house.ports)

    assert [one.vault.name for one in needed.vaults] == ["rsv-new"]
    (differs,) = needed.differing
    assert differs.vault == VAULT.id
    assert any(line.startswith("redundancy: ") for line in differs.differences)
    outcomes = await applied(house, needed)
    assert [one.resource.name for one in outcomes] == ["rsv-new"]
    assert VAULT.id not in house.setup.puts


async def test_a_vault_that_is_there_but_not_in_the_list_yet_is_never_put_again(house, monkeypatch):
    house.rules.rules = rules(DECLARED + NEW)
    house.machines.add(worlds.vm("far", location="koreacentral"))
    await applied(house, await plan(house.ports))
    known = await house.directory.vaults()

    async def old():
        return tuple(one for one in known if one.location == "westeurope")

    there = {one.id.key: one for one in known}

    async def vault(of: ArmId):
        return there.get(of.key)

    monkeypatch.setattr(house.directory, "vaults", old)
    monkeypatch.setattr(house.setup, "vault", vault)

    assert (await plan(house.ports)).vaults == ()
