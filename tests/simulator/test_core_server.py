"""The served simulator: TLS, tokens, bad wires, the control plane; asked by real SDKs too."""

import asyncio
import json
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import jwt
import pytest

from simulator.server import Simulator, running
from simulator.tokens import Person
from tests.simulator.core import CORE_PARTS, SUB, TENANT, vm_body, vm_id

ROOT = Path(__file__).parents[2]
SEED = {
    "tenantId": TENANT,
    "subscriptions": [{"subscriptionId": SUB, "displayName": "web"}],
    "resources": [vm_body("vm1"), vm_body("vm2")],
}
ARM = "https://management.azure.com"


def is_there(path: str | Path) -> bool:
    return Path(path).exists()


class Client:
    """An HTTPS client that trusts the throw-away CA and holds a managed-identity token."""

    def __init__(self, sim: Simulator, session: aiohttp.ClientSession) -> None:
        self.sim = sim
        self.session = session
        self.tls = ssl.create_default_context(cafile=str(sim.ca_file))
        self.token = ""

    async def sign_in(self) -> str:
        identity = self.sim.identity
        query = {"resource": ARM, "api-version": "2019-08-01"}
        headers = {"X-IDENTITY-HEADER": identity["header"]}
        async with self.session.get(identity["endpoint"], params=query, headers=headers) as got:
            assert got.status == 200
            self.token = (await got.json())["access_token"]
            return self.token

    def arm(self, method: str, path: str, **more: object):
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        url = f"{self.sim.arm_url}{path}?api-version=2024-07-01"
        return self.session.request(method, url, ssl=self.tls, headers=headers, **more)

    async def control(self, method: str, path: str, body: object = None) -> object:
        url = f"{self.sim.control_url}/_sim/{path}"
        async with self.session.request(method, url, json=body) as got:
            assert got.status < 300, await got.text()
            return await got.json() if got.status != 204 else None


@asynccontextmanager
async def connected(**options: object) -> AsyncIterator[Client]:
    options = {"seed": SEED, "speed": 0, "parts": CORE_PARTS} | options
    async with running(**options) as sim, aiohttp.ClientSession() as session:
        client = Client(sim, session)
        await client.sign_in()
        yield client


async def test_arm_answers_over_tls_that_only_its_own_authority_vouches_for() -> None:
    async with connected() as client:
        async with client.arm("GET", vm_id("vm1")) as got:
            assert got.status == 200
            assert (await got.json())["name"] == "vm1"
            assert got.headers["Content-Type"] == "application/json; charset=utf-8"
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await client.session.get(client.sim.arm_url + "/subscriptions")


async def test_arm_does_not_answer_over_plain_http() -> None:
    """Specified: SDKs refuse to send a bearer token over http (az-peer §1)."""
    async with (
        connected() as client,
        client.session.get(client.sim.control_url + vm_id("vm1")) as got,
    ):
        assert got.status == 403


@pytest.mark.parametrize(
    "header,code",
    [
        ("", "AuthenticationFailed"),
        ("Basic abc", "AuthenticationFailed"),
        ("Bearer abc", "InvalidAuthenticationToken"),
    ],
)
async def test_a_call_without_a_valid_token_is_refused_with_a_challenge(
    header: str, code: str
) -> None:
    async with connected() as client:
        async with client.arm("GET", vm_id("vm1"), headers={"Authorization": header}) as got:
            assert got.status == 401
            assert (await got.json())["error"]["code"] == code
            challenge = got.headers["WWW-Authenticate"]
        assert challenge.startswith("Bearer authorization_uri=")
        assert TENANT in challenge


@pytest.mark.parametrize(
    "audience,knobs,tenant,code",
    [
        ("https://vault.azure.net", {}, TENANT, "InvalidAuthenticationTokenAudience"),
        (ARM, {"identity.token_seconds": -10}, TENANT, "ExpiredAuthenticationToken"),
        (ARM, {}, "someone-elses", "InvalidAuthenticationTokenTenant"),
    ],
    ids=["another audience", "expired", "another tenant"],
)
async def test_a_token_for_something_else_is_refused(
    audience: str, knobs: dict, tenant: str, code: str
) -> None:
    async with connected() as client:
        world = client.sim.world
        world.knobs.turn(knobs)
        world.tenant_id = tenant
        client.token, _ = world.directory.token(world.directory.managed_identity, audience)
        world.tenant_id = TENANT
        async with client.arm("GET", vm_id("vm1")) as got:
            assert (got.status, (await got.json())["error"]["code"]) == (401, code)


@pytest.mark.parametrize(
    "header,query,status",
    [
        ("wrong", {"resource": ARM, "api-version": "2019-08-01"}, 401),
        (None, {"api-version": "2019-08-01"}, 400),
        (None, {"resource": ARM, "api-version": "2017-09-01"}, 400),
    ],
    ids=["wrong header", "no resource", "another api-version"],
)
async def test_the_identity_endpoint_wants_its_header_a_resource_and_its_version(
    header: str | None, query: dict, status: int
) -> None:
    async with connected() as client:
        identity = client.sim.identity
        headers = {"X-IDENTITY-HEADER": header or identity["header"]}
        async with client.session.get(identity["endpoint"], params=query, headers=headers) as got:
            assert got.status == status


async def test_an_app_can_validate_the_tokens_of_this_tenant() -> None:
    """Specified: openid-configuration → jwks → RS256, with the roles a person was given."""
    async with connected() as client:
        world = client.sim.world
        person = Person(app_id="op", object_id="o-1", roles=("Operator",), secret="right")
        world.directory.add(person)
        base = f"{client.sim.arm_url}/{TENANT}"

        async def ask(path: str, form: dict | None = None) -> tuple[int, dict]:
            method = "POST" if form else "GET"
            async with client.session.request(
                method, f"{base}/{path}", data=form, ssl=client.tls
            ) as got:
                return got.status, await got.json()

        _, configuration = await ask("v2.0/.well-known/openid-configuration")
        form = {
            "grant_type": "client_credentials",
            "client_id": "op",
            "client_secret": "wrong",
            "scope": "api://coverage/.default",
        }
        assert (await ask("oauth2/v2.0/token", form))[0] == 401
        status, answer = await ask("oauth2/v2.0/token", form | {"client_secret": "right"})
        assert status == 200
        _, keys = await ask(configuration["jwks_uri"].removeprefix(base + "/"))
        claims = jwt.decode(
            answer["access_token"],
            jwt.PyJWK(keys["keys"][0]),
            algorithms=["RS256"],
            audience="api://coverage",
            issuer=configuration["issuer"],
        )
        assert claims["roles"] == ["Operator"]
        assert (claims["oid"], claims["tid"]) == ("o-1", TENANT)


async def test_an_empty_answer_has_no_content_type() -> None:
    """Recorded: 505 answers (report §6.7)."""
    async with connected() as client:
        async with client.arm("DELETE", vm_id("vm1")) as got:
            assert got.status == 202
            assert "Content-Type" not in got.headers
            assert await got.read() == b""
        async with client.arm("DELETE", vm_id("none")) as got:
            assert (got.status, "Content-Type" in got.headers) == (204, False)


@pytest.mark.parametrize(
    "fault,error",
    [
        ({"reset": True}, (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)),
        ({"truncate": 20}, (aiohttp.ClientPayloadError,)),
    ],
    ids=["connection reset", "body cut off"],
)
async def test_a_wire_may_break(fault: dict, error: tuple) -> None:
    async with connected() as client:
        await client.control("POST", "faults", {"count": 2, "fault": fault})
        with pytest.raises(error):
            async with client.arm("GET", vm_id("vm1")) as got:
                await got.read()
        await client.control("DELETE", "faults")
        async with client.arm("GET", vm_id("vm1")) as got:
            assert got.status == 200


async def test_a_slow_answer_takes_simulated_time() -> None:
    async with connected() as client:
        await client.control("POST", "faults", {"fault": {"slow": 600}})
        asked = asyncio.ensure_future(client.arm("GET", vm_id("vm1")).__aenter__())
        done, _ = await asyncio.wait([asked], timeout=0.1)
        assert not done
        await client.control("POST", "clock", {"advance": 600})
        async with asyncio.timeout(5):
            got = await asked
        assert got.status == 200
        got.release()


async def test_the_clock_is_read_jumped_and_waited_for() -> None:
    async with connected() as client:
        told = await client.control("GET", "clock")
        waiting = asyncio.create_task(client.control("GET", f"clock?after={told['epoch']}"))
        await client.control("GET", "clock")
        assert not waiting.done()
        to = (datetime.fromisoformat(told["now"]) + timedelta(hours=8)).isoformat()
        jumped = await client.control("POST", "clock", {"to": to})
        async with asyncio.timeout(5):
            woken = await waiting
        assert jumped["now"] == woken["now"] == to
        assert woken["epoch"] == told["epoch"] + 1
        faster = await client.control("POST", "clock", {"speed": 60})
        assert faster["speed"] == 60


@pytest.mark.parametrize("body", [{"advance": -1}, {"to": "noon"}, {"speed": "fast"}, {}])
async def test_a_wrong_order_to_the_clock_is_refused(body: dict) -> None:
    async with connected() as client:
        url = client.sim.control_url + "/_sim/clock"
        async with client.session.post(url, json=body) as got:
            assert got.status == 400
            assert "error" in await got.json()


async def test_the_timeline_plays_by_itself_while_the_clock_runs() -> None:
    seed = SEED | {"timeline": [{"at": 60, "put": vm_body("late")}]}
    async with connected(seed=seed, speed=600) as client:
        played: list = []
        async with asyncio.timeout(5):
            while not played:
                played = await client.control("GET", "timeline")
        assert played[0]["status"] == 201


async def test_the_control_plane_shows_calls_resources_knobs_and_faults() -> None:
    async with connected() as client:
        async with client.arm("GET", vm_id("vm1")):
            pass
        summary = await client.control("GET", "calls?summary=1")
        assert summary["counts"][0]["action"] == "Microsoft.Compute/virtualMachines/read"
        (call,) = await client.control("GET", "calls")
        assert (call["method"], call["status"]) == ("GET", 200)
        assert (await client.control("GET", "resources" + vm_id("VM2")))["name"] == "vm2"
        listed = await client.control("GET", "resources?type=Microsoft.Compute/virtualMachines")
        assert len(listed) == 2
        await client.control("POST", "knobs", {"graph.lag_seconds": 5})
        knobs = {row["name"]: row["value"] for row in await client.control("GET", "knobs")}
        assert knobs["graph.lag_seconds"] == 5
        await client.control("POST", "reset", SEED | {"resources": []})
        assert await client.control("GET", "calls") == []
        ready = await client.control("GET", "ready")
        assert ready["subscriptions"] == [SUB]


async def test_the_real_sdks_work_unmodified(monkeypatch: pytest.MonkeyPatch) -> None:
    from azure.identity.aio import ManagedIdentityCredential
    from azure.mgmt.compute.aio import ComputeManagementClient
    from azure.mgmt.resourcegraph.aio import ResourceGraphClient
    from azure.mgmt.resourcegraph.models import QueryRequest

    async with connected() as client:
        sim = client.sim
        monkeypatch.setenv("IDENTITY_ENDPOINT", sim.identity["endpoint"])
        monkeypatch.setenv("IDENTITY_HEADER", sim.identity["header"])
        options = {
            "base_url": sim.arm_url,
            "credential_scopes": [f"{ARM}/.default"],
            "connection_verify": str(sim.ca_file),
        }
        async with (
            ManagedIdentityCredential() as credential,
            ComputeManagementClient(credential, SUB, **options) as compute,
            ResourceGraphClient(credential, **options) as graph,
        ):
            vm = await compute.virtual_machines.get("rg-web", "VM1", expand="instanceView")
            assert vm.name == "vm1"
            assert vm.instance_view.vm_agent.statuses[0].display_status == "Ready"
            listed = [one.name async for one in compute.virtual_machines.list_all()]
            assert listed == ["vm1", "vm2"]
            query = "Resources | where type =~ 'microsoft.compute/virtualmachines' | project id"
            found = await graph.resources(QueryRequest(query=query, subscriptions=[SUB]))
            assert found.total_records == 2
        callers = {call.caller for call in sim.world.calls.since()}
        assert callers == {sim.identity["principalId"]}


async def test_serve_writes_its_ready_file_and_stops_on_sigterm(tmp_path: Path) -> None:
    seed, ready = tmp_path / "seed.json", tmp_path / "ready.json"
    seed.write_text(json.dumps(SEED))
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulator", "serve", "--seed", str(seed)),
        *("--ready", str(ready), "--start", "2026-05-01T00:00:00", "--speed", "0"),
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    try:
        async with asyncio.timeout(20):
            while not is_there(ready):
                assert child.returncode is None
                await asyncio.sleep(0.05)
        told = json.loads(ready.read_text())
        assert told["tenant"] == TENANT
        assert is_there(told["ca"])
        async with (
            aiohttp.ClientSession() as session,
            session.get(told["control"] + "/_sim/clock") as got,
        ):
            assert (await got.json())["now"] == "2026-05-01T00:00:00+00:00"
        child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await child.wait() == 0
        assert not is_there(told["ca"])
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def test_serve_says_what_is_wrong_with_a_seed(tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text('{"resources": [{"id": "vm1"}]}')
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulator", "serve", "--seed", str(seed)),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, stderr = await child.communicate()
    assert child.returncode == 2
    assert b"resources[0].id: not a resource id: 'vm1'" in stderr
