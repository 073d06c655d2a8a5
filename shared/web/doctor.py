"""What the app can say about itself under its own identity; the other half is `ops doctor`'s.

Each check looks at one thing and answers ok, warning or failure, a failure with what fixes it.
It asks little of Azure: one list of vaults and policies, one page of VMs per subscription.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from shared.domain.coverage import doubt
from shared.domain.notices import OPERATORS, Notice
from shared.domain.sheets import QUEUES
from shared.errors import AzureFault, BadRules
from shared.ports import Ports
from shared.web import versions
from shared.web.auth import Caller
from shared.web.desk import Desk
from shared.web.http import Answer, Request, as_json
from shared.web.reading import STALE_TIMER, TIMERS

DEEP = 1000  # messages in a queue that somebody should know of
OLD = timedelta(hours=1)  # of a message nobody took; the longest wait in a queue is 15 minutes
ASTRAY = timedelta(seconds=30)  # of a clock; tokens and leases go by it
VERSION = "version"  # the line that `ops doctor` compares with its own
_CHANNEL = {  # channel -> section of the runbook
    "teams": "channel_teams",
    "topic": "channel_topic",
    "acs": "channel_email",
    "smtp": "channel_email",
}
POISON = tuple(f"{name}-poison" for name in QUEUES)


class Health(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the doctor's answer."""

    what: str
    result: Health
    says: str
    fix: str = ""


async def examine(desk: Desk, _request: Request, _caller: Caller) -> Answer:
    """Look at everything the app can see."""
    return as_json(200, {"checks": [one async for one in checks(desk)]})


async def checks(desk: Desk) -> AsyncIterator[Check]:
    """Give every line; a check that cannot look is a failure that says why."""
    ports = desk.ports
    for what, group in (
        ("storage", _storage(ports)),
        ("clock", _clock(desk)),
        ("timers", _timers(ports)),
        ("queues", _queues(desk)),
        ("rules", _rules(ports)),
        ("estate", _estate(ports)),
        ("sweeps", _sweeps(ports)),
        ("parked", _parked(ports)),
        ("channels", _channels(desk)),
        ("notices", _troubles(desk)),
    ):
        try:
            async for one in group:
                yield one
        except AzureFault as fault:
            yield _cannot(what, fault)
    for one in _settings(ports):
        yield one
    yield Check(what=VERSION, result=Health.OK, says=versions.ours())
    yield Check(what="runs on", result=Health.OK, says=versions.beneath())


def _cannot(what: str, fault: AzureFault) -> Check:
    return Check(
        what=what,
        result=Health.FAILURE,
        says=f"{fault.operation} failed: {fault.code or fault.status} {fault.message}"[:500],
        fix=_FIXES.get(fault.code, "docs/runbook.md has a section per code"),
    )


_FIXES = {
    "AuthorizationFailed": "grant the service's role there: python -m ops onboard SUBSCRIPTION",
    "AuthorizationPermissionMismatch": "grant the identity its data roles: azd provision",
    "AuthorizationFailure": "let the app reach its storage account: azd provision",
    "MissingSubscriptionRegistration": "az provider register --namespace Microsoft.RecoveryServices",
}


async def _storage(ports: Ports) -> AsyncIterator[Check]:
    await ports.ledger.marks()
    await ports.coverage.summaries()
    yield Check(what="storage", result=Health.OK, says="tables answer")


async def _clock(desk: Desk) -> AsyncIterator[Check]:
    ahead = await desk.soundings.ahead()
    astray = abs(ahead) > ASTRAY
    seconds = round(ahead.total_seconds())
    yield Check(
        what="clock",
        result=Health.FAILURE if astray else Health.OK,
        says=f"{abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} the storage account's",
        fix="restart the app, so that it runs elsewhere: az functionapp restart" if astray else "",
    )


async def _timers(ports: Ports) -> AsyncIterator[Check]:
    now = ports.clock.now()
    for name in TIMERS:
        ended = await ports.ledger.noted(f"ran-{name}")
        late = not ended or now - _time(ended) > STALE_TIMER
        yield Check(
            what=f"timer {name}",
            result=Health.FAILURE if late else Health.OK,
            says=f"last good end: {ended or 'never'}",
            fix="look at its failed invocations: docs/runbook.md#alert-no-sweep" if late else "",
        )


async def _queues(desk: Desk) -> AsyncIterator[Check]:
    ports = desk.ports
    for name in QUEUES:
        depth, age = await ports.queues.depth(name), await desk.soundings.oldest(name)
        wrong = depth > DEEP or (age is not None and age > OLD)
        oldest = f"; the oldest to take is {_minutes(age)} old" if age is not None else ""
        yield Check(
            what=f"queue {name}",
            result=Health.WARNING if wrong else Health.OK,
            says=f"{depth} messages, waiting ones included{oldest}",
            fix="is a large sweep under way? else docs/runbook.md#alert-event-lag" if wrong else "",
        )
    for name in POISON:
        if depth := await ports.queues.depth(name):
            yield Check(
                what=f"queue {name}",
                result=Health.FAILURE,
                says=f"{depth} messages failed and were not parked",
                fix="is the function that parks them disabled? az functionapp function list",
            )


async def _rules(ports: Ports) -> AsyncIterator[Check]:
    try:
        rules = await ports.rules.current()
    except BadRules as error:
        yield Check(
            what="rules",
            result=Health.FAILURE,
            says=str(error)[:500],
            fix="python -m ops lint FILE; then upload it to RULES_URI",
        )
        return
    problems = [one for one in ports.rules.problems if one.level == "error"]
    yield Check(
        what="rules",
        result=Health.FAILURE if problems else Health.OK,
        says=f"version {rules.version} runs"
        + (f"; a newer one is not used: {problems[0]}" if problems else ""),
        fix="python -m ops lint FILE; then upload it to RULES_URI" if problems else "",
    )


async def _estate(ports: Ports) -> AsyncIterator[Check]:
    """Can the identity see what it is to serve? Missing rights hide rows without an error."""
    named = ports.settings.subscriptions
    readable = {one.lower() for one in await ports.estate.subscription_tags(named)}
    scope = await ports.estate.subscriptions()
    for subscription in scope:
        page = await ports.estate.vms(subscription, "")
        hidden = bool(named) and subscription.lower() not in readable
        yield Check(
            what=f"subscription {subscription}",
            result=Health.FAILURE if hidden else Health.OK,
            says="the identity cannot see it" if hidden else f"{len(page.rows)}+ VMs seen",
            fix=f"python -m ops onboard {subscription} --yes" if hidden else "",
        )
    vaults = await ports.directory.vaults()
    yield Check(
        what="vaults",
        result=Health.OK if vaults else Health.FAILURE,
        says=f"{len(vaults)} seen",
        fix="" if vaults else "create a vault, or grant the role where it lies",
    )
    for vault in vaults:
        if not await ports.directory.policies(vault.id):
            yield Check(
                what=f"vault {vault.name}",
                result=Health.FAILURE,
                says="no backup policy can be read",
                fix="grant the service's role on the vault: docs/deploy.md",
            )


async def _sweeps(ports: Ports) -> AsyncIterator[Check]:
    marks = {mark.subscription.lower(): mark for mark in await ports.ledger.sweeps()}
    every = timedelta(seconds=ports.settings.sweep_seconds)
    for subscription in await ports.estate.subscriptions():
        why = doubt(marks.get(subscription.lower()), ports.clock.now(), every)
        yield Check(
            what=f"sweep of {subscription}",
            result=Health.FAILURE if why else Health.OK,
            says=why or "finished and believed",
            fix="has a role been removed? docs/runbook.md#sweep_suspicious" if why else "",
        )


async def _parked(ports: Ports) -> AsyncIterator[Check]:
    waiting = 0
    async for page in ports.parked.all():
        waiting = sum(one.replayed_at is None for one in page)
        break
    yield Check(
        what="parked messages",
        result=Health.WARNING if waiting else Health.OK,
        says=f"{waiting} not replayed",
        fix="python -m ops replay list" if waiting else "",
    )


async def _channels(desk: Desk) -> AsyncIterator[Check]:
    for name, says in (await desk.soundings.channels()).items():
        yield Check(
            what=f"channel {name}",
            result=Health.FAILURE if says else Health.OK,
            says=says or "answers",
            fix=f"docs/runbook.md#{_CHANNEL[name]}" if says else "",
        )


async def _troubles(desk: Desk) -> AsyncIterator[Check]:
    """Tell what operators have been told and is not over: channels, ceilings, suspicious sweeps."""
    found = 0
    async for page in desk.notices.notices("operators"):
        for notice in page:
            if isinstance(notice, Notice) and notice.is_open:
                found += 1
                yield Check(
                    what=notice.key.removeprefix(OPERATORS),
                    result=Health.FAILURE,
                    says="; ".join(f"{one.text} ({one.evidence})" for one in notice.findings)[:500],
                    fix="docs/runbook.md has a section per code",
                )
    if not found:
        yield Check(what="open troubles", result=Health.OK, says="none")


def _settings(ports: Ports) -> Iterator[Check]:
    settings = ports.settings
    mode = "nothing is changed" if settings.observing else "VMs are enrolled"
    yield Check(what="mode", result=Health.OK, says=f"{settings.mode}: {mode}")
    channels = {
        "TEAMS_WEBHOOK_URL": settings.teams_webhook,
        "SMTP_URL or ACS_ENDPOINT": settings.smtp_url or settings.acs_endpoint,
    }
    if not any(channels.values()):
        yield Check(
            what="channels",
            result=Health.FAILURE,
            says="nobody can be told anything: no channel is set",
            fix=f"set {' or '.join(channels)}",
        )
    if not settings.operators:
        yield Check(
            what="operators",
            result=Health.WARNING,
            says="nobody hears of the service's own troubles",
            fix="set OPERATORS",
        )
    if settings.local_sign_in:
        yield Check(
            what="sign-in",
            result=Health.WARNING,
            says="the local password opens everything",
            fix="unset LOCAL_SIGN_IN, set AUTH_CLIENT_ID",
        )
    elif not settings.auth_client_id:
        yield Check(
            what="sign-in",
            result=Health.WARNING,
            says="nobody can open the coverage page",
            fix="make an Entra application, set AUTH_CLIENT_ID: docs/deploy.md",
        )


def _minutes(age: timedelta) -> str:
    return f"{age.total_seconds() / 60:.0f} min"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
