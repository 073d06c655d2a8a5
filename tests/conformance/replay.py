"""Replays recorded traffic of real Azure against the simulator and compares the answers.

    python -m tests.conformance.replay FILE...

The simulated Azure starts with the state a recording starts from; its requests are sent in their
order with the clock stepped to the recorded seconds. Every difference is printed. The last line
counts; the exit code is 0 only if nothing differs that was not accepted (accepted.json).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from simulator.arm import Principal, PrincipalKind, Reply, Route
from simulator.assembly import build
from simulator.backup.discovery import area
from simulator.backup.eras import Era
from simulator.gateway import Incoming
from simulator.generic import KEPT_AS_SENT
from simulator.routing import Router
from simulator.seeds import plant
from simulator.server import headers_of
from simulator.world import World
from tests.conformance import origin
from tests.conformance.accepted import Accepted, load
from tests.conformance.compare import Difference, Names, compare
from tests.conformance.recordings import Broken, Exchange, began, bodies, read, sessions

CLIENT = Principal(
    object_id="0e4c6a52-7c1a-4f2b-9a43-6d5a3c1f0b11",
    app_id="6f1d2b1e-3b54-4b7e-8a52-0c8c9d7e2f10",
    kind=PrincipalKind.USER,
)
#: Of a vault's lists only what is about VMs is imitated.
OTHER_WORKLOADS = ("azureworkload", "azurestorage", "'mab'", "azuresql", "azurebackupserver", "dpm")


#: Whose budgets the headers of a day show.
PROFILES = (
    (datetime(2019, 8, 1, tzinfo=UTC), "2018"),
    (datetime(2020, 12, 1, tzinfo=UTC), "2020"),
    (datetime(2023, 8, 1, tzinfo=UTC), "legacy"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A difference with where it was found."""

    exchange: Exchange
    operation: str
    difference: Difference

    def __str__(self) -> str:
        return f"{self.exchange.where} {self.operation} {self.difference}"


@dataclass(slots=True)
class Outcome:
    """What a replay of some files found."""

    matched: int = 0
    accepted: int = 0
    differing: int = 0
    compared: Counter[str] = field(default_factory=Counter)
    outside: Counter[str] = field(default_factory=Counter)
    broken: list[Broken] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    used: Counter[Accepted] = field(default_factory=Counter)

    @property
    def in_surface(self) -> int:
        return self.matched + self.accepted + self.differing

    def add(self, other: Outcome) -> None:
        self.matched += other.matched
        self.accepted += other.accepted
        self.differing += other.differing
        self.compared += other.compared
        self.outside += other.outside
        self.broken += other.broken
        self.found += other.found
        self.used += other.used

    def last_line(self) -> str:
        return (
            f"in surface {self.in_surface}, matched {self.matched}, "
            f"accepted {self.accepted}, differing {self.differing}"
        )


class Replay:
    """One session against a simulated Azure of its own."""

    def __init__(self, session: list[Exchange], accepted: tuple[Accepted, ...]) -> None:
        self.session = session
        self.accepted = accepted
        self.at = origin.offsets(session)
        start = began(session)
        if start is None:
            raise ValueError("no answer tells what time it was")
        self.world = _world(session, start)
        self.start = start
        self.router = Router(self.world.gateway.routes)
        self.machines = origin.machines(session, start)
        self.gone = origin.departures(session, start)
        self.restores = origin.restores(session)
        self.names = Names()
        self.outcome = Outcome()

    def run(self) -> Outcome:
        for index, one in enumerate(self.session):
            self._arrive(index)
            route = self._route(one)
            if route is None:
                self.outcome.outside[_kind(one)] += 1
                continue
            reply = self._send(index, one, route)
            if index in self.restores:
                self.outcome.outside[f"{one.method} of a restore"] += 1
            else:
                self._judge(one, route, reply)
        return self.outcome

    def _depart(self) -> None:
        """Delete the VMs that somebody deleted outside the recording, as a failed job tells."""
        now = self.world.now()
        for gone_at, vm_id in self.gone:
            if gone_at <= now and self.world.get(vm_id) is not None:
                self.world.delete(vm_id, None)

    def _route(self, one: Exchange) -> Route | None:
        """Return the route of a request the simulator claims to answer as Azure does."""
        match = self.router.match(one.method, one.path)
        if match is None or match.route.source == KEPT_AS_SENT:
            return None
        asked = unquote(one.target).lower() + json.dumps(one.sent).lower()
        return None if any(word in asked for word in OTHER_WORKLOADS) else match.route

    def _arrive(self, index: int) -> None:
        """Move the clock to an exchange and let the VMs in that it is the first to show."""
        clock = self.world.clock
        left = self.start + timedelta(seconds=self.at[index]) - clock.now()
        clock.advance(max(0.0, left.total_seconds()))
        self._depart()
        for states in self.machines.values():
            for machine in states:
                if machine.index == index:
                    plant(self.world, {"resources": [machine.body]})

    def _send(self, index: int, one: Exchange, route: Route) -> Reply:
        world, knobs = self.world, self.world.knobs
        if route.operation == "BackupProtectableItems_List":
            self._discover(one)
        taken = origin.taken(self.session, self.at, index, route.operation)
        durations = taken.durations
        knobs.turn({"backup.durations": durations, "compute.durations": durations, **taken.knobs})
        world.gateway.faults.clear()
        if taken.fault:
            world.gateway.faults.order({"count": 1, "fault": taken.fault})
        target = self.names.translated(one.target)
        path, _, query = target.partition("?")
        sent = b"" if one.sent is None else self.names.translated(json.dumps(one.sent)).encode()
        headers = {"x-ms-client-request-id": taken.client_id} if taken.client_id else {}
        return world.gateway.answer(
            Incoming(
                method=one.method,
                path=path,
                principal=CLIENT,
                query=dict(parse_qsl(query, keep_blank_values=True)),
                headers=headers,
                raw=sent,
            )
        )

    def _discover(self, one: Exchange) -> None:
        """Let other people's VMs and refreshes be as the recorded list shows them."""
        listed = bodies(one.body) if one.status == 200 else []
        shown = {str(row["properties"]["virtualMachineId"]).lower(): row for row in listed}
        vault = self.world.backup.vaults.get(origin.vault_of(one.path))
        if vault is None:
            return
        new = [
            {
                "id": row["properties"]["virtualMachineId"],
                "type": "Microsoft.Compute/virtualMachines",
                "name": row["properties"]["friendlyName"],
                "location": vault.location,
                "properties": {},
                "_sim": {"unit": unit},
            }
            for (key, row), unit in zip(shown.items(), origin.units(listed), strict=True)
            if self.world.get(key) is None and key not in self.machines
        ]
        plant(self.world, {"resources": new})
        for vm_id, _ in list(self.world.list(type="Microsoft.Compute/virtualMachines")):
            if vm_id.key not in shown and vm_id.key not in self.machines:
                self.world.delete(vm_id.text, None)
        if shown.keys() & self.machines.keys():
            self.world.backup.discovered[area(vault)] = max(
                self.world.backup.discovered.get(area(vault), self.start),
                *(self.machines[key][0].created for key in shown.keys() & self.machines.keys()),
            )

    def _judge(self, one: Exchange, route: Route, reply: Reply) -> None:
        outcome = self.outcome
        outcome.compared[route.operation] += 1
        simulated = (
            reply.status,
            {name.lower(): value for name, value in headers_of(reply).items()},
            reply.body,
        )
        found = compare((one.status, one.headers, one.body), simulated, self.names)
        left = []
        for difference in found:
            entry = next((e for e in self.accepted if e.covers(route.operation, difference)), None)
            if entry is None:
                left.append(Found(one, route.operation, difference))
            else:
                outcome.used[entry] += 1
        outcome.found += left
        outcome.differing += bool(left)
        outcome.accepted += bool(found) and not left
        outcome.matched += not found


def _world(session: list[Exchange], start: datetime) -> World:
    """Build the simulated Azure a session starts from."""
    first = start + timedelta(seconds=max(session[0].at, 0.0))
    world = build(speed=0, start=first, profile=_profile(start))
    world.arm_url = "https://management.azure.com"
    missing = any(origin.code_of(one.body) == "MissingSubscriptionRegistration" for one in session)
    world.knobs.turn(
        {
            "backup.era": Era.of(start).knob,
            "budgets.enforced": False,
            "compute.signed_urls": start.year >= 2024,
            "backup.page": 10_000,
            "providers.unregistered": ["microsoft.recoveryservices"] if missing else [],
        }
    )
    subscription = session[0].path.split("/")[2]
    plant(
        world,
        {
            "subscriptions": [{"subscriptionId": subscription}],
            "resources": [*origin.standing(session)],
        },
    )
    for one in session:  # groups that nothing but a path names
        words = one.path.split("/")
        if len(words) > 4 and words[3].lower() == "resourcegroups":
            group = "/".join(words[:5])
            if world.get(group) is None:
                plant(world, {"resources": [{"id": group, "location": "westus"}]})
    return world


def _profile(start: datetime) -> str:
    """Return whose budgets counted on a day: which headers showed them (report §4)."""
    for until, profile in PROFILES:
        if start < until:
            return profile
    return "doc"


def _kind(one: Exchange) -> str:
    """Name what is outside the surface by its provider and type."""
    words = unquote(one.path).split("/providers/")
    return f"{one.method} {'/'.join(words[-1].split('/')[:2]) if len(words) > 1 else one.path}"


def replay_file(path: Path, accepted: tuple[Accepted, ...]) -> Outcome:
    """Replay every session of a file."""
    exchanges, broken = read(path)
    outcome = Outcome(broken=broken)
    for session in sessions(exchanges):
        try:
            outcome.add(Replay(session, accepted).run())
        except ValueError as error:
            outcome.broken.append(Broken(session[0].file, session[0].seq, str(error)))
    return outcome


def replay(paths: Iterable[Path], accepted: tuple[Accepted, ...]) -> Outcome:
    outcome = Outcome()
    for path in paths:
        outcome.add(replay_file(path, accepted))
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.replay", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="recordings, or folders of them")
    parser.add_argument("--brief", action="store_true", help="counts by operation and path only")
    asked = parser.parse_args()
    paths = [
        path
        for given in asked.files
        for path in (sorted(given.rglob("*.jsonl")) if given.is_dir() else [given])
    ]
    outcome = replay(paths, load())
    _report(outcome, brief=asked.brief)
    return 1 if outcome.differing or not outcome.in_surface else 0


def _report(outcome: Outcome, *, brief: bool) -> None:
    for line in outcome.broken:
        print(f"skipped {line}")
    if brief:
        counted = Counter((f.operation, f.difference.path) for f in outcome.found)
        for (operation, path), count in counted.most_common():
            print(f"{count:5} {operation} {path}")
    else:
        for found in outcome.found:
            print(found)
    for entry, count in sorted(outcome.used.items(), key=lambda used: str(used[0])):
        print(f"accepted {count} times: {entry}")
    for kind, count in outcome.outside.most_common():
        print(f"outside the surface: {count:4} {kind}")
    print(outcome.last_line())


if __name__ == "__main__":
    sys.exit(main())
