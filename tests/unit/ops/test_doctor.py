"""The app's half of the doctor: it finds each thing that is set up wrongly, and nothing else."""

from __future__ import annotations

import platform
import re
import tomllib
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from ops.remote import _read
from shared.domain.findings import Finding, Severity
from shared.domain.messages import NoticeItem
from shared.domain.notices import OPERATORS, Notice
from shared.domain.records import Parked, SweepMark
from shared.errors import BadRules, Problem
from shared.web import versions
from shared.web.doctor import _CHANNEL, Check, Health, checks
from tests.fakes.azure import fault
from tests.fakes.storage import Sent
from tests.unit.domain import worlds
from tests.unit.web.counter import Counter
from tests.usecases.house import House

ROOT = Path(__file__).parents[3]

# --- the app's half ------------------------------------------------------------------------------

LAPTOP = {"AZURE_CLOUD": "custom", "AZURE_CLOUD_ARM_ENDPOINT": "https://127.0.0.1:9443"}
WELL = {
    "TEAMS_WEBHOOK_URL": "https://example.webhook.office.com/x",
    "OPERATORS": "ops@contoso.example",
    "AUTH_CLIENT_ID": "99999999-0000-4000-8000-000000000009",
}


async def healthy(**environment: str) -> Counter:
    """A service in which everything works."""
    counter = Counter()
    counter.house = House(**{**WELL, **environment})
    house = counter.house
    house.region()
    house.machines.add(worlds.vm())
    now = house.clock.now()
    for timer in ("sweep", "watch", "notices"):
        await house.ledger.note(f"ran-{timer}", now.isoformat())
    await house.ledger.put_sweep(
        SweepMark(subscription=worlds.SUB, sweep="s", started_at=now, finished_at=now, vms=1)
    )
    return counter


async def bad(counter: Counter) -> dict[str, Check]:
    found = [one async for one in checks(await counter.desk())]
    return {one.what: one for one in found if one.result is not Health.OK}


async def test_a_healthy_service_has_nothing_to_complain_of():
    assert await bad(await healthy()) == {}


async def late_timer(counter: Counter) -> None:
    before = counter.house.clock.now() - timedelta(hours=1)
    await counter.house.ledger.note("ran-watch", before.isoformat())


async def never_ran(counter: Counter) -> None:
    counter.house.ledger._notes.pop("ran-notices")


async def storage_down(counter: Counter) -> None:
    counter.house.ledger.on_call = lambda name: (_ for _ in ()).throw(
        fault("AuthorizationPermissionMismatch", status=403)
    )


async def no_vaults(counter: Counter) -> None:
    counter.house.directory = type(counter.house.directory)()


async def no_policies(counter: Counter) -> None:
    counter.house.directory.add(worlds.vault(name="empty"))


async def suspicious(counter: Counter) -> None:
    now = counter.house.clock.now()
    await counter.house.ledger.put_sweep(
        SweepMark(
            subscription=worlds.SUB,
            sweep="s",
            started_at=now,
            finished_at=now,
            suspicious="3 VMs where 9 were known",
        )
    )


async def not_swept(counter: Counter) -> None:
    counter.house.ledger._sweeps.clear()


async def parked(counter: Counter) -> None:
    now = counter.house.clock.now()
    await counter.house.parked.park(
        Parked(key="k", source="event", reason="shape", raw="x", at=now)
    )


async def bad_rules(counter: Counter) -> None:
    async def failing():
        raise BadRules((Problem(file="rules.yaml", line=3, column=1, message="no such key"),))

    counter.house.rules.current = failing


async def trouble(counter: Counter) -> None:
    finding = Finding(code="CHANNEL_TEAMS", severity=Severity.BLOCKER, text="refused", evidence="x")
    notice = Notice(
        key=f"{OPERATORS}CHANNEL_TEAMS",
        id="1",
        opened_at=counter.house.clock.now(),
        findings=(finding,),
    )
    await counter.notices.write(notice, "")


async def azure_refuses(counter: Counter) -> None:
    counter.house.estate.failing = fault("AuthorizationFailed", status=403)


async def clock_astray(counter: Counter) -> None:
    counter.soundings.off = timedelta(seconds=-95)


async def old_message(counter: Counter) -> None:
    counter.soundings.ages["notices"] = timedelta(hours=3)


def message_in(queue: str) -> Sent:
    return Sent(queue=queue, message=NoticeItem(notice="x"), delay=0.0)


async def deep_queue(counter: Counter) -> None:
    counter.house.queues.sent += [message_in("enrollments")] * 1001


async def poisoned(counter: Counter) -> None:
    counter.house.queues.sent.append(message_in("sweeps-poison"))


async def deaf_channel(counter: Counter) -> None:
    counter.soundings.said["smtp"] = "mail.contoso.example refuses the login: 535"


async def nothing(_counter: Counter) -> None:
    """The mistake is in the settings."""


MISTAKES = [
    pytest.param({}, clock_astray, "clock", "restart", id="the clock is off"),
    pytest.param({}, old_message, "queue notices", "runbook", id="nobody takes messages"),
    pytest.param({}, deep_queue, "queue enrollments", "runbook", id="a deep queue"),
    pytest.param({}, poisoned, "queue sweeps-poison", "disabled", id="nobody parks poison"),
    pytest.param({}, deaf_channel, "channel smtp", "channel_email", id="a channel does not answer"),
    pytest.param({}, late_timer, "timer watch", "runbook", id="a timer is late"),
    pytest.param({}, never_ran, "timer notices", "runbook", id="a timer never ran"),
    pytest.param({}, storage_down, "storage", "azd provision", id="no rights on tables"),
    pytest.param({}, no_vaults, "vaults", "vault", id="no vault is seen"),
    pytest.param({}, no_policies, "vault empty", "grant", id="a vault without policies"),
    pytest.param({}, suspicious, f"sweep of {worlds.SUB}", "role", id="a sweep is not believed"),
    pytest.param({}, not_swept, f"sweep of {worlds.SUB}", "role", id="nobody swept"),
    pytest.param({}, parked, "parked messages", "replay", id="something is parked"),
    pytest.param({}, bad_rules, "rules", "lint", id="rules cannot be used"),
    pytest.param({}, trouble, "CHANNEL_TEAMS", "runbook", id="a channel refuses"),
    pytest.param({}, azure_refuses, "estate", "onboard", id="Resource Graph refuses"),
    pytest.param({"TEAMS_WEBHOOK_URL": ""}, nothing, "channels", "set", id="no channel"),
    pytest.param({"OPERATORS": ""}, nothing, "operators", "set", id="no operators"),
    pytest.param(
        {"LOCAL_SIGN_IN": "x", **LAPTOP}, nothing, "sign-in", "unset", id="a laptop's sign-in"
    ),
    pytest.param({"AUTH_CLIENT_ID": ""}, nothing, "sign-in", "AUTH_CLIENT_ID", id="no sign-in"),
]


@pytest.mark.parametrize("environment, mistake, what, fix", MISTAKES)
async def test_the_app_tells_what_is_wrong_with_it(environment, mistake, what, fix):
    counter = await healthy(**environment)
    await mistake(counter)
    found = await bad(counter)

    assert what in found
    assert fix in found[what].fix


async def test_the_app_says_what_runs():
    counter = await healthy()
    found = {one.what: one.says async for one in checks(await counter.desk())}

    assert found["version"] == versions.ours()
    assert "azure-mgmt-recoveryservicesbackup" in found["runs on"]
    assert platform.python_version() in found["runs on"]


def test_the_version_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert versions.ours().startswith(f"{project['version']}, code ")


@pytest.mark.parametrize(
    "says, warned",
    [
        pytest.param(versions.ours(), [], id="the same"),
        pytest.param("0.0.9, code 0123456789", ["version here"], id="another"),
    ],
)
def test_an_app_that_runs_other_code_is_told(says, warned):
    check = Check(what="version", result=Health.OK, says=says)
    found = _read(200, msgspec.json.encode({"checks": [check]}))

    assert [one.what for one in found if one.result is Health.WARNING] == warned


def test_every_place_in_the_manual_that_a_fix_names_is_there():
    named = {
        (file, anchor)
        for source in (*ROOT.glob("shared/web/*.py"), *ROOT.glob("ops/*.py"))
        for file, anchor in re.findall(r"(docs/[\w-]+\.md)#([\w-]+)", source.read_text())
    } | {("docs/runbook.md", section) for section in _CHANNEL.values()}

    assert len(named) > 4
    for file, anchor in named:
        titles = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", one).lower().replace(" ", "-") for one in titles}


@pytest.mark.parametrize(
    "status, body, says",
    [
        pytest.param(401, b'{"message":"the token has expired"}', "expired", id="not let in"),
        pytest.param(403, b'{"message":"no app role"}', "no app role", id="not allowed"),
        pytest.param(404, b"", "no doctor", id="an old version"),
        pytest.param(500, b"<html>", "HTTP 500", id="broken"),
        pytest.param(200, b"<html>", "cannot be read", id="somebody else answers"),
    ],
)
def test_an_app_that_does_not_answer_is_a_finding(status, body, says):
    (found,) = _read(status, body)

    assert found.result is Health.FAILURE
    assert says in found.says
    assert found.fix
