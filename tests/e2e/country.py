"""A town whose people act on VMs, policies and items, with a witness of every PUT that arrives.

The witness stands where Azure does: it reads each request of the service as it came over the wire,
and the item and the policies as they are at that moment.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from bench import estates
from shared.domain.ids import ArmId
from shared.domain.records import DecisionKind, PersonDecision, Row
from shared.domain.rules import parse
from simulator.arm import PrincipalKind, Reply
from simulator.backup.names import VmName
from simulator.backup.records import Item, Protection, Vault
from simulator.gateway import Incoming
from simulator.world import START
from tests.usecases.town import Town, town

API = "2025-02-01"
MOVES = "2021-04-01"
VM_TYPE = "Microsoft.Compute/virtualMachines"
OPERATOR = "ops@contoso.example"
#: Days kept by each policy of a vault; "hard" is Enhanced.
DAYS = {"gold": 90, "silver": 30, "bronze": 7, "hard": 90}
AFTER_LAG = 2400.0  # Resource Graph has seen it, and the index is old
A_SWEEP = 1200.0  # with it an hour in all
NIGHT = 23 * 3600.0  # with the hour after it, a day
ACTIVE = frozenset({Protection.IR_PENDING, Protection.PROTECTED, Protection.ERROR})

RULES = """
version: 1
tiers:
  tag: backup-tier
  default: silver
  names:
    gold: {{standard: [{gold}]}}
    silver: {{standard: [{silver}]}}
    bronze: {{standard: [{bronze}]}}
    hard: {{enhanced: [{hard}]}}
vaults:
  central: {{tags: {{backup-vault: central}}}}
default:
  vaults: central
  options: {{{options}}}
notices:
  fallback: ["mail:team@contoso.example"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """One PUT of an item by the service, and what it met."""

    vm: str
    status: int
    code: str
    sent: Mapping[str, Any]
    old: str  # the item's policy, "" where there was none or it was not protected
    at: datetime

    @property
    def new(self) -> str:
        return str(self.sent.get("policyId", "")).rpartition("/")[2]


class Country(Town):
    """A town and its people."""

    def begin(self) -> None:
        self.puts: list[Put] = []
        self.deleted: list[str] = []  # by the service, which must never happen
        self._vms: dict[str, dict[str, Any]] = {}
        self.govern()
        gateway = self.sim.world.gateway
        faithful = gateway.answer

        def witnessed(incoming: Incoming) -> Reply:
            mine = incoming.principal.kind is not PrincipalKind.SYSTEM
            met = (
                self._met(incoming)
                if mine and incoming.path.split("/")[-2] == "protectedItems"
                else None
            )
            reply = faithful(incoming)
            if met is not None and incoming.method == "PUT":
                self.seen(incoming, met, reply)
            if mine and incoming.method == "DELETE":
                self.deleted.append(incoming.path)
            return reply

        gateway.answer = witnessed  # type: ignore[method-assign]

    def seen(self, incoming: Incoming, old: str, reply: Reply) -> None:
        """Keep a PUT of the service."""
        body: Any = reply.body or {}
        sent = json.loads(incoming.raw)["properties"]
        self.puts.append(
            Put(
                vm=unquote(incoming.path).rpartition(";")[2],
                status=reply.status,
                code=str(body.get("error", {}).get("code", "")),
                sent=sent,
                old=old,
                at=self.clock.now(),
            )
        )

    def _met(self, incoming: Incoming) -> str:
        words = unquote(incoming.path).split("/")
        self.sim.world.schedule.run(self.clock.now())
        vault = self._vault_of(incoming.path)
        item = vault.items.get(VmName.of_path(words[-3], words[-1]).key) if vault else None
        return item.policy_name if item is not None and self.is_active(item) else ""

    def _vault_of(self, path: str) -> Vault | None:
        return self.sim.world.backup.vaults.get(path.partition("/backupFabrics")[0].lower())

    @staticmethod
    def is_active(item: Item) -> bool:
        return item.state in ACTIVE and not item.soft_deleted and item.visible

    # --- what people do ---------------------------------------------------------------------------

    def govern(self, options: str = "", policies: Mapping[str, str] | None = None) -> None:
        """Put rules in force; ``policies`` gives tiers another policy than that of their name."""
        text = RULES.format(
            options=options, **({name: name for name in DAYS} | dict(policies or {}))
        )
        self.rules.rules = parse(text, "rules.yaml")

    async def create(self, number: int, tier: str = "silver", **changes: Any) -> str:
        """Create a VM and announce it; give its id."""
        body = {**estates.machine(number, groups=2), **changes}
        body["tags"] = {"backup-tier": tier, "owner": "kim@contoso.example"}
        return await self.write(body)

    async def write(self, body: dict[str, Any]) -> str:
        vm = str(body["id"])
        self._vms[vm.lower()] = deepcopy(body)
        self.put(body)
        await self.announce(*self.published())
        return vm

    async def retag(self, vm: str, tier: str) -> None:
        body = self._vms[vm.lower()]
        await self.write({**body, "tags": {**body["tags"], "backup-tier": tier}})

    async def recreate(self, vm: str) -> None:
        """Delete a VM and create another one of the same name."""
        body = deepcopy(self._vms[vm.lower()])
        self.delete(vm)
        await self.announce(*self.published())
        self.clock.advance(60)
        body["properties"]["vmId"] = self.sim.world.new_guid()
        await self.write(body)

    async def move(self, vm: str, group: str, subscription: str = estates.MAIN) -> str:
        """Move a VM as a customer does; give its new id, of which no event tells."""
        source, _, rest = vm.partition("/providers/")
        target = f"/subscriptions/{subscription}/resourceGroups/{group}"
        body = {"resources": [vm], "targetResourceGroup": target}
        reply = self.arm("POST", f"{source}/moveResources", body, MOVES)
        assert reply.status == 202, reply
        self.advance(120)
        await self.announce(*self.published())
        there = f"{target}/providers/{rest}"
        kept = self._vms.pop(vm.lower())
        self._vms[there.lower()] = {**kept, "id": there}
        return there

    def change_item(self, vm: str, **properties: Any) -> Reply:
        """Act on a VM's item as a person with every right does in the portal."""
        vault, item = self.held(vm)
        if policy := properties.get("policyId"):
            properties["policyId"] = f"{vault.vault_id}/backupPolicies/{policy}"
        body = {"protectedItemType": VM_TYPE, "sourceResourceId": vm, **properties}
        reply = self.arm("PUT", vault.vault_id + item.name.item_path, {"properties": body}, API)
        self.advance(60)
        return reply

    def stop(self, vm: str) -> None:
        reply = self.change_item(vm, protectionState="ProtectionStopped", policyId="")
        assert reply.status == 202, reply

    def delete_item(self, vm: str) -> None:
        vault, item = self.held(vm)
        self.delete(vault.vault_id + item.name.item_path)
        self.advance(600)

    def keep_for(self, policy: str, days: int, vault: int = 0) -> None:
        """Edit a policy in its vault: what it has keeps so many days from now on."""
        path = f"{vault_id(vault)}/backupPolicies/{policy}"
        shown: Any = self.arm("GET", path, None, API).body
        properties = deepcopy(shown["properties"])
        daily = properties["retentionPolicy"]["dailySchedule"]
        daily["retentionDuration"]["count"] = days
        reply = self.arm("PUT", path, {"properties": properties}, API)
        assert reply.status in {200, 202}, reply

    def restore_policy(self, policy: str, vault: int = 0) -> None:
        body = _policy(estates.vault(f"rsv-{vault}"), policy, DAYS[policy])
        reply = self.arm("PUT", str(body["id"]), {"properties": body["properties"]}, API)
        assert reply.status == 200, reply

    def enroll_by_hand(self, vm: str, vault: int, policy: str) -> None:
        name = VmName.of_vm(vm)
        wanted = {
            "protectedItemType": VM_TYPE,
            "sourceResourceId": vm,
            "policyId": f"{vault_id(vault)}/backupPolicies/{policy}",
        }
        path = vault_id(vault) + name.item_path
        assert self.arm("PUT", path, {"properties": wanted}, API).status == 202
        self.advance(120)

    def delete_policy(self, policy: str, vault: int = 0) -> Reply:
        return self.arm("DELETE", f"{vault_id(vault)}/backupPolicies/{policy}", None, API)

    def guard(self) -> None:
        """Put the vault under a Resource Guard, whose approval takes somebody else's rights."""
        guard = f"/subscriptions/{estates.MAIN}/resourceGroups/rg-backup/providers"
        guard += "/Microsoft.DataProtection/resourceGuards/guard"
        body = {"properties": {"resourceGuardResourceId": guard}}
        reply = self.arm("PUT", _PROXY, body, API)
        assert reply.status == 200, reply

    def unguard(self) -> Reply:
        return self.arm("DELETE", _PROXY, None, API)

    async def consent(self, vm: str, kind: DecisionKind, policy: str = "") -> None:
        """Let an operator decide for one VM, and have it looked at."""
        await self.people.append(
            PersonDecision(
                vm=vm, kind=kind, by=OPERATOR, at=self.clock.now(), reason="agreed", policy=policy
            )
        )
        await self.event(ArmId.parse(vm))

    # --- what passes ------------------------------------------------------------------------------

    async def settle(self, seconds: float = 600.0, step: float = 30.0) -> None:
        await self.play(seconds, step=step)

    async def later(self) -> None:
        """Let what people did be shown by Resource Graph and found by a sweep."""
        self.advance(AFTER_LAG)
        await self.play(A_SWEEP, step=60.0)

    async def night(self) -> None:
        """Jump over a night of backups."""
        self.advance(NIGHT)
        await self.later()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    # --- what is true -----------------------------------------------------------------------------

    def held_by(self, vm: str) -> list[tuple[Vault, Item]]:
        return self.sim.world.backup.items_of_vm(vm)

    def held(self, vm: str) -> tuple[Vault, Item]:
        """Give the VM's only item, with its vault."""
        [found] = self.held_by(vm)
        return found

    async def told(self, vm: str) -> Row:
        return await self.row(ArmId.parse(vm))

    async def codes(self, vm: str) -> set[str]:
        return {one.code for one in (await self.told(vm)).findings}

    def sent_for(self, vm: str) -> list[Put]:
        return [one for one in self.puts if one.vm == vm.rpartition("/")[2]]

    def letters(self, vm: str) -> list[str]:
        """Give the kinds of what people heard of a VM."""
        name = vm.rpartition("/")[2]
        return [
            str(letter.kind)
            for letter in self.post.mail.got
            if any(name in story.title for story in letter.stories)
        ]


def vm_id(number: int) -> str:
    return str(estates.machine(number, groups=2)["id"])


def vault_id(number: int) -> str:
    return str(estates.vault(f"rsv-{number}")["id"])


_PROXY = f"{vault_id(0)}/backupResourceGuardProxies/VaultProxy"


def policies(of: dict[str, Any]) -> list[dict[str, Any]]:
    return [_policy(of, name, days) for name, days in DAYS.items()]


def _policy(of: dict[str, Any], name: str, days: int) -> dict[str, Any]:
    body = deepcopy(estates.policies(of)[0])
    body |= {"id": f"{of['id']}/backupPolicies/{name}", "name": name}
    properties = body["properties"]
    properties["retentionPolicy"]["dailySchedule"]["retentionDuration"]["count"] = days
    if name == "hard":
        properties["policyType"] = "V2"
        properties["schedulePolicy"] = {
            "schedulePolicyType": "SimpleSchedulePolicyV2",
            "scheduleRunFrequency": "Daily",
            "dailySchedule": {"scheduleRunTimes": ["2026-01-01T22:00:00Z"]},
        }
    return body


def seed(*, vaults: int = 1, security: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Give two groups of one subscription and one of another, and vaults with all policies."""
    made: list[dict[str, Any]] = []
    for number in range(vaults):
        one = deepcopy(estates.vault(f"rsv-{number}"))
        if security is not None:
            one["properties"]["securitySettings"] = dict(security)
        made += [one, *policies(one)]
    groups = [estates.group(estates.group_name(number)) for number in range(2)]
    return {
        "tenantId": estates.TENANT,
        "subscriptions": [
            {"subscriptionId": estates.MAIN, "displayName": "Main", "tags": {}},
            {"subscriptionId": estates.NEIGHBOR, "displayName": "Neighbor", "tags": {}},
        ],
        "resources": [
            *groups,
            estates.group("rg-backup"),
            estates.group("rg-web", estates.NEIGHBOR),
            *made,
        ],
    }


@asynccontextmanager
async def country(
    given: dict[str, Any] | None = None, *, start: datetime = START, **environment: str
) -> AsyncIterator[Country]:
    """Open a country; at half past eight, long before the backups of the night."""
    begins = start + timedelta(minutes=30)
    async with town(given or seed(), start=begins, kind=Country, **environment) as found:
        assert isinstance(found, Country)
        found.begin()
        yield found
