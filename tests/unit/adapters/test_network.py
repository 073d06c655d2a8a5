"""Networks, regions and answers of pre-validation: what is read once for many, and odd bodies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.adapters.bodies.network import parse_interface, parse_nsg, parse_routes
from shared.adapters.bodies.validation import parse_validation
from shared.adapters.directory import ArmDirectory
from shared.adapters.graph import GraphEstate
from shared.adapters.network import ArmNetworks
from shared.adapters.setup import ArmSetup
from shared.domain.ids import ArmId
from shared.domain.network import NextHop
from shared.errors import AzureFault
from tests.fakes.azure import FakeClock
from tests.fakes.azure import FakeEstate as InMemoryEstate
from tests.fakes.wire import SUB, Answer, Wire, clients_on, settings_for
from tests.unit.domain import worlds

GROUP = f"/subscriptions/{SUB}/resourceGroups/rg"
NETWORK = f"{GROUP}/providers/Microsoft.Network"
NSG = f"{NETWORK}/networkSecurityGroups/nsg"
SUBNET = f"{NETWORK}/virtualNetworks/net/subnets/app"
VAULT = ArmId.parse(f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/v")
DENIED = Answer(403, {"error": {"code": "AuthorizationFailed", "message": "no right"}})


def nic(number: int) -> dict:
    address = {"privateIPAddress": f"10.0.0.{number}", "subnet": {"id": SUBNET}}
    return {
        "id": f"{NETWORK}/networkInterfaces/nic{number}",
        "properties": {"ipConfigurations": [{"properties": address}]},
    }


def wired() -> Wire:
    wire = Wire()
    for number in (4, 5):
        wire.on("GET", f"/networkInterfaces/nic{number}$", Answer(200, nic(number)))
    subnet = {"id": SUBNET, "properties": {"networkSecurityGroup": {"id": NSG}}}
    wire.on("GET", "/subnets/app$", Answer(200, subnet))
    wire.on("GET", "/networkSecurityGroups/nsg$", Answer(200, {"id": NSG, "properties": {}}))
    return wire


def networks(wire: Wire, clock: FakeClock) -> ArmNetworks:
    settings = settings_for()
    return ArmNetworks(clients_on(wire, settings=settings, clock=clock), settings, clock)


def connected(number: int):
    return worlds.vm(f"vm{number}", nics=(nic(number)["id"],))


# --- networks ------------------------------------------------------------------------------------


async def test_vms_of_one_subnet_cost_one_call_each_for_the_subnet_and_its_group():
    wire, clock = wired(), FakeClock()
    port = networks(wire, clock)

    (first,) = await port.interfaces(connected(4))
    (second,) = await port.interfaces(connected(5))

    assert (first.private_address, second.private_address) == ("10.0.0.4", "10.0.0.5")
    assert first.subnet_nsg == second.subnet_nsg
    assert first.subnet_nsg.id == ArmId.parse(NSG)
    assert sorted(sent.path.rsplit("/", 1)[1] for sent in wire.sent) == [
        "app",
        "nic4",
        "nic5",
        "nsg",
    ]
    clock.advance(3600)
    await port.interfaces(connected(4))
    assert len(wire.sent) == 7  # a rule that was changed is seen within the hour


def test_what_a_restore_does_not_bring_back_is_read_from_the_interface():
    balancer = (
        f"{SUBNET.split('/providers', maxsplit=1)[0]}/providers/Microsoft.Network/loadBalancers/lb"
    )
    first = {
        "primary": True,
        "subnet": {"id": SUBNET},
        "privateIPAddress": "10.0.0.4",
        "privateIPAllocationMethod": "Static",
        "loadBalancerBackendAddressPools": [{"id": f"{balancer}/backendAddressPools/web"}],
    }
    second = {"privateIPAllocationMethod": "Dynamic", "publicIPAddress": {"id": "/x/pip-1"}}
    body = {"properties": {"ipConfigurations": [{"properties": first}, {"properties": second}]}}

    assert parse_interface(body).lost == (
        "pool web of load balancer lb",
        "fixed address 10.0.0.4",
        "public address pip-1",
    )


async def test_a_text_that_is_no_interface_is_passed_over():
    vm = replace(connected(4), nics=("classic", *connected(4).nics))

    assert len(await networks(wired(), FakeClock()).interfaces(vm)) == 1


async def test_a_network_that_may_not_be_read_is_a_fault():
    wire = wired()
    wire.on("GET", "/subnets/app$", DENIED)

    with pytest.raises(AzureFault):
        await networks(wire, FakeClock()).interfaces(connected(4))


@pytest.mark.parametrize(
    "properties",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"ipConfigurations": [{"properties": {}}]}, id="no subnet"),
        pytest.param(
            {"ipConfigurations": [{"properties": {"subnet": {"id": SUBNET}}}]}, id="no address"
        ),
        pytest.param(
            {
                "ipConfigurations": [
                    {"properties": {"subnet": {"id": SUBNET}, "privateIPAddress": "soon"}}
                ]
            },
            id="no address that can be read",
        ),
    ],
)
def test_an_interface_without_an_address_is_none(properties):
    assert parse_interface({"id": "x", "properties": properties}) is None


@pytest.mark.parametrize(
    "parse, body",
    [
        pytest.param(parse_nsg, {}, id="no group"),
        pytest.param(parse_nsg, {"id": NSG}, id="group without properties"),
        pytest.param(parse_routes, {}, id="no table"),
        pytest.param(
            parse_routes,
            {"properties": {"routes": [{"properties": {"nextHopType": "Moon"}}]}},
            id="a hop nobody has heard of",
        ),
    ],
)
def test_a_body_that_is_something_else_is_refused(parse, body):
    with pytest.raises(ValueError, match=r"body|route"):
        parse(body)


def test_hops_are_read_in_any_case():
    row = {"name": "r", "properties": {"addressPrefix": "0.0.0.0/0", "nextHopType": "internet"}}

    assert parse_routes({"properties": {"routes": [row]}})[0].next_hop is NextHop.INTERNET


# --- locks and regions ---------------------------------------------------------------------------


async def test_a_list_of_locks_that_is_refused_is_not_asked_for_by_every_vm_of_a_burst():
    wire, clock, settings = Wire(), FakeClock(), settings_for()
    wire.on("GET", "/locks$", DENIED)
    estate = GraphEstate(clients_on(wire, settings=settings, clock=clock), settings, clock)

    for _ in range(50):
        with pytest.raises(AzureFault):
            await estate.locks(worlds.vm(subscription=SUB).id)
        clock.advance(1)

    assert len(wire.sent) == 1


def directory(wire: Wire, clock: FakeClock) -> ArmDirectory:
    settings = settings_for()
    clients = clients_on(wire, settings=settings, clock=clock)
    return ArmDirectory(clients, settings, clock, InMemoryEstate(None, None))


async def test_regions_come_once_a_day_by_their_display_names():
    wire, clock = Wire(), FakeClock()
    types = [
        {"resourceType": "locations", "locations": ["Moon"]},
        {"resourceType": "Vaults", "locations": ["West Europe", "East US 2"]},
    ]
    wire.on("GET", "/providers/Microsoft.RecoveryServices$", Answer(200, {"resourceTypes": types}))
    port = directory(wire, clock)

    assert await port.regions(SUB) == {"westeurope", "eastus2"}
    clock.advance(80_000)
    await port.regions(SUB.upper())
    assert len(wire.sent) == 1
    clock.advance(10_000)
    await port.regions(SUB)
    assert len(wire.sent) == 2


async def test_a_provider_without_regions_says_nothing_about_them():
    wire = Wire()
    wire.on("GET", "/providers/Microsoft.RecoveryServices$", Answer(200, {"resourceTypes": []}))

    with pytest.raises(AzureFault):
        await directory(wire, FakeClock()).regions(SUB)


# --- pre-validation ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body, code",
    [
        pytest.param({"status": "Succeeded", "errorCode": ""}, "", id="yes"),
        pytest.param({"status": "succeeded"}, "", id="yes in lower case"),
        pytest.param({"status": "Failed", "errorCode": "X"}, "X", id="no"),
        pytest.param({"status": "Failed"}, "ValidationFailed", id="no without a code"),
        pytest.param({"status": "Invalid"}, "ValidationInvalid", id="neither"),
    ],
)
def test_a_validation_is_read(body, code):
    assert parse_validation(body, VAULT, worlds.NOW).code == code


def test_a_validation_without_a_status_is_no_answer():
    with pytest.raises(ValueError, match="status"):
        parse_validation({}, VAULT, worlds.NOW)


# --- what is followed to its end -----------------------------------------------------------------


def setup(wire: Wire) -> ArmSetup:
    settings, clock = settings_for(), FakeClock(speed=1e6)
    return ArmSetup(clients_on(wire, settings=settings, clock=clock), settings, clock)


ARM = "https://management.azure.com"
ACCEPTED = Answer(202, headers={"Location": f"{ARM}{VAULT}/results/1?api-version=x"})


async def test_a_policy_that_is_accepted_is_followed_until_there_is_a_result():
    wire = Wire()
    wire.on("PUT", "/backupPolicies/gold$", ACCEPTED)
    wire.on("GET", "/results/1$", Answer(202), Answer(202), Answer(200, {"id": "x"}))

    await setup(wire).put_policy(VAULT.child("backupPolicies", "gold"), {"timeZone": "UTC"})

    assert [sent.method for sent in wire.sent] == ["PUT", "GET", "GET", "GET"]
    assert wire.sent[0].body == {"properties": {"timeZone": "UTC"}}


async def test_an_operation_that_fails_is_a_fault_with_its_code():
    wire = Wire()
    wire.on("PUT", "/backupPolicies/gold$", ACCEPTED)
    failed = {"status": "Failed", "error": {"code": "BMSUserErrorX", "message": "no"}}
    wire.on("GET", "/results/1$", Answer(200, failed))

    with pytest.raises(AzureFault, match="BMSUserErrorX"):
        await setup(wire).put_policy(VAULT.child("backupPolicies", "gold"), {})


async def test_a_put_is_never_sent_twice():
    wire = Wire()
    wire.on("PUT", "/backupPolicies/gold$", Answer(504, {"error": {"code": "GatewayTimeout"}}))

    with pytest.raises(AzureFault):
        await setup(wire).put_policy(VAULT.child("backupPolicies", "gold"), {})

    assert len(wire.sent) == 1


async def test_our_token_follows_no_address_that_is_not_arms():
    wire = Wire()
    stray = Answer(202, headers={"Location": "https://management.azure.com.example/results/1"})
    wire.on("PUT", "/backupPolicies/gold$", stray)

    with pytest.raises(AzureFault):
        await setup(wire).put_policy(VAULT.child("backupPolicies", "gold"), {})

    assert [sent.method for sent in wire.sent] == ["PUT"]
