"""What an operator does about one VM: first a page that says what will happen, then the deed.

A GET changes nothing. The POST carries a token that only our own form knows (`Caller.csrf`), and
what was done is a `PersonDecision` in the caller's name (`shared/wishes.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import quote

from shared.domain.ids import ArmId
from shared.domain.records import DecisionKind
from shared.errors import BadWish
from shared.web.api import machine
from shared.web.auth import Caller
from shared.web.desk import Desk
from shared.web.http import Answer, Request, see
from shared.web.rendering import page
from shared.wishes import Wish, carry_out

HOME = "/api/coverage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One deed: what is asked for it, and what it does, in words."""

    kind: DecisionKind
    title: str
    text: str
    reason: bool = True
    until: str = ""  # "", "optional" or "needed"
    days: int = 0  # after which it ends unless another end is given; 0: no end is proposed
    policy: bool = False
    old_too: bool = False


ACTS: dict[str, Act] = {
    "retry": Act(
        kind=DecisionKind.RETRY,
        title="Look at it again",
        text="The VM is read and decided upon anew, now. A failed attempt is tried again.",
        reason=False,
    ),
    "enroll": Act(
        kind=DecisionKind.RETRY,
        title="Enroll now",
        text="The VM is enrolled if the rules want it and nothing stands in the way, even if it "
        "was created before ENROLL_SINCE. In observe mode nothing is changed.",
        reason=False,
        old_too=True,
    ),
    "exclude": Act(
        kind=DecisionKind.EXCLUDE,
        title="Exclude",
        text="The VM is not enrolled until the end you give, or until somebody takes this back. "
        "A VM that is protected stays protected. It counts as not protected on this page.",
        until="optional",
    ),
    "snooze": Act(
        kind=DecisionKind.SNOOZE,
        title="Snooze its notice",
        text="Nobody is reminded of the present causes until then. A new cause is told.",
        until="needed",
        days=7,
    ),
    "consent-weaker": Act(
        kind=DecisionKind.CONSENT_WEAKER,
        title="Allow the weaker policy",
        text="The VM may be put under the weaker policy you name. Existing recovery points that "
        "the new policy does not keep are deleted by Azure within a day.",
        policy=True,
        until="optional",
    ),
    "consent-enhanced": Act(
        kind=DecisionKind.CONSENT_ENHANCED,
        title="Allow the Enhanced policy",
        text="The VM may be put under the Enhanced policy you name. There is no way back to a "
        "Standard one.",
        policy=True,
        until="optional",
    ),
    "consent-resume": Act(
        kind=DecisionKind.CONSENT_RESUME,
        title="Allow resuming",
        text="The protection that somebody stopped is resumed under the policy of the rules.",
        until="optional",
    ),
    "consent-undelete": Act(
        kind=DecisionKind.CONSENT_UNDELETE,
        title="Allow undeleting",
        text="The deleted backups are brought back, and protection is resumed after that.",
        until="optional",
    ),
    "revoke": Act(
        kind=DecisionKind.REVOKE,
        title="Take a decision back",
        text="The decision stays in the record and no longer counts; the VM is looked at again.",
        reason=False,
    ),
}


async def confirm(desk: Desk, request: Request, caller: Caller) -> Answer:
    """Ask once more, and for what the deed needs."""
    vm = machine(request.params.get("id", ""))
    what = request.params.get("what", "")
    return _form(desk, vm, what, request.params.get("key", ""), caller)


async def act(desk: Desk, request: Request, caller: Caller) -> Answer:
    """Do it, and go back to the VM."""
    form = request.form()
    vm = machine(form.get("id", ""))
    what, key = form.get("what", ""), form.get("key", "")
    deed = ACTS.get(what)
    if deed is None:
        return _form(desk, vm, what, key, caller)
    try:
        wish = Wish(
            vm=vm,
            kind=deed.kind,
            by=caller.name,
            reason=form.get("reason", "") or ("" if deed.reason else deed.title),
            until=_until(form.get("until", "")),
            policy=form.get("policy", ""),
            revokes=key,
            old_too=deed.old_too,
        )
        await carry_out(desk.ports, desk.hush, wish)
    except BadWish as error:
        return _form(desk, vm, what, key, caller, error=str(error), given=form)
    return see(f"{HOME}/vm?id={quote(str(vm), safe='')}&done={quote(what)}")


def _form(
    desk: Desk,
    vm: ArmId,
    what: str,
    key: str,
    caller: Caller,
    *,
    error: str = "",
    given: object = None,
) -> Answer:
    deed, now = ACTS.get(what), desk.ports.clock.now()
    if deed is None:
        text = "There is no such action."
        return page("stopped.html", status=404, title="Not here", text=text, link="")
    return page(
        "confirm.html",
        status=400 if error else 200,
        vm=vm,
        what=what,
        deed=deed,
        key=key,
        error=error,
        given=given or _proposed(deed, now),
        caller=caller,
        now=now,
        settings=desk.ports.settings,
    )


def _proposed(deed: Act, now: datetime) -> dict[str, str]:
    """Fill in the end that most people want; notices speak of it."""
    return {"until": f"{now + timedelta(days=deed.days):%Y-%m-%d}"} if deed.days else {}


def _until(text: str) -> datetime | None:
    """Read a date: the end is its beginning, UTC."""
    if not text.strip():
        return None
    try:
        return datetime.combine(date.fromisoformat(text.strip()), time(), UTC)
    except ValueError as error:
        raise BadWish("Write the end as a date, e.g. 2026-12-31.") from error
