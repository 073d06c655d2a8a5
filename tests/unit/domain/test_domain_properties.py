"""What holds for every VM, vault and rule that a generator can make."""

import json
from dataclasses import fields, replace
from datetime import timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.catalogue import CATALOGUE, finding
from shared.domain.decide import decide
from shared.domain.decisions import Enroll
from shared.domain.explain import as_text, explain
from shared.domain.findings import Severity
from shared.domain.ids import ArmId
from shared.domain.model import (
    Agent,
    Disk,
    DiskFacts,
    Image,
    Lock,
    NetworkPath,
    OsType,
    PolicyKind,
    ProtectionState,
    Reachability,
    Room,
    SecurityType,
)
from shared.domain.placement import Place, Refused, place
from shared.domain.readiness import check
from shared.domain.rules import parse, tree
from shared.domain.selection import Exclusion, Ignored, Match, NoRule, select
from shared.domain.strength import weaker
from shared.errors import BadRules
from tests.unit.domain.worlds import (
    NOW,
    OTHER_SUB,
    RULES,
    SUB,
    item,
    policies,
    policy,
    rules,
    snapshot,
    vault,
    vm,
)

CONTENT = rules()
VAULTS = (
    vault("a"),
    vault("b", tags={}),
    vault("c", subscription=OTHER_SUB, redundancy=None, soft_delete=None),
    vault("d", location="eastus", provisioning="Provisioning"),
)
words = st.text(max_size=30)
maybe = st.none() | words
numbers = st.none() | st.integers(-1, 10**7)
tags = st.dictionaries(
    st.sampled_from(["backup-tier", "Backup-Tier ", "env", "role", "owner"]) | words,
    st.sampled_from(["gold", "glod", "SILVER ", "prod", "prdo", "dc", ""]) | words,
    max_size=5,
)
disk_ids = st.sampled_from(
    [
        None,
        *(
            ArmId.parse(
                f"/subscriptions/{SUB}/resourceGroups/r/providers/Microsoft.Compute/disks/d{n}"
            )
            for n in range(3)
        ),
    ]
)
storage = (
    st.sampled_from([None, "Premium_LRS", "UltraSSD_LRS", "PremiumV2_LRS", "premiumv2_lrs"]) | words
)
disks = st.builds(
    Disk,
    name=words,
    id=disk_ids,
    lun=st.none() | st.integers(0, 63),
    size_gb=numbers,
    storage_type=storage,
    unmanaged=st.booleans(),
    ephemeral=st.booleans(),
    write_accelerator=st.booleans(),
    create_option=words,
    security_type=st.sampled_from([None, "", "TrustedLaunch", "Standard"]),
    encryption_set=maybe,
)
agents = st.none() | st.builds(Agent, version=words, code=words, status=words, message=words)
images = st.builds(Image, publisher=words, offer=words, sku=words, version=words, id=words)
moments = st.none() | st.timedeltas(timedelta(days=-9000), timedelta(days=5000)).map(NOW.__add__)
bodies = st.builds(
    replace,
    st.just(vm()),
    location=st.sampled_from(["westeurope", "West Europe", "eastus", "", "nowhere"]),
    tags=tags,
    provisioning=st.sampled_from(["Succeeded", "Creating", "Updating", "Deleting", "Failed"])
    | words,
    power=st.sampled_from([None, "running", "stopped", "deallocated", "starting"]) | words,
    agent=agents,
    os=st.none() | st.sampled_from(OsType),
    os_name=maybe,
    os_version=maybe,
    size=words,
    image=images,
    security=st.sampled_from(SecurityType),
    os_disk=disks,
    data_disks=st.lists(disks, max_size=4).map(tuple),
    created=moments,
    managed_by=maybe,
    scale_set=maybe,
    priority=st.sampled_from([None, "Spot", "Regular"]) | words,
    plan=maybe,
    has_os_profile=st.booleans(),
    provision_agent=st.none() | st.booleans(),
    allow_extensions=st.none() | st.booleans(),
    disk_encryption=st.booleans(),
    hibernated=st.booleans(),
    extended_location=maybe,
    nics=st.lists(words, max_size=3).map(tuple),
    failure=maybe,
)
disk_facts = st.none() | st.lists(
    st.builds(
        DiskFacts,
        id=disk_ids.filter(bool),
        size_gb=numbers,
        storage_type=storage,
        max_shares=st.none() | st.integers(0, 9),
        network_access=maybe,
        data_access_auth=st.sampled_from([None, "AzureActiveDirectory", "x"]),
        security_type=maybe,
    )
).map(lambda found: {one.id.key: one for one in found})
items = st.lists(
    st.builds(
        item,
        st.sampled_from(VAULTS),
        st.just(vm()),
        st.sampled_from(["gold", "gold-enhanced", "bronze", "unknown"]),
        state=st.sampled_from(ProtectionState),
        source=st.sampled_from([None, vm().id, vm(subscription=OTHER_SUB).id]),
        deferred_delete=moments,
    ),
    max_size=3,
).map(tuple)
worlds = st.builds(
    snapshot,
    bodies,
    st.lists(st.sampled_from(VAULTS), max_size=4, unique_by=lambda one: one.id.key).map(tuple),
    items=items,
    disks=disk_facts,
    group_tags=st.none() | tags,
    subscription_tags=st.none() | tags,
    group_managed_by=maybe,
    locks=st.none() | st.lists(st.builds(Lock, scope=words, level=words, name=words)).map(tuple),
    network=st.none()
    | st.builds(NetworkPath, answer=st.sampled_from(Reachability), decided_by=words),
    backup_regions=st.none() | st.frozensets(words, max_size=3),
    room=st.sampled_from([{}, {VAULTS[0].id.key: Room(items=1000, today=240)}]),
)  # fmt: skip
COMMON = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@COMMON
@given(worlds)
def test_no_vm_that_can_be_made_crashes_a_check_or_the_explanation(world) -> None:
    match = select(CONTENT, world, (), NOW)
    assert isinstance(match, Match | Exclusion | Ignored | NoRule)
    placed = place(CONTENT, match, world, NOW) if isinstance(match, Match) else None
    found = check(world, CONTENT, match if isinstance(match, Match) else None, placed)
    assert all(one.code in CATALOGUE for one in found)
    assert len({one.code for one in found}) == len(found)
    verdict = decide(world, CONTENT, (), NOW)
    text = as_text(explain(world, CONTENT, verdict, NOW))
    assert text.count("\n") > 5
    json.loads(msgspec.json.encode(verdict.findings))


@COMMON
@given(worlds)
def test_a_vm_with_anything_that_blocks_is_never_enrolled(world) -> None:
    verdict = decide(world, CONTENT, (), NOW)
    if isinstance(verdict.decision, Enroll):
        assert not [one for one in verdict.findings if one.severity is not Severity.ADVISORY]


@COMMON
@given(worlds, st.sampled_from(["os_disk", "data_disks", "hibernated", "provisioning"]))
def test_one_more_thing_wrong_never_turns_a_refusal_into_an_enrollment(world, part) -> None:
    worse = {
        "os_disk": lambda body: replace(body.os_disk, ephemeral=True),
        "data_disks": lambda body: body.data_disks * 40,
        "hibernated": lambda _: True,
        "provisioning": lambda _: "Creating",
    }[part]
    before = decide(world, CONTENT, (), NOW)
    body = replace(world.vm, **{part: worse(world.vm)})
    after = decide(replace(world, vm=body), CONTENT, (), NOW)
    if not isinstance(before.decision, Enroll):
        assert not isinstance(after.decision, Enroll)


@COMMON
@given(worlds)
def test_a_place_is_always_in_the_vms_region_and_of_its_own_kind(world) -> None:
    match = select(CONTENT, world, (), NOW)
    if not isinstance(match, Match):
        return
    placed = place(CONTENT, match, world, NOW)
    if isinstance(placed, Place):
        assert placed.vault.location == world.vm.location.replace(" ", "").lower()
        assert placed.policy.vault == placed.vault.id
        old = placed.current and next(
            (p for p in policies(placed.vault) if p.id == placed.current.policy), None
        )
        if old and old.kind is PolicyKind.ENHANCED:
            assert placed.policy.kind is PolicyKind.ENHANCED
    elif isinstance(placed, Refused) and match.tier:
        assert placed.findings


RULE = st.sampled_from(
    ["{tags: {env: prod}}", "{names: 'web*'}", "{os: Windows}", "{names: none}", "{}"]
)


@COMMON
@given(st.lists(RULE, min_size=1, max_size=6))
def test_only_the_order_of_rules_decides_between_two_that_match(whens) -> None:
    head = RULES.split("rules:", maxsplit=1)[0]
    world = snapshot(vm(tags={"env": "prod", "backup-tier": "gold"}))

    def chosen(order):
        made = "".join(f"  - {{name: r{n}, when: {when}}}\n" for n, when in order)
        found = select(parse(f"{head}rules:\n{made}default: nothing\n"), world, (), NOW)
        return found.rule if isinstance(found, Match) else ""

    numbered = list(enumerate(whens))
    matching = [f"r{n}" for n, when in numbered if when != "{names: none}"]
    assert chosen(numbered) == (matching[0] if matching else "")
    assert chosen(numbered[::-1]) == (matching[-1] if matching else "")


@COMMON
@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")))
def test_no_text_crashes_the_parser(text) -> None:
    with pytest.raises(BadRules):
        parse(text)
    try:
        tree.read(text, "x")
    except BadRules as error:
        assert error.problems


@COMMON
@given(st.integers(0, len(RULES) - 1), st.characters())
def test_one_changed_letter_of_a_rules_file_is_taken_or_refused_with_a_place(at, letter) -> None:
    try:
        parse(RULES[:at] + letter + RULES[at + 1 :], "r.yaml")
    except BadRules as error:
        assert all(one.file == "r.yaml" for one in error.problems)
        assert any(one.line > 0 for one in error.problems)


retentions = st.tuples(*[st.none() | st.integers(1, 99)] * 4)


@COMMON
@given(retentions, retentions, st.integers(1, 30), st.integers(1, 30))
def test_weaker_is_never_empty_both_ways_unless_the_policies_keep_the_same(
    one, other, a, b
) -> None:
    from shared.domain.model import Retention

    names = [field.name for field in fields(Retention)]
    old = policy(
        VAULTS[0],
        "old",
        retention=Retention(**dict(zip(names, one, strict=True))),
        instant_restore_days=a,
    )
    new = policy(
        VAULTS[0],
        "new",
        retention=Retention(**dict(zip(names, other, strict=True))),
        instant_restore_days=b,
    )
    if not weaker(old, new) and not weaker(new, old):
        assert old.retention == new.retention
        assert a == b


def test_a_finding_of_an_unknown_code_cannot_be_made() -> None:
    with pytest.raises(KeyError):
        finding("NO_SUCH", text="x", evidence="y")


def test_time_alone_moves_a_young_vm_from_waiting_to_enrolling() -> None:
    world = snapshot(vm(priority="Spot", created=NOW))
    kinds = [decide(world, CONTENT, (), NOW + timedelta(minutes=m)).kind for m in (0, 9, 10)]
    assert kinds == ["Wait", "Wait", "Enroll"]
