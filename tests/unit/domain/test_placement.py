"""Which vault and which policy."""

import shlex
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.ids import item_of
from shared.domain.model import Policy, PolicyKind, ProtectionState, Room, SecurityType
from shared.domain.placement import Later, Place, Refused, behind, place
from shared.domain.rules import parse
from shared.domain.selection import select
from tests.unit.domain.worlds import (
    NOW,
    OTHER_SUB,
    RULES,
    SUB,
    disk,
    item,
    policies,
    policy,
    rules,
    snapshot,
    vault,
    vm,
)

A, B = vault("rsv-a"), vault("rsv-b")


def placed(world, text=RULES, **options):
    content = parse(text)
    return place(content, select(content, world, (), NOW), world, NOW, **options)


def with_set(text: str) -> str:
    return RULES.replace("central: {tags: {backup-vault: central}}", f"central: {text}")


def codes(found) -> list[str]:
    match found:
        case Place():
            return [one.code for one in found.notes]
        case _:
            return [one.code for one in found.findings]


# --- region and candidates -----------------------------------------------------------------------


def test_a_vm_gets_the_tagged_vault_of_its_region() -> None:
    far = vault("rsv-ne", location="northeurope")
    found = placed(snapshot(vaults=(far, A)))
    assert isinstance(found, Place)
    assert found.vault == A
    assert found.policy.name == "gold"


def test_regions_are_equal_in_any_spelling() -> None:
    assert isinstance(placed(snapshot(vm(location="West Europe"), (A,))), Place)


def test_a_region_without_a_vault_is_refused_with_the_create_command_filled_in() -> None:
    found = placed(snapshot(vm(location="koreacentral"), (A,)))
    assert codes(found) == ["NO_VAULT_IN_REGION"]
    lines = found.findings[0].remedies[0].az.splitlines()
    words = shlex.split(lines[1])
    assert words[:4] == ["az", "backup", "vault", "create"]
    assert words[words.index("--location") + 1] == "koreacentral"
    assert words[words.index("--tags") + 1] == "backup-vault=central"


def test_a_subscription_without_any_vault_is_the_same_finding() -> None:
    assert codes(placed(snapshot(vaults=()))) == ["NO_VAULT_IN_REGION"]


def test_a_region_without_azure_backup_gets_no_create_command() -> None:
    found = placed(snapshot(vaults=(), backup_regions=frozenset({"eastus"})))
    assert codes(found) == ["REGION_UNSUPPORTED"]
    assert not any("create" in one.az for one in found.findings[0].remedies)


@pytest.mark.parametrize(
    "text, body, said",
    [
        pytest.param(
            "{tags: {backup-vault: central}}",
            vault(tags={}),
            "there is no tag backup-vault",
            id="no tag",
        ),
        pytest.param(
            "{tags: {backup-vault: central}}",
            vault(tags={"backup-vault": "team"}),
            "tag backup-vault is 'team', not central",
            id="other tag",
        ),
        pytest.param(
            "{tags: {backup-vault: central}}",
            vault(private_endpoints=True),
            "private endpoints",
            id="private endpoints",
        ),
        pytest.param(
            "{tags: {backup-vault: central}, subscriptions: same}",
            vault(subscription=OTHER_SUB),
            "another subscription",
            id="other subscription",
        ),
        pytest.param(
            "{same_tag: team}", vault(), "the VM has no tag team", id="VM without the tag"
        ),
        pytest.param(
            "{same_tag: team, tags: {backup-vault: central}}",
            vault(tags={"team": "x"}),
            "there is no tag backup-vault",
            id="both kinds of tags",
        ),
        pytest.param(f"{{ids: {vault('other').id}}}", vault(), "not named", id="not named"),
    ],
)
def test_a_vault_that_is_merely_there_is_never_taken(text, body, said) -> None:
    found = placed(snapshot(vaults=(body,)), with_set(text))
    assert codes(found) == ["NO_VAULT_IN_REGION"]
    assert said in found.findings[0].evidence


def test_why_a_vault_is_not_taken_is_said_for_every_set_of_the_rule() -> None:
    text = RULES.replace("vaults:\n", "vaults:\n  team: {same_tag: team}\n").replace(
        "default: {}", "default: {vaults: [team, central]}"
    )
    (found,) = placed(snapshot(vaults=(vault(tags={"team": "x"}),)), text).findings
    assert "the VM has no tag team (set team)" in found.evidence
    assert "there is no tag backup-vault (set central)" in found.evidence


def test_a_vault_of_another_tenant_is_never_taken_and_that_is_said() -> None:
    far = vault(subscription=OTHER_SUB)
    (found,) = placed(snapshot(vaults=(far,), tenants={SUB: "t1", OTHER_SUB: "t2"})).findings
    assert found.code == "NO_VAULT_IN_REGION"
    assert "belongs to tenant t2, the VM to t1" in found.evidence
    for known in ({}, {SUB: "t1"}, {SUB: "t1", OTHER_SUB: "t1"}):
        assert isinstance(placed(snapshot(vaults=(far,), tenants=known)), Place)


@pytest.mark.parametrize(
    "reader, identity",
    [("0f-id", "0f-id"), ("/ids/a", "object-id-of-the-identity"), (None, "object-id-of")],
)
def test_a_vault_with_a_customers_key_comes_with_the_exact_grant(reader, identity) -> None:
    keyed = vault(key="https://kv-1.vault.azure.net/keys/k/1", key_reader=reader)
    found = placed(snapshot(vaults=(keyed,)))
    (note,) = [one for one in found.notes if one.code == "VAULT_CUSTOMER_KEY"]
    assert "kv-1" in note.evidence
    grant, policy_way = note.remedies
    assert "--role 'Key Vault Crypto Service Encryption User'" in grant.az
    assert "az keyvault show --name kv-1 " in grant.az
    assert f"--assignee-object-id {'<' * (identity != reader)}{identity}" in grant.az
    assert "--key-permissions get list wrapKey unwrapKey" in policy_way.az
    assert codes(placed(snapshot())) == []


def test_a_vault_can_be_found_by_the_vms_own_tag() -> None:
    ours = vault("ours", tags={"Team": " Blue "})
    theirs = vault("theirs", tags={"team": "red"})
    body = vm(tags={"TEAM": "blue", "backup-tier": "gold"})
    found = placed(snapshot(body, (theirs, ours)), with_set("{same_tag: team}"))
    assert found.vault == ours
    (refused,) = placed(snapshot(body, (theirs,)), with_set("{same_tag: team}")).findings
    assert "its tag team is not the VM's 'blue'" in refused.evidence


def test_a_vault_with_private_endpoints_is_used_if_it_is_named() -> None:
    private = replace(A, private_endpoints=True)
    found = placed(snapshot(vaults=(private,)), with_set(f"{{ids: '{str(A.id).upper()}'}}"))
    assert isinstance(found, Place)


# --- order and spill -----------------------------------------------------------------------------


def test_named_vaults_come_in_their_order() -> None:
    for first, second in ((A, B), (B, A)):
        found = placed(snapshot(vaults=(A, B)), with_set(f"{{ids: ['{first.id}', '{second.id}']}}"))
        assert found.vault == first


@pytest.mark.parametrize(
    "prefer, other",
    [
        pytest.param("same-subscription", {"subscription": OTHER_SUB}, id="same subscription"),
        pytest.param("redundancy", {"redundancy": "LocallyRedundant"}, id="redundancy"),
        pytest.param("immutable", {"immutability": None}, id="immutability"),
    ],
)
def test_preferences_order_the_candidates(prefer, other) -> None:
    text = with_set(
        f"{{tags: {{backup-vault: central}}, redundancy: GeoRedundant, prefer: {prefer}}}"
    )
    for name in ("a", "b", "c", "d", "e"):  # whatever the hash would say
        better, worse = vault("rsv-x", immutability="Unlocked"), vault(f"rsv-{name}", **other)
        assert placed(snapshot(vaults=(worse, better)), text).vault == better


def test_the_emptier_vault_comes_first_if_rules_prefer_room() -> None:
    text = with_set("{tags: {backup-vault: central}, prefer: room}")
    room = {A.id.key: Room(items=600, today=0), B.id.key: Room(items=300, today=0)}
    assert placed(snapshot(vaults=(A, B), room=room), text).vault == B


@pytest.mark.parametrize(
    "prefer, other, room, why",
    [
        pytest.param("immutable", {}, None, "it is not immutable", id="immutable"),
        pytest.param("redundancy", {"redundancy": "LocallyRedundant"}, None, "it is LocallyRedundant", id="redundancy"),
        pytest.param("same-subscription", {"subscription": OTHER_SUB}, None, "it lies in another subscription", id="subscription"),
        pytest.param("room", {}, Room(items=500, today=0), "it is fuller", id="room"),
        pytest.param("listed", {}, Room(items=1000, today=0), "it holds 1000 VMs", id="full"),
        pytest.param("listed", {}, Room(items=9, today=240), "it took in 240 VMs today", id="full for the day"),
        pytest.param("listed", {"provisioning": "Updating"}, None, "it is updating", id="not ready"),
    ],
)  # fmt: skip
def test_each_criterion_that_put_a_vault_behind_is_named(prefer, other, room, why) -> None:
    best = vault("rsv-best", immutability="Unlocked")
    other_vault = vault("rsv-behind", **other)
    text = with_set(
        f"{{tags: {{backup-vault: central}}, redundancy: GeoRedundant, prefer: {prefer}}}"
    )
    rooms = {
        best.id.key: Room(items=0, today=0),
        other_vault.id.key: room or Room(items=0, today=0),
    }
    world = snapshot(vaults=(other_vault, best), room=rooms)
    found = placed(world, text)
    assert found.vault == best
    assert behind(found, world) == (f"not vault rsv-behind: {why}",)


def test_the_list_the_sets_the_name_and_the_tie_are_named_too() -> None:
    def said(world, text=RULES):
        return behind(placed(world, text), world)

    listed = said(snapshot(vaults=(A, B)), with_set(f"{{ids: ['{B.id}', '{A.id}']}}"))
    assert listed == (f"not vault {A.name}: it is listed later",)
    body, other = vm(), vm(subscription=OTHER_SUB)
    taken = said(snapshot(body, (A, B), items=(item(A, other, source=other.id),)))
    assert taken == (f"not vault {A.name}: it holds another VM of this name",)
    (tied,) = said(snapshot(vaults=(A, B)))
    assert "equal; a hash breaks the tie" in tied
    text = RULES.replace("vaults:\n", "vaults:\n  spare: {tags: {backup-vault: spare}}\n").replace(
        "default: {}", "default: {vaults: [central, spare]}"
    )
    spare = vault("rsv-spare", tags={"backup-vault": "spare"})
    later = said(snapshot(vaults=(spare, A)), text)
    assert later == ("not vault rsv-spare: set spare comes later",)
    assert said(snapshot(body, (A, B), items=(item(A, body),))) == ()  # it is there already


def test_a_tie_is_broken_the_same_way_every_time_and_spreads_vms() -> None:
    chosen = Counter()
    for number in range(200):
        world = snapshot(vm(f"vm-{number}"), (A, B))
        backwards = snapshot(vm(f"vm-{number}".upper()), (B, A))
        assert placed(world).vault == placed(backwards).vault
        chosen[placed(world).vault.name] += 1
    assert min(chosen.values()) > 70


def test_a_full_vault_spills_to_the_next_and_all_full_is_refused() -> None:
    both = with_set(f"{{ids: ['{A.id}', '{B.id}']}}")
    room = {A.id.key: Room(items=1000, today=0), B.id.key: Room(items=999, today=0)}
    assert placed(snapshot(vaults=(A, B), room=room), both).vault == B
    room[B.id.key] = Room(items=1000, today=0)
    found = placed(snapshot(vaults=(A, B), room=room), both)
    assert codes(found) == ["VAULT_FULL"]
    assert "--name rsv-backup-westeurope-2" in found.findings[0].remedies[0].az


def test_a_vault_that_took_in_its_days_share_spills_or_waits_for_the_next_utc_day() -> None:
    both = with_set(f"{{ids: ['{A.id}', '{B.id}']}}")
    room = {A.id.key: Room(items=9, today=240), B.id.key: Room(items=9, today=239)}
    assert placed(snapshot(vaults=(A, B), room=room), both).vault == B
    found = placed(snapshot(vaults=(A, B), room=room), both.replace("']}", "'], spill: false}"))
    assert isinstance(found, Later)
    assert found.until == datetime(2026, 11, 21, tzinfo=UTC)
    assert codes(found) == ["VAULT_DAY_FULL"]
    assert isinstance(placed(snapshot(vaults=(A, B), room=room), both, day_cap=200), Later)


def test_a_vault_being_made_is_waited_for() -> None:
    found = placed(snapshot(vaults=(replace(A, provisioning="Provisioning"),)))
    assert isinstance(found, Later)
    assert found.until == NOW + timedelta(minutes=5)


def test_a_second_set_is_asked_when_the_first_has_nothing() -> None:
    text = RULES.replace(
        "  central: {tags: {backup-vault: central}}",
        "  central: {tags: {backup-vault: central}}\n  spare: {tags: {backup-vault: spare}}",
    ).replace("default: {}", "default: {vaults: [central, spare]}")
    spare = vault("rsv-spare", tags={"backup-vault": "spare"})
    assert placed(snapshot(vaults=(spare,)), text).vault == spare
    assert placed(snapshot(vaults=(spare, A)), text).vault == A


def test_a_name_held_by_another_subscriptions_vm_is_found_before_the_put() -> None:
    body = vm()
    other = vm(subscription=OTHER_SUB)
    held = item(A, other, source=other.id)
    assert codes(placed(snapshot(body, (A,), items=(held,)))) == ["NAME_TAKEN"]
    found = placed(snapshot(body, (A, B), items=(held,)))
    assert found.vault == B


# --- sticky --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(state, id=state.value)
        for state in (
            ProtectionState.PENDING,
            ProtectionState.PROTECTED,
            ProtectionState.STOPPED,
            ProtectionState.SOFT_DELETED,
        )
    ],
)
def test_a_placed_vm_stays_where_it_is_even_if_the_vault_is_full(state) -> None:
    body = vm()
    mine = item(B, body, state=state)
    room = {A.id.key: Room(items=0, today=0), B.id.key: Room(items=1000, today=240)}
    text = with_set(f"{{ids: ['{A.id}', '{B.id}']}}")
    found = placed(snapshot(body, (A, B), items=(mine,), room=room), text)
    assert isinstance(found, Place)
    assert (found.vault, found.current) == (B, mine)


def test_an_item_named_in_another_case_is_the_vms_own() -> None:
    body = vm()
    loud = vm("WEB-1", "RG-APP")
    mine = item(B, body, id=item_of(B.id, loud.id), source=loud.id)
    assert placed(snapshot(body, (A, B), items=(mine,))).current == mine


def test_an_item_in_a_vault_that_rules_do_not_choose_is_not_sticky() -> None:
    body, team = vm(), vault("rsv-team", tags={})
    found = placed(snapshot(body, (A, team), items=(item(team, body),)))
    assert (found.vault, found.current) == (A, None)


def test_a_live_item_counts_more_than_a_soft_deleted_one() -> None:
    body = vm()
    dead = item(A, body, state=ProtectionState.SOFT_DELETED)
    live = item(B, body)
    assert placed(snapshot(body, (A, B), items=(dead, live))).current == live


def test_moving_inside_a_spread_group_would_be_drift() -> None:
    body = vm(tags={"backup-tier": "silver"})
    for name in ("silver-a", "silver-b"):
        found = placed(snapshot(body, (A,), items=(item(A, body, name),)))
        assert found.policy.name == name


# --- policies ------------------------------------------------------------------------------------

TRUSTED = SecurityType.TRUSTED_LAUNCH


def named(found) -> str:
    assert isinstance(found, Place), found
    return found.policy.name


@pytest.mark.parametrize(
    "changes, option, expected",
    [
        pytest.param({}, "", "gold", id="plain VM: Standard"),
        pytest.param({}, "policy_kind: enhanced", "gold-enhanced", id="plain VM, Enhanced wished"),
        pytest.param({"security": TRUSTED}, "", "gold-enhanced", id="Trusted Launch prefers"),
        pytest.param(
            {"security": TRUSTED},
            "trusted_launch: require-enhanced",
            "gold-enhanced",
            id="requires",
        ),
        pytest.param(
            {"security": TRUSTED}, "trusted_launch: allow-standard", "gold", id="Standard allowed"
        ),
        pytest.param(
            {"os_disk": disk(storage_type="PremiumV2_LRS")}, "", "gold-enhanced", id="Premium v2"
        ),
        pytest.param(
            {"data_disks": (disk(lun=0, storage_type="UltraSSD_LRS"),)},
            "trusted_launch: allow-standard",
            "gold-enhanced",
            id="Ultra",
        ),
        pytest.param({"extended_location": "zone-1"}, "", "gold-enhanced", id="extended zone"),
    ],
)
def test_the_kind_of_policy_follows_the_vm(changes, option, expected) -> None:
    text = RULES.replace("default: {}", f"default: {{options: {{{option}}}}}")
    assert named(placed(snapshot(vm(**changes), (A,)), text)) == expected


def test_a_tier_without_the_needed_kind_is_refused_with_the_twin_to_make() -> None:
    body = vm(tags={"backup-tier": "bronze", "env": "prod"}, security=TRUSTED)
    found = placed(snapshot(body, (A,)))
    assert codes(found) == ["POLICY_KIND"]
    assert "Trusted Launch" in found.findings[0].evidence
    assert "'bronze-enhanced'" in found.findings[0].remedies[0].powershell


def test_trusted_launch_takes_a_standard_policy_with_a_remark_if_rules_only_prefer() -> None:
    body = vm(tags={"backup-tier": "bronze"}, security=TRUSTED)
    found = placed(snapshot(body, (A,)))
    assert named(found) == "bronze"
    assert codes(found) == ["TRUSTED_LAUNCH_STANDARD"]
    text = RULES.replace("default: {}", "default: {options: {trusted_launch: allow-standard}}")
    assert codes(placed(snapshot(body, (A,)), text)) == []


def test_what_is_enhanced_stays_enhanced() -> None:
    body = vm()
    found = placed(snapshot(body, (A,), items=(item(A, body, "gold-enhanced"),)))
    assert named(found) == "gold-enhanced"
    bronze = vm(tags={"backup-tier": "bronze"})
    back = placed(snapshot(bronze, (A,), items=(item(A, bronze, "gold-enhanced"),)))
    assert codes(back) == ["POLICY_KIND"]
    assert "Enhanced policy gold-enhanced already" in back.findings[0].evidence


def test_a_placed_standard_vm_is_not_pushed_through_the_one_way_door() -> None:
    body = vm()
    text = RULES.replace("default: {}", "default: {options: {policy_kind: enhanced}}")
    found = placed(snapshot(body, (A,), items=(item(A, body, "gold"),)), text)
    assert named(found) == "gold"


def test_a_vault_without_the_tiers_policy_is_refused_and_told_what_it_has() -> None:
    found = placed(snapshot(vaults=(A,), policies={A.id.key: (policy(A, "DefaultPolicy"),)}))
    assert codes(found) == ["POLICY_MISSING"]
    assert "there: DefaultPolicy" in found.findings[0].evidence
    assert "--name gold" in found.findings[0].remedies[0].az


def test_the_kind_a_policy_really_has_decides_not_the_list_it_is_named_in() -> None:
    odd = (policy(A, "GOLD", PolicyKind.ENHANCED),)
    found = placed(snapshot(vm(security=TRUSTED), (A,), policies={A.id.key: odd}))
    assert named(found) == "GOLD"


def test_vms_are_spread_over_the_policies_of_a_group() -> None:
    chosen = Counter(
        named(placed(snapshot(vm(f"vm-{n}", tags={"backup-tier": "silver"}), (A,))))
        for n in range(200)
    )
    assert set(chosen) == {"silver-a", "silver-b"}
    assert min(chosen.values()) > 70


def test_a_policy_with_a_hundred_vms_is_passed_over_and_if_all_are_full_it_is_only_a_remark() -> (
    None
):
    body = vm(tags={"backup-tier": "silver"})
    keys: dict[str, Policy] = {one.name: one for one in policies(A)}
    taken = {keys["silver-a"].id.key: 100, keys["silver-b"].id.key: 99}
    room = {A.id.key: Room(items=199, today=0, per_policy=taken)}
    assert named(placed(snapshot(body, (A,), room=room))) == "silver-b"
    taken[keys["silver-b"].id.key] = 101
    found = placed(snapshot(body, (A,), room=room))
    assert named(found) == "silver-a"
    assert codes(found) == ["POLICY_FULL"]


def test_without_a_tier_placement_adds_nothing_to_what_selection_said() -> None:
    assert placed(snapshot(vm(tags={"backup-tier": "glod"}))) == Refused(findings=())


# --- notes ---------------------------------------------------------------------------------------

GEO = "{tags: {backup-vault: central}, redundancy: GeoRedundant}"


@pytest.mark.parametrize(
    "changes, expected",
    [
        pytest.param({"redundancy": "LocallyRedundant", "storage_version": "Unassigned"}, ["VAULT_REDUNDANCY"], id="can still be set"),
        pytest.param({"redundancy": "LocallyRedundant"}, ["VAULT_REDUNDANCY_LOCKED"], id="locked"),
        pytest.param({"redundancy": None}, [], id="unknown"),
        pytest.param({"soft_delete": "Disabled"}, ["VAULT_SOFT_DELETE_OFF"], id="soft delete off"),
        pytest.param({"subscription": OTHER_SUB}, ["VAULT_OTHER_SUBSCRIPTION"], id="other subscription"),
        pytest.param({}, [], id="as wanted"),
    ],
)  # fmt: skip
def test_what_is_odd_about_the_vault_is_said(changes, expected) -> None:
    found = placed(snapshot(vaults=(vault(**changes),)), with_set(GEO))
    assert codes(found) == expected


def test_redundancy_is_compared_before_the_first_enrollment_and_stops_it() -> None:
    fresh = vault(redundancy="LocallyRedundant", storage_version="Unassigned")
    found = placed(snapshot(vaults=(fresh,)), with_set(GEO))
    assert isinstance(found, Refused)
    assert "would lock that for good" in found.findings[0].text
    assert "--backup-storage-redundancy GeoRedundant" in found.findings[0].remedies[0].az
    (locked,) = placed(
        snapshot(vaults=(vault(redundancy="LocallyRedundant"),)), with_set(GEO)
    ).notes
    assert "cannot be changed any more" in locked.text


def test_the_reasons_of_a_placement_are_said() -> None:
    found = placed(snapshot(vaults=(A,)))
    assert found.because == (
        "vault rsv-a of set central",
        "tier gold: tag backup-tier=gold",
        "policy gold (Standard)",
    )


def test_rules_can_be_built_once_and_used_for_many() -> None:
    content = rules()
    world = snapshot()
    first = place(content, select(content, world, (), NOW), world, NOW)
    assert first == place(content, select(content, world, (), NOW), world, NOW)
