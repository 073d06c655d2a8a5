"""Resource Graph: the query language's subset, lag, pages, and rows left out without an error."""

import pytest

from simulator.arm import Principal, PrincipalKind
from simulator.kql import parse
from simulator.kql_tree import UnsupportedQueryError
from simulator.roles import READER
from tests.simulator.core import CALLER, GROUP, OTHER, SUB, Azure, azure, vm_body, vm_id
from tests.simulator.test_core_access import granted

VMS = "Resources | where type =~ 'microsoft.compute/virtualMachines'"


def estate(**seed: object) -> Azure:
    gold = vm_body("gold", tags={"tier": "Gold", "cost center": "42"})
    far = vm_body("far", location="East US", zones=["1"])
    far["properties"]["timeCreated"] = "2026-02-01T10:00:00.0000000+00:00"
    disk = {
        "id": f"{GROUP}/providers/Microsoft.Compute/disks/d1",
        "location": "westeurope",
        "sku": {"name": "UltraSSD_LRS"},
        "properties": {"maxShares": 2, "diskSizeGB": 512},
    }
    return azure(gold, far, disk, **seed)


def names(query: str) -> list[str]:
    return [row["name"] for row in estate().rows(f"{VMS} | {query} | order by name asc")]


@pytest.mark.parametrize(
    "query,expected",
    [
        ("where tags.tier == 'Gold'", ["gold"]),
        ("where tags.tier == 'gold'", []),
        ("where tags.tier =~ 'gold'", ["gold"]),
        ("where tags['cost center'] == 42", ["gold"]),
        ("where tags['cost center'] == '42'", ["gold"]),
        ("where tags.tier != 'Gold'", ["far"]),
        ("where isempty(tags.tier)", ["far"]),
        ("where isnotempty(tostring(tags['tier']))", ["gold"]),
        ("where location in ('eastus', 'westus')", ["far"]),
        ("where location in~ ('EASTUS')", ["far"]),
        ("where location !in ('eastus')", ["gold"]),
        ("where name startswith 'GO'", ["gold"]),
        ("where name !startswith 'go'", ["far"]),
        ("where id contains 'virtualmachines/FAR'", ["far"]),
        ("where id has 'far'", ["far"]),
        ("where id has 'fa'", []),
        ("where name == 'gold' or name == 'far'", ["far", "gold"]),
        ("where name == 'gold' and (location == 'eastus' or isnotempty(tags))", ["gold"]),
        ("where not(name == 'gold')", ["far"]),
        ("where name > 'far'", ["gold"]),
        ("where name >= 'far' | where name < 'gold'", ["far"]),
        ("where todatetime(properties.timeCreated) < datetime('2026-02-01T10:00:01Z')", None),
        ("where todatetime(properties.timeCreated) > ago(29d)", ["far"]),
        ("where array_length(zones) == 1", ["far"]),
        ("where properties.storageProfile.osDisk.osType =~ 'linux'", ["far", "gold"]),
        ("where properties['storageProfile']['osDisk'].name == 'far-os'", ["far"]),
        ("where properties.extended.instanceView.powerState.code =~ 'powerstate/running'", None),
        ("where resourceGroup == 'rg-web'", ["far", "gold"]),
        ("take 1", ["gold"]),
    ],
)
def test_a_condition_picks_its_rows(query: str, expected: list[str] | None) -> None:
    assert names(query) == (["far", "gold"] if expected is None else expected)


def test_columns_are_projected_extended_and_renamed() -> None:
    query = (
        f"{VMS} | where name == 'gold' | extend tier=tolower(tags.tier), n=strcat(name, '!')"
        " | project id, name, tier, n, os=properties.storageProfile.osDisk.osType,"
        " size=tostring(parse_json(properties).hardwareProfile.vmSize)"
    )
    assert estate().rows(query) == [
        {
            "id": vm_id("gold"),
            "name": "gold",
            "tier": "gold",
            "n": "gold!",
            "os": "Linux",
            "size": "Standard_D2s_v5",
        }
    ]


def test_rows_are_counted_by_a_column() -> None:
    rows = estate().rows(
        "Resources | summarize n=count() by type, location | order by n desc, type"
    )
    assert {(row["type"], row["location"], row["n"]) for row in rows} == {
        ("microsoft.compute/virtualmachines", "westeurope", 1),
        ("microsoft.compute/virtualmachines", "eastus", 1),
        ("microsoft.compute/disks", "westeurope", 1),
    }
    assert estate().rows(f"{VMS} | count") == [{"Count": 2}]
    counted = estate().rows("Resources | summarize count() by subscriptionId")
    assert counted == [{"subscriptionId": SUB, "count_": 3}]


def test_disk_facts_come_in_one_query_by_id() -> None:
    query = (
        "Resources | where type == 'microsoft.compute/disks' | where id in~ "
        f"('{GROUP.upper()}/PROVIDERS/MICROSOFT.COMPUTE/DISKS/D1')"
        " | project id, sku=sku.name, shares=toint(properties.maxShares)"
    )
    (row,) = estate().rows(query)
    assert (row["sku"], row["shares"]) == ("UltraSSD_LRS", 2)


def test_the_type_is_lower_case_and_the_location_plain() -> None:
    (row,) = estate().rows(f"{VMS} | where name == 'far'")
    assert row["type"] == "microsoft.compute/virtualmachines"
    assert row["location"] == "eastus"
    assert row["resourceGroup"] == "rg-web"
    assert row["id"] == vm_id("far")


def test_subscriptions_and_groups_are_containers() -> None:
    rows = estate().rows("ResourceContainers | project name, type, subscriptionId, tags")
    kinds = {row["type"]: row for row in rows if row["subscriptionId"] == SUB}
    assert kinds["microsoft.resources/subscriptions"]["tags"] == {"owner": "web@x"}
    assert kinds["microsoft.resources/subscriptions/resourcegroups"]["name"] == "rg-Web"


@pytest.mark.parametrize(
    "query,word",
    [
        ("Resources | join kind=inner (x) on id", "operator 'join'"),
        ("Resources | union x", "operator 'union'"),
        ("Resources | mv-expand zones", "operator 'mv-expand'"),
        ("Resources | where strlen(name) > 3", "function 'strlen'"),
        ("Resources | summarize arg_max(name, id)", "aggregate 'arg_max'"),
        ("Resources | where name matches regex 'x'", "'matches'"),
        ("SecurityResources", "table 'SecurityResources'"),
        ("Resources | project name = ", "''"),
        ("Resources | where name == 'x' }", "'}'"),
        ("let x = 1; Resources", "';"),
    ],
)
def test_what_is_outside_the_subset_is_refused_by_name(query: str, word: str) -> None:
    reply = estate().graph(query)
    assert reply.status == 400
    assert word in reply.body["error"]["details"][0]["message"]


@pytest.mark.parametrize(
    "text", ["", "|", "Resources |", "Resources | where", "Resources | take x"]
)
def test_what_is_no_query_is_an_error(text: str) -> None:
    with pytest.raises(UnsupportedQueryError):
        parse(text)


def test_a_new_vm_shows_after_the_lag_and_a_deleted_one_lingers() -> None:
    """Assumed: 60 s; facts §4.5 says seconds to minutes."""
    a = estate(timeline=[{"at": 100, "put": vm_body("new")}, {"at": 300, "delete": vm_id("gold")}])

    def shown() -> set[str]:
        return {row["name"] for row in a.rows(f"{VMS} | project name")}

    a.wait(159)
    assert shown() == {"gold", "far"}
    a.wait(1)
    assert shown() == {"gold", "far", "new"}
    a.wait(199)
    assert shown() == {"gold", "far", "new"}
    a.wait(1)
    assert shown() == {"far", "new"}


def many(count: int, **knobs: object) -> Azure:
    vms = [vm_body(f"vm{n:04d}") for n in range(count)]
    return azure(*vms, knobs={"graph.page_size": 3, **knobs})


def test_pages_follow_a_skip_token_when_the_id_is_projected() -> None:
    a = many(8)
    query = f"{VMS} | project id, name | order by id asc"
    seen, token = [], None
    for expected in (3, 3, 2):
        reply = a.graph(query, options={"$skipToken": token} if token else {}).body
        assert (reply["count"], reply["totalRecords"]) == (expected, 8)
        seen += [row["name"] for row in reply["data"]]
        token = reply.get("$skipToken")
    assert token is None
    assert seen == [f"vm{n:04d}" for n in range(8)]


def test_without_the_id_there_is_no_token_and_the_answer_says_it_is_cut() -> None:
    """Specified: facts §4.5a."""
    reply = many(8).graph(f"{VMS} | project name").body
    assert "$skipToken" not in reply
    assert reply["resultTruncated"] == "true"


@pytest.mark.parametrize("word", ["take", "limit"])
def test_take_gives_no_token_and_is_refused_together_with_one(word: str) -> None:
    """Specified: facts §4.5a."""
    a = many(8)
    token = a.graph(f"{VMS} | project id").body["$skipToken"]
    taken = f"{VMS} | project id | {word} 5"
    assert "$skipToken" not in a.graph(taken).body
    assert a.graph(taken, options={"$skipToken": token}).status == 400


def test_a_token_belongs_to_its_query() -> None:
    a = many(8)
    token = a.graph(f"{VMS} | project id").body["$skipToken"]
    other = a.graph(f"{VMS} | project id, name", options={"$skipToken": token})
    assert other.body["error"]["details"][0]["code"] == "InvalidSkipToken"
    assert a.graph(f"{VMS} | project id", options={"$skipToken": "%%"}).status == 400


def test_a_cursor_by_id_walks_the_same_rows() -> None:
    a = many(8)
    seen, after = [], ""
    while rows := a.rows(f"{VMS} | where id > '{after}' | project id | order by id asc"):
        seen += [row["id"] for row in rows]
        after = seen[-1]
    assert seen == [vm_id(f"vm{n:04d}") for n in range(8)]


def test_rows_one_may_not_read_are_left_out_without_an_error() -> None:
    """Specified: facts §4.5a."""
    blind = Principal(object_id="blind", app_id="", kind=PrincipalKind.SERVICE)
    hidden = vm_body("hidden", id=vm_id("hidden", group="rg-Other"))
    a = azure(vm_body("vm1"), hidden, granted(GROUP, READER))
    assert [row["name"] for row in a.rows(f"{VMS} | project name")] == ["vm1"]
    assert a.rows(f"{VMS} | project name", principal=blind) == []
    everyone = azure(vm_body("vm1"), hidden, granted(f"/subscriptions/{SUB}", READER, CALLER))
    assert len(everyone.rows(f"{VMS} | project name")) == 2


def test_only_the_subscriptions_asked_for_are_searched() -> None:
    a = azure(vm_body("vm1"), vm_body("vm2", id=vm_id("vm2", subscription=OTHER)))
    assert len(a.rows(VMS)) == 2
    assert [row["name"] for row in a.rows(VMS, subscriptions=[OTHER.upper()])] == ["vm2"]
    assert a.rows(VMS, subscriptions=["44444444-4444-4444-8444-444444444444"]) == []


def test_the_table_form_names_its_columns() -> None:
    options = {"resultFormat": "table"}
    data = estate().graph(f"{VMS} | where name == 'far' | project name, zones", options=options)
    assert data.body["data"]["columns"][0] == {"name": "name", "type": "string"}
    assert data.body["data"]["rows"] == [["far", ["1"]]]
