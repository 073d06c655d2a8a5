"""Resource Graph, the directory and the index, over a fake wire."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest

from shared.adapters.directory import ArmDirectory
from shared.adapters.graph import GraphEstate
from shared.adapters.index import GraphIndex
from shared.domain.ids import ArmId, item_of, virtual_machine
from shared.domain.model import Policy, PolicyKind, ProtectedItem, ProtectionState, Vault
from shared.errors import AzureFault
from shared.ports import Page
from tests.fakes.azure import FakeBackup as InMemoryBackup
from tests.fakes.azure import FakeClock, FakeDirectory, FakeMachines, fault
from tests.fakes.azure import FakeEstate as InMemoryEstate
from tests.fakes.wire import SUB, Answer, Wire, clients_on, settings_for

OTHER = "33333333-3333-4333-8333-333333333333"
GROUP = f"/subscriptions/{SUB}/resourceGroups/rg"
VM = virtual_machine(SUB, "rg", "vm")
VAULT = ArmId.parse(f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/v")
POLICY = VAULT.child("backupPolicies", "p")
ITEM = item_of(VAULT, VM)
GRAPH = "/providers/Microsoft.ResourceGraph/resources"
DENIED = Answer(403, {"error": {"code": "AuthorizationFailed", "message": "no right"}})
POLICY_BODY = {"id": str(POLICY), "properties": {"backupManagementType": "AzureIaasVM"}}


def graph_of(*rows: dict, more: bool = False, **extra) -> Answer:
    total = len(rows) + (1 if more else 0)
    return Answer(200, {"data": list(rows), "count": len(rows), "totalRecords": total} | extra)


def estate(wire: Wire, clock: FakeClock | None = None, **env: str) -> GraphEstate:
    settings = settings_for(**env)
    clock = clock or FakeClock(speed=1e6)
    return GraphEstate(clients_on(wire, settings=settings, clock=clock), settings, clock)


# --- Resource Graph ------------------------------------------------------------------------------


async def test_vms_are_walked_by_key_until_no_rows_are_left():
    wire = Wire()
    row = {"id": str(VM).upper(), "location": "West Europe", "tags": {"a": "b"}, "uid": "u"}
    wire.on("POST", GRAPH, graph_of(row, more=True), graph_of())

    first = await estate(wire).vms(SUB, "")
    second = await estate(wire).vms(SUB, first.cursor)

    assert [(vm.id, vm.uid, vm.location) for vm in first.rows] == [(VM, "u", "westeurope")]
    assert (first.cursor, second) == (VM.key, Page(rows=(), cursor=""))
    question = wire.sent[1].body
    assert question["subscriptions"] == [SUB]
    assert question["options"] == {"resultFormat": "objectArray", "$top": 1000}
    assert f"strcmp(key, '{VM.key}') > 0" in question["query"]
    assert "strcmp" not in wire.sent[0].body["query"]


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"$skipToken": "x"}, id="skip token: 16 MB were reached"),
        pytest.param({"resultTruncated": "true"}, id="truncated"),
    ],
)
async def test_a_page_that_is_not_the_last_says_so_in_several_ways(extra):
    wire = Wire()
    wire.on("POST", GRAPH, graph_of({"id": str(VM)}, **extra))

    assert (await estate(wire).vms(SUB, "")).cursor == VM.key


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(200, {"data": {"columns": [], "rows": []}}), id="a table"),
        pytest.param(Answer(200, {}), id="no data"),
        pytest.param(Answer(200, "<html>"), id="HTML"),
        pytest.param(graph_of(more=True), id="more, but nothing to go on from"),
        pytest.param(Answer(429, {"error": {"code": "RateLimiting"}}), id="throttled"),
    ],
)
async def test_an_answer_without_rows_is_a_fault_and_never_an_empty_estate(answer):
    wire = Wire()
    wire.on("POST", GRAPH, answer)

    with pytest.raises(AzureFault):
        await estate(wire).vms(SUB, "")


async def test_a_cursor_cannot_leave_its_quotes():
    wire = Wire()
    wire.on("POST", GRAPH, graph_of())

    await estate(wire).vms(SUB, "x' or '1' == '1\\")

    assert "strcmp(key, 'x\\' or \\'1\\' == \\'1\\\\') > 0" in wire.sent[0].body["query"]


async def test_items_are_read_from_columns_in_both_spellings():
    wire = Wire()
    wire.on(
        "POST",
        GRAPH,
        graph_of(
            {
                "id": str(ITEM),
                "backupManagementType": "AzureIaasVM",
                "currentProtectionState": "ProtectionConfigured",
                "dataSourceInfo": {"resourceID": str(VM)},
                "policyId": str(POLICY),
                "isScheduledForDeferredDelete": "",
            },
            {"id": "no id", "backupManagementType": "AzureIaasVM"},
        ),
    )

    page = await estate(wire).items([SUB, OTHER], "")

    (item,) = page.rows
    assert (item.id, item.source, item.state) == (ITEM, VM, ProtectionState.PENDING)


async def test_subscriptions_are_those_of_the_settings_or_all_that_can_be_read():
    wire = Wire()
    wire.on(
        "POST",
        GRAPH,
        graph_of(
            {"id": "/a", "subscriptionId": SUB.upper(), "tags": {"o": "x"}, "state": "Enabled"},
            {"id": "/b", "subscriptionId": OTHER, "tags": None, "state": "Disabled"},
        ),
    )

    assert await estate(wire, SUBSCRIPTIONS=OTHER).subscriptions() == (OTHER,)
    assert wire.sent == []
    readable = estate(wire)
    assert await readable.subscriptions() == (SUB,)
    assert await readable.subscription_tags([SUB, OTHER]) == {SUB: {"o": "x"}}
    assert len(wire.sent) == 1
    assert "subscriptions" not in wire.sent[0].body


async def test_group_tags_cost_one_query_per_subscription_and_a_new_group_one_more():
    wire, clock = Wire(), FakeClock()
    row = {"id": "/g", "subscriptionId": SUB, "resourceGroup": "rg", "tags": {"t": "1"}}
    later = row | {"id": "/h", "resourceGroup": "New", "managedBy": "/aks"}
    wire.on("POST", GRAPH, graph_of(row), graph_of(row, later))
    graph = estate(wire, clock)

    assert await graph.group_tags([(SUB, "RG")]) == {(SUB, "rg"): ({"t": "1"}, "")}
    assert await graph.group_tags([(SUB, "new")]) == {}
    assert len(wire.sent) == 1  # known to be unknown for a minute
    clock.advance(61)
    assert await graph.group_tags([(SUB, "new")]) == {(SUB, "new"): ({"t": "1"}, "/aks")}
    assert len(wire.sent) == 2


def disk(name: str) -> ArmId:
    return ArmId.parse(f"{GROUP}/providers/Microsoft.Compute/disks/{name}")


async def test_disks_of_many_vms_are_one_query():
    wire = Wire()
    body = {
        "id": str(disk("A")),
        "sku": {"name": "UltraSSD_LRS"},
        "properties": {"diskSizeGB": 64, "maxShares": 2, "networkAccessPolicy": "DenyAll"},
    }
    wire.on("POST", GRAPH, graph_of(body))
    graph = estate(wire)

    first, second, third = await asyncio.gather(
        graph.disks([disk("a")]), graph.disks([disk("a"), disk("b")]), graph.disks([])
    )

    assert len(wire.sent) == 1
    assert sorted(re.findall(r"disks/(\w)'", wire.sent[0].body["query"])) == ["a", "b"]
    facts = first[disk("a").key]
    assert (facts.storage_type, facts.max_shares, facts.network_access) == (
        "UltraSSD_LRS",
        2,
        "DenyAll",
    )
    assert set(second) == {disk("a").key}
    assert third == {}


async def test_a_failed_query_for_disks_fails_everybody_who_asked_and_nobody_later():
    wire = Wire()
    throttled = Answer(429, {"error": {"code": "RateLimiting"}}, {"Retry-After": "0"})
    wire.on("POST", GRAPH, throttled, graph_of())
    graph = estate(wire)

    answers = await asyncio.gather(
        graph.disks([disk("a")]), graph.disks([disk("a"), disk("b")]), return_exceptions=True
    )

    assert [type(answer) for answer in answers] == [AzureFault, AzureFault]
    assert await graph.disks([disk("a")]) == {}


async def test_whoever_asked_for_all_may_be_stopped_without_stopping_the_others():
    wire = Wire()
    wire.on("POST", GRAPH, graph_of())
    graph = estate(wire)
    leader = asyncio.create_task(graph.disks([disk("a")]))
    await asyncio.sleep(0)
    follower = asyncio.create_task(graph.disks([disk("a")]))
    await asyncio.sleep(0)

    leader.cancel()

    with pytest.raises(AzureFault):
        await follower
    assert await graph.disks([disk("a")]) == {}


async def test_a_disk_named_like_our_own_marks_stays_a_name():
    wire = Wire()
    odd = disk("x{after}{keys}")
    wire.on("POST", GRAPH, graph_of({"id": str(disk("y"))}, more=True), graph_of())

    await estate(wire).disks([odd, disk("y")])

    for sent in wire.sent:
        assert "disks/x{after}{keys}'" in sent.body["query"]


async def test_locks_of_a_subscription_are_one_list_and_cover_what_lies_below():
    wire = Wire()

    def lock(scope: str, name: str) -> dict:
        return {
            "id": f"{scope}/providers/microsoft.authorization/locks/{name}",
            "name": name,
            "properties": {"level": "ReadOnly"},
        }

    wire.on(
        "GET",
        f"/subscriptions/{SUB}/providers/Microsoft.Authorization/locks",
        Answer(
            200,
            {
                "value": [
                    lock(f"/subscriptions/{SUB}", "all"),
                    lock(GROUP.replace("rg", "RG"), "group"),
                    lock(str(VM), "own"),
                    lock(f"{VM}2", "neighbor"),
                    lock(f"{GROUP}2", "other group"),
                    lock(
                        f"/subscriptions/{SUB}/resourceGroups/AzureBackupRG_westeurope_1", "points"
                    ),
                ]
            },
        ),
    )
    graph = estate(wire)

    assert [lock.name for lock in await graph.locks(VM)] == ["all", "group", "own", "points"]
    assert [lock.name for lock in await graph.locks(VM)] == ["all", "group", "own", "points"]
    assert len(wire.sent) == 1


# --- the directory -------------------------------------------------------------------------------


class PolicyGraph:
    """What Resource Graph knows of policies; `failing` if it does not answer."""

    def __init__(self, *policies: Policy, subscriptions=(SUB,)):
        self.known = policies
        self.scope = subscriptions
        self.failing = False
        self.walks = 0

    async def subscriptions(self):
        return self.scope

    async def policies(self, subscriptions, after):
        self.walks += 1
        if self.failing:
            raise fault()
        rows = sorted((p for p in self.known if p.id.key > after), key=lambda p: p.id.key)
        return Page(rows=tuple(rows[:1]), cursor=rows[0].id.key if len(rows) > 1 else "")


def policy(name: str, vault: ArmId = VAULT) -> Policy:
    return Policy(
        id=vault.child("backupPolicies", name),
        kind=PolicyKind.STANDARD,
        schedule=None,
        retention=None,
        instant_restore_days=2,
        time_zone="UTC",
    )


def directory(wire: Wire, graph: PolicyGraph, clock: FakeClock | None = None) -> ArmDirectory:
    clock = clock or FakeClock(speed=1e6)
    return ArmDirectory(clients_on(wire, clock=clock), settings_for(), clock, graph)


def vaults_of(subscription: str) -> str:
    return f"^/subscriptions/{subscription}/providers/Microsoft.RecoveryServices/vaults$"


def vault_body(name: str = "v", subscription: str = SUB) -> dict:
    vault = f"/subscriptions/{subscription}/resourceGroups/rg/providers/Microsoft.RecoveryServices"
    return {"id": f"{vault}/vaults/{name}", "location": "westeurope", "properties": {}}


async def test_vaults_are_listed_once_for_everybody_and_again_when_old():
    wire, clock = Wire(), FakeClock()
    link = "https://management.azure.com/more?x=1"
    wire.on("GET", vaults_of(SUB), Answer(200, {"value": [vault_body()], "nextLink": link}))
    wire.on("GET", "/more", Answer(200, {"value": [vault_body("w")]}))
    known = directory(wire, PolicyGraph(), clock)

    found = await asyncio.gather(*(known.vaults() for _ in range(5)))

    assert {vault.name for vault in found[0]} == {"v", "w"}
    assert len(wire.sent) == 2
    assert wire.sent[0].query == {"api-version": "2025-08-01"}
    clock.advance(901)
    await known.vaults()
    assert len(wire.sent) == 4


async def test_a_list_that_leads_elsewhere_is_not_followed():
    wire = Wire()
    body = {"value": [], "nextLink": "https://evil.example/steal"}
    wire.on("GET", vaults_of(SUB), Answer(200, body))

    with pytest.raises(AzureFault):
        await directory(wire, PolicyGraph()).vaults()

    assert len(wire.sent) == 1


async def test_a_subscription_without_right_to_list_has_no_vaults_for_us():
    wire = Wire()
    wire.on("GET", vaults_of(SUB), Answer(200, {"value": [vault_body()]}))
    wire.on("GET", vaults_of(OTHER), DENIED)

    known = directory(wire, PolicyGraph(subscriptions=(SUB, OTHER)))

    assert [vault.name for vault in await known.vaults()] == ["v"]


async def test_a_right_that_is_lost_is_no_evidence_that_vaults_are_gone():
    wire, clock = Wire(), FakeClock()
    wire.on("GET", vaults_of(SUB), Answer(200, {"value": [vault_body()]}), DENIED)
    known = directory(wire, PolicyGraph(), clock)
    await known.vaults()

    clock.advance(901)
    assert [vault.name for vault in await known.vaults()] == ["v"]  # for a while longer
    clock.advance(4 * 900)
    with pytest.raises(AzureFault):
        await known.vaults()


async def test_no_right_anywhere_is_a_fault_and_not_an_empty_directory():
    wire = Wire()
    wire.on("GET", vaults_of(SUB), DENIED)

    with pytest.raises(AzureFault):
        await directory(wire, PolicyGraph()).vaults()


async def test_policies_of_all_vaults_are_one_walk():
    wire = Wire()
    wire.on("GET", vaults_of(SUB), Answer(200, {"value": [vault_body(), vault_body("w")]}))
    other = ArmId.parse(vault_body("w")["id"])
    graph = PolicyGraph(policy("a"), policy("b"), policy("c", other))
    known = directory(wire, graph)

    assert [p.name for p in await known.policies(VAULT)] == ["a", "b"]
    assert [p.name for p in await known.policies(other)] == ["c"]
    assert graph.walks == 3  # pages of one
    assert len(wire.sent) == 1


async def test_a_vault_that_graph_does_not_show_is_listed_by_arm():
    wire = Wire()
    wire.on("GET", vaults_of(SUB), Answer(200, {"value": [vault_body()]}))
    wire.on("GET", "/backupPolicies$", Answer(200, {"value": [POLICY_BODY]}))
    known = directory(wire, PolicyGraph())

    assert [p.name for p in await known.policies(VAULT)] == ["p"]
    await known.policies(VAULT)

    lists = [sent for sent in wire.sent if sent.path.endswith("/backupPolicies")]
    assert len(lists) == 1
    assert lists[0].query["$filter"] == "backupManagementType eq 'AzureIaasVM'"


async def test_a_list_by_arm_is_kept_until_graph_can_show_the_vault():
    wire, clock = Wire(), FakeClock()
    wire.on("GET", vaults_of(SUB), Answer(200, {"value": [vault_body()]}))
    wire.on("GET", "/backupPolicies$", Answer(200, {"value": [POLICY_BODY]}))
    hurried = settings_for(DIRECTORY_SECONDS="60")
    known = ArmDirectory(clients_on(wire, clock=clock), hurried, clock, PolicyGraph())

    for _ in range(7):
        await known.policies(VAULT)
        clock.advance(120)

    assert sum(sent.path.endswith("/backupPolicies") for sent in wire.sent) == 1


async def test_policies_are_read_from_arm_while_graph_does_not_answer():
    wire = Wire()
    wire.on("GET", vaults_of(SUB), Answer(200, {"value": [vault_body()]}))
    wire.on("GET", "/backupPolicies$", Answer(200, {"value": [POLICY_BODY]}))
    graph = PolicyGraph(policy("a"))
    graph.failing = True

    assert [p.name for p in await directory(wire, graph).policies(VAULT)] == ["p"]


async def test_a_forgotten_vault_is_read_from_arm_but_not_by_every_vm_of_a_storm():
    wire, clock = Wire(), FakeClock()
    wire.on("GET", vaults_of(SUB), Answer(200, {"value": [vault_body()]}))
    wire.on("GET", "/backupPolicies$", Answer(200, {"value": [POLICY_BODY]}))
    known = directory(wire, PolicyGraph(policy("old")), clock)
    assert [p.name for p in await known.policies(VAULT)] == ["old"]

    for _ in range(10):
        known.forget(VAULT)
        assert [p.name for p in await known.policies(VAULT)] == ["p"]
    lists = [sent for sent in wire.sent if sent.path.endswith("/backupPolicies")]
    assert len(lists) == 1

    clock.advance(61)
    known.forget(VAULT)
    await known.policies(VAULT)
    clock.advance(901)
    assert [p.name for p in await known.policies(VAULT)] == ["old"]  # Graph has caught up by now

    known.forget(VAULT)  # somebody doubts it all the same
    assert [p.name for p in await known.policies(VAULT)] == ["p"]


# --- the index -----------------------------------------------------------------------------------

LIST = "/backupProtectedItems$"


def item(state=ProtectionState.PENDING, *, vm: ArmId = VM, policy: ArmId | None = POLICY, **more):
    return ProtectedItem(id=item_of(VAULT, vm), source=vm, state=state, policy=policy, **more)


def item_body(state: str = "IRPending") -> dict:
    return {
        "id": str(ITEM),
        "properties": {
            "backupManagementType": "AzureIaasVM",
            "protectionState": state,
            "sourceResourceId": str(VM),
            "policyId": str(POLICY),
        },
    }


class Lab:
    """An index over an in-memory estate, with ARM's lists on a fake wire."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.wire = Wire()
        self.wire.on("GET", LIST, Answer(200, {"value": []}))
        self.backup = InMemoryBackup(self.clock)
        self.estate = InMemoryEstate(FakeMachines(), self.backup)
        self.known = FakeDirectory()
        self.known.add(Vault(id=VAULT, location="westeurope", tags={}))
        clients = clients_on(self.wire, clock=self.clock)
        self.index = GraphIndex(clients, settings_for(), self.clock, self.estate, self.known)

    @property
    def lists(self) -> int:
        return len(self.wire.sent)


async def test_an_item_is_found_by_name_whatever_its_case_and_whosever_it_is():
    lab = Lab()
    lab.backup.put(item(), item(vm=virtual_machine(SUB, "rg", "vm2")))

    for asked in (VM, virtual_machine(OTHER, "RG", "VM")):
        assert [found.id for found in await lab.index.named(asked)] == [ITEM]
    assert await lab.index.named(virtual_machine(SUB, "rg", "v")) == ()
    assert (lab.estate.calls["items"], lab.lists) == (1, 0)


async def test_room_counts_what_takes_room():
    lab = Lab()
    lab.backup.put(
        item(),
        item(ProtectionState.STOPPED, vm=virtual_machine(SUB, "rg", "vm2"), policy=None),
        item(ProtectionState.SOFT_DELETED, vm=virtual_machine(SUB, "rg", "vm3"), policy=None),
    )
    lab.index.learn(item(vm=virtual_machine(SUB, "rg", "vm4")))

    room = await lab.index.room(VAULT)

    assert (room.items, room.today, dict(room.per_policy)) == (3, 0, {POLICY.key: 2})


async def test_what_was_learned_wins_until_graph_agrees():
    lab = Lab()
    lab.backup.put(item(ProtectionState.STOPPED, policy=None))
    assert [found.state for found in await lab.index.named(VM)] == [ProtectionState.STOPPED]

    lab.index.learn(item())
    lab.clock.advance(901)  # Graph still shows the past
    assert [found.state for found in await lab.index.named(VM)] == [ProtectionState.PENDING]

    lab.backup.put(item(ProtectionState.PROTECTED))
    lab.clock.advance(901)  # Graph has seen ours, and tells more
    assert [found.state for found in await lab.index.named(VM)] == [ProtectionState.PROTECTED]
    lab.backup.put(item(ProtectionState.STOPPED, policy=None))
    lab.clock.advance(901)  # and what others did after that counts at once
    assert [found.state for found in await lab.index.named(VM)] == [ProtectionState.STOPPED]


async def test_what_was_learned_does_not_win_for_ever():
    lab = Lab()
    lab.backup.put(item(ProtectionState.STOPPED, policy=None))
    lab.index.learn(item())

    lab.clock.advance(timedelta(minutes=46).total_seconds())
    assert [found.state for found in await lab.index.named(VM)] == [ProtectionState.STOPPED]


async def test_a_vault_that_graph_shows_empty_is_asked_once_and_then_believed():
    lab = Lab()

    assert await lab.index.named(VM) == ()
    assert lab.lists == 1
    assert lab.wire.sent[0].query["$filter"] == (
        "backupManagementType eq 'AzureIaasVM' and itemType eq 'VM'"
    )
    lab.clock.advance(901)
    await lab.index.named(VM)
    assert lab.lists == 1


async def test_a_vault_that_graph_lags_behind_is_listed_until_it_caught_up():
    lab = Lab()
    lab.wire.on("GET", LIST, Answer(200, {"value": [item_body()]}))

    assert [found.id for found in await lab.index.named(VM)] == [ITEM]
    lab.clock.advance(901)
    assert [found.id for found in await lab.index.named(VM)] == [ITEM]
    assert lab.lists == 2
    lab.backup.put(item())
    lab.clock.advance(901)
    await lab.index.named(VM)
    assert lab.lists == 2


async def test_of_a_vault_that_is_gone_nothing_is_kept_for_one_that_comes_under_its_name():
    lab = Lab()
    lab.backup.put(item())
    await lab.index.named(VM)
    [vault] = await lab.known.vaults()

    lab.known._vaults.clear()
    lab.clock.advance(901)
    assert await lab.index.named(VM) == ()
    lab.known.add(vault)
    lab.estate.hidden.add(SUB)  # Graph shows nothing of the new one yet
    lab.wire.on("GET", LIST, Answer(200, {"value": [item_body()]}))
    lab.clock.advance(901)

    assert [found.id for found in await lab.index.named(VM)] == [ITEM]


async def test_a_vault_that_seems_emptied_is_asked_before_it_is_believed():
    lab = Lab()
    lab.wire.on("GET", LIST, Answer(200, {"value": [item_body("Protected")]}))
    lab.backup.put(item())
    await lab.index.named(VM)

    lab.estate.hidden.add(SUB)  # a role was taken away: rows vanish without an error
    lab.clock.advance(901)

    assert [found.state for found in await lab.index.named(VM)] == [ProtectionState.PROTECTED]
    assert lab.lists == 1


async def test_arm_answers_for_a_graph_that_does_not():
    lab = Lab()
    lab.wire.on("GET", LIST, Answer(200, {"value": [item_body()]}))
    lab.estate.failing = fault("RateLimiting", status=429)

    assert [found.id for found in await lab.index.named(VM)] == [ITEM]


async def test_if_neither_answers_an_older_load_serves_a_while_and_then_nothing_does():
    lab = Lab()
    lab.backup.put(item())
    await lab.index.named(VM)
    lab.estate.failing = fault("RateLimiting", status=429)
    lab.wire.on("GET", LIST, Answer(404, {"error": {"code": "SubscriptionNotFound"}}))

    lab.clock.advance(901)
    assert [found.id for found in await lab.index.named(VM)] == [ITEM]
    lab.clock.advance(2 * 900)
    with pytest.raises(AzureFault):
        await lab.index.named(VM)


async def test_a_vault_whose_items_we_may_not_read_has_none_for_us():
    lab = Lab()
    lab.wire.on("GET", LIST, DENIED)

    assert await lab.index.named(VM) == ()


async def test_a_forgotten_vault_is_listed_by_arm():
    lab = Lab()
    lab.backup.put(item())
    await lab.index.named(VM)
    lab.wire.on("GET", LIST, Answer(200, {"value": [item_body("ProtectionStopped")]}))

    lab.clock.advance(61)
    lab.index.forget(VAULT)

    assert [found.state for found in await lab.index.named(VM)] == [ProtectionState.STOPPED]


THROTTLED = Answer(429, {"error": {"code": "ResourceRequestsThrottled"}}, {"Retry-After": "324"})


async def test_an_estate_of_empty_vaults_does_not_stop_for_want_of_reads():
    lab = Lab()
    lab.wire.on("GET", LIST, THROTTLED, Answer(200, {"value": [item_body()]}))

    assert await lab.index.named(VM) == ()
    lab.clock.advance(901)
    assert [found.id for found in await lab.index.named(VM)] == [ITEM]  # asked again


async def test_a_vault_that_seems_emptied_and_cannot_be_asked_stays_as_it_was():
    lab = Lab()
    lab.backup.put(item())
    await lab.index.named(VM)
    lab.estate.hidden.add(SUB)
    lab.wire.on("GET", LIST, THROTTLED)

    lab.clock.advance(901)

    assert [found.id for found in await lab.index.named(VM)] == [ITEM]


async def test_many_vms_at_once_cost_one_load():
    lab = Lab()
    lab.backup.put(item())

    found = await asyncio.gather(*(lab.index.named(VM) for _ in range(20)))

    assert all(len(items) == 1 for items in found)
    assert lab.estate.calls["items"] == 1
