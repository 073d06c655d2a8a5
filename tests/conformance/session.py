"""One recorded session against a simulated Azure of its own: the same requests, the same seconds."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote

from simulator.arm import Principal, PrincipalKind, Reply, Route
from simulator.assembly import build
from simulator.backup.backups import cancel
from simulator.backup.eras import Era
from simulator.backup.vaults import remove
from simulator.gateway import Incoming
from simulator.generic import KEPT_AS_SENT
from simulator.routing import Router
from simulator.seeds import plant
from simulator.server import headers_of
from simulator.world import World
from tests.conformance import machines, origin, others, timing
from tests.conformance.accepted import Accepted
from tests.conformance.compare import Difference, Names, compare
from tests.conformance.outcome import Found, Outcome
from tests.conformance.recordings import Broken, Exchange, began

CLIENT = Principal(
    object_id="0e4c6a52-7c1a-4f2b-9a43-6d5a3c1f0b11",
    app_id="6f1d2b1e-3b54-4b7e-8a52-0c8c9d7e2f10",
    kind=PrincipalKind.USER,
)
#: Of a vault's lists only what is about VMs is imitated.
OTHER_WORKLOADS = ("azureworkload", "azurestorage", "'mab'", "azuresql", "azurebackupserver", "dpm")


#: Reads of a secondary region, which answer from another stamp (cross-region restore).
SECONDARY = re.compile(r"(?i)/(recoveryPoints|backupProtectedItems)/\?.*api-version=2021-11-15")
#: ARM's own catalogues, which the simulator keeps only as far as az asks.
CATALOGUES = frozenset({"RoleDefinitions_List", "RoleAssignments_Create", "Resources_List"})
#: What a recording of an unknown shape may do to its reader: it is named, and the rest goes on.
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, StopIteration)
#: Whose budgets the headers of a day show.
PROFILES = (
    (datetime(2019, 8, 1, tzinfo=UTC), "2018"),
    (datetime(2020, 6, 1, tzinfo=UTC), "2019"),
    (datetime(2020, 12, 1, tzinfo=UTC), "2020"),
    (datetime(2023, 8, 1, tzinfo=UTC), "legacy"),
)


class Replay:
    """One session against a simulated Azure of its own."""

    def __init__(self, session: list[Exchange], accepted: tuple[Accepted, ...]) -> None:
        self.session = session
        self.accepted = accepted
        self.at = timing.offsets(session)
        start = began(session) or _guessed(session)
        self.standing = origin.standing(session)
        self.world = _world(session, start, [*self.standing.values()])
        self.start = start
        self.router = Router(self.world.gateway.routes)
        self.machines = machines.machines(session, start)
        self.gone = machines.departures(session, start)
        self.made = origin.made_here(session)
        self.written = origin.written_here(session)
        self.restores = timing.restores(session)
        self.begun_before = timing.begun_before(session, self.standing)
        self.is_hidden = origin.hidden(session)
        self.names = Names(is_hidden=self.is_hidden)
        self.outcome = Outcome()

    def run(self) -> Outcome:
        for index, one in enumerate(self.session):
            route = self._route(one)
            try:
                self._exchange(index, one, route)
            except UNREADABLE as error:
                operation = route.operation if route else "none"
                told = Difference("replay", f"{one.method} {one.path}", repr(error))
                self.outcome.found.append(Found(one, operation, told))
                self.outcome.differing += 1
        return self.outcome

    def _exchange(self, index: int, one: Exchange, route: Route | None) -> None:
        self._arrive(index)
        if route is None:
            self.outcome.outside[_kind(one)] += 1
            return
        if not route.api_versions.accepts(one.api_version):
            why = f"unknown api-version {one.api_version!r}"
            self.outcome.broken.append(Broken(one.where, why))
            return
        reply = self._send(index, one, route)
        if index in self.restores:
            self.outcome.outside[f"{one.method} of a restore"] += 1
        elif index in self.begun_before:
            self.outcome.outside[f"{one.method} of what began before the recording"] += 1
        else:
            self._judge(one, route, reply)

    def _let_in_vault(self, one: Exchange) -> None:
        """Put somebody else's vault there before it is read; lists may leave it out."""
        key = origin.vault_of(one.path)
        if one.status == 404 and key in self.world.backup.vaults and _says_gone(one):
            remove(self.world.backup, self.world.backup.vaults[key], None)
        if not key or key in self.made or key in self.world.backup.vaults or one.status != 200:
            return
        below = [row for known, row in self.standing.items() if origin.vault_of(known) == key]
        plant(self.world, {"resources": below or [{"id": one.path[: len(key)]}]})

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
        if any(word in asked for word in OTHER_WORKLOADS) or origin.of_others(one.body):
            return None
        if SECONDARY.search(one.target):
            return None
        return None if match.route.operation in CATALOGUES else match.route

    def _arrive(self, index: int) -> None:
        """Move the clock to an exchange and let the VMs in that it is the first to show."""
        clock = self.world.clock
        left = self.start + timedelta(seconds=self.at[index]) - clock.now()
        clock.advance(max(0.0, left.total_seconds()))
        self._depart()
        one = self.session[index]
        self._let_in_vault(one)
        if one.method == "DELETE" and (body := machines.deleted_machine(one)):
            plant(self.world, {"resources": [body]})
        others.source(self.world, one)
        for states in self.machines.values():
            for machine in states:
                if machine.index == index:
                    plant(self.world, {"resources": [machine.body]})

    def _send(self, index: int, one: Exchange, route: Route) -> Reply:
        world, knobs = self.world, self.world.knobs
        if one.method == "GET" and one.status == 200:
            self._as_found(index, one, route)
        taken = timing.taken(self.session, self.at, index, route.operation)
        durations = taken.durations
        knobs.turn({"backup.durations": durations, "compute.durations": durations, **taken.knobs})
        world.gateway.faults.clear()
        if taken.fault:
            older = self.start.year < 2020
            world.gateway.faults.order({"count": 1, "fault": {**taken.fault, "older": older}})
        if (cut := timing.cancelled(self.session, index)) and route.operation == "Backups_Trigger":
            durations |= {"backup": cut[1] + 3600.0}
            knobs.turn({"backup.durations": durations})
        self._note(one, taken)
        target = self.names.translated(one.target)
        path, _, query = target.partition("?")
        sent = b"" if one.sent is None else self.names.translated(json.dumps(one.sent)).encode()
        headers = {"x-ms-client-request-id": taken.client_id} if taken.client_id else {}
        reply = world.gateway.answer(
            Incoming(
                method=one.method,
                path=path,
                principal=CLIENT,
                query={
                    name: self.names.simulated.get(value, value)
                    for name, value in parse_qsl(query, keep_blank_values=True)
                },
                headers=headers,
                raw=sent,
            )
        )
        if cut and route.operation == "Backups_Trigger" and reply.status == 202:
            self._cancel_later(one, *cut)
        return reply

    def _note(self, one: Exchange, taken: timing.Taken) -> None:
        """List what was taken as input: durations, luck, failures, the caller's id."""
        lengths = {round(length, 1) for length in taken.durations.values() if length}
        if lengths:
            kinds = ", ".join(sorted(k for k, length in taken.durations.items() if length))
            self.outcome.inputs.append(f"{one.where} seconds {sorted(lengths)} for {kinds}")
        for name, value in taken.knobs.items():
            self.outcome.inputs.append(f"{one.where} {name} = {value}")
        if taken.fault:
            self.outcome.inputs.append(f"{one.where} fails with {taken.fault}")
        if taken.client_id:
            self.outcome.inputs.append(f"{one.where} caller's id {taken.client_id}")

    def _cancel_later(self, one: Exchange, asked_after: float, ends_after: float) -> None:
        """Let somebody outside the recording cancel the backup that was just begun."""
        world = self.world
        vault = world.backup.vaults[origin.vault_of(one.path)]
        job = list(vault.jobs.values())[-1]
        asked_at = job.started_at + timedelta(seconds=asked_after)
        world.schedule.at(
            job.started_at + timedelta(seconds=ends_after),
            lambda: cancel(world.backup, vault, job, asked_at=asked_at),
        )

    def _as_found(self, index: int, one: Exchange, route: Route) -> None:
        """Let what is not the session's own be as the recorded answer shows it."""
        match route.operation:
            case "BackupProtectableItems_List":
                units = others.discover(self.world, one, self.machines, self.start, self.is_hidden)
                if units > 1:
                    self.outcome.inputs.append(f"{one.where} {units} units, each sorted by itself")
            case "BackupProtectedItems_List" if origin.vault_of(one.path) not in self.made:
                others.items(self.world, one, self.written)
            case "Vaults_ListBySubscriptionId":
                others.vaults(self.world, origin.pages(self.session, index), self.made)

    def _judge(self, one: Exchange, route: Route, reply: Reply) -> None:
        outcome = self.outcome
        outcome.compared[route.operation] += 1
        outcome.versions[route.operation].add(one.api_version)
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


def _world(session: list[Exchange], start: datetime, standing: list[Any]) -> World:
    """Build the simulated Azure a session starts from."""
    first = start + timedelta(seconds=max(session[0].at, 0.0))
    world = build(speed=0, start=first, profile=_profile(start))
    world.arm_url = "https://management.azure.com"
    missing = any(timing.code_of(one.body) == "MissingSubscriptionRegistration" for one in session)
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
            "resources": standing,
        },
    )
    for one in session:  # groups that nothing but a path names
        words = one.path.split("/")
        if len(words) > 4 and words[3].lower() == "resourcegroups":
            group = "/".join(words[:5])
            own = one.method == "PUT" and len(words) == 5 and one.status == 201
            if own:
                break
            if world.get(group) is None:
                group = group.replace("/resourcegroups/", "/resourceGroups/")
                plant(world, {"resources": [{"id": group, "location": "westus"}]})
    return world


def _guessed(session: list[Exchange]) -> datetime:
    """Guess when a session was recorded that has no fresh time in it: by its newest api-version."""
    newest = max(one.api_version[:10] for one in session)
    return datetime.fromisoformat(newest).replace(tzinfo=UTC) + timedelta(days=120)


def _profile(start: datetime) -> str:
    """Return whose budgets counted on a day: which headers showed them (report §4)."""
    for until, profile in PROFILES:
        if start < until:
            return profile
    return "doc"


def _says_gone(one: Exchange) -> bool:
    """Tell whether an operation's URL died because somebody deleted its vault."""
    return "/backupoperations/" in one.path.lower() and "vaults/" in json.dumps(one.body)


def _kind(one: Exchange) -> str:
    """Name what is outside the surface by its provider and type."""
    words = unquote(one.path).split("/providers/")
    return f"{one.method} {'/'.join(words[-1].split('/')[:2]) if len(words) > 1 else one.path}"
