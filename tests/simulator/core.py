"""A world without a server, and short ways to ask it: what the core tests share."""

import json
from dataclasses import dataclass, field
from urllib.parse import quote

from simulator.arm import Principal, PrincipalKind, Reply
from simulator.assembly import build
from simulator.gateway import Incoming
from simulator.parts import CORE, load_parts
from simulator.world import Change, World

TENANT = "22222222-2222-4222-8222-222222222222"
SUB = "11111111-1111-4111-8111-111111111111"
OTHER = "33333333-3333-4333-8333-333333333333"
CALLER = "aaaaaaaa-0000-4000-8000-000000000001"
GROUP = f"/subscriptions/{SUB}/resourceGroups/rg-Web"
COMPUTE = GROUP + "/providers/Microsoft.Compute/virtualMachines"
CORE_PARTS = load_parts(CORE)
SERVICE = Principal(object_id=CALLER, app_id="app-1", kind=PrincipalKind.SERVICE)


def vm_id(name: str, *, subscription: str = SUB, group: str = "rg-Web") -> str:
    scope = f"/subscriptions/{subscription}/resourceGroups/{group}"
    return f"{scope}/providers/Microsoft.Compute/virtualMachines/{name}"


def vm_body(name: str, **changes: object) -> dict:
    body = {
        "id": vm_id(name),
        "location": "westeurope",
        "tags": {"env": "prod"},
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
            "storageProfile": {
                "osDisk": {"osType": "Linux", "name": f"{name}-os"},
                "dataDisks": [],
            },
        },
    }
    return body | changes


@dataclass
class Azure:
    """One world on a stepped clock, asked as one principal."""

    world: World
    principal: Principal = SERVICE
    changes: list[Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world.changes.append(self.changes.append)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        version: str | None = "2024-07-01",
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
        **query: str,
    ) -> Reply:
        asked = {name.replace("__", "$"): value for name, value in query.items()}
        if version is not None:
            asked["api-version"] = version
        sent = json.dumps(body).encode() if body is not None else b""
        reply = self.world.gateway.answer(
            Incoming(
                method=method,
                path=quote(path, safe="/;%{}"),
                principal=self.principal,
                query=asked,
                headers=headers or {},
                raw=sent if raw is None else raw,
            )
        )
        if reply.body is not None:
            reply.body = json.loads(json.dumps(reply.body))
        return reply

    def get(self, path: str, **more: object) -> Reply:
        return self.ask("GET", path, **more)

    def graph(self, query: str, *, principal: Principal | None = None, **more: object) -> Reply:
        body = {"query": query, **more}
        path = "/providers/Microsoft.ResourceGraph/resources"
        before, self.principal = self.principal, principal or self.principal
        try:
            return self.ask("POST", path, body, version="2022-10-01")
        finally:
            self.principal = before

    def rows(self, query: str, **more: object) -> list[dict]:
        reply = self.graph(query, **more)
        assert reply.status == 200, reply.body
        return reply.body["data"]

    def wait(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.world.schedule.run(self.world.clock.now())


def azure(*resources: dict, profile: str = "doc", **seed: object) -> Azure:
    world = build(
        seed={
            "tenantId": TENANT,
            "subscriptions": [
                {"subscriptionId": SUB, "displayName": "web", "tags": {"owner": "web@x"}},
                {"subscriptionId": OTHER, "displayName": "other"},
            ],
            "resources": [
                {"id": GROUP, "location": "westeurope", "tags": {}},
                *resources,
            ],
            **seed,
        },
        profile=profile,
        speed=0,
        parts=CORE_PARTS,
    )
    return Azure(world)


def code_of(reply: Reply) -> str:
    return reply.body["error"]["code"]
