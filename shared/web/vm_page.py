"""One VM: verdict, the guides' checklist, every check with evidence, history, and what to do.

What the ledger knows is shown at once; what Azure says now is asked for with one GET, and if it
does not answer the page says so and shows the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.domain.catalogue import CATALOGUE, Step
from shared.domain.coverage import Standing, standing_of
from shared.domain.decisions import Gone
from shared.domain.explain import Explanation
from shared.domain.findings import Finding, Severity
from shared.domain.ids import ArmId
from shared.domain.letters import Links
from shared.domain.model import Tags
from shared.domain.notices import Notice
from shared.domain.records import DecisionKind, PersonDecision, Row
from shared.errors import AzureFault, BadArmId, BadRules
from shared.explaining import Explained, explanation
from shared.ports import Ports
from shared.settings import Settings
from shared.web.api import machine
from shared.web.auth import Caller, Role
from shared.web.desk import Desk
from shared.web.http import Answer, Request
from shared.web.rendering import page


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One thing an operator may do about this VM."""

    what: str
    text: str


_ALWAYS = (
    Offer(what="retry", text="Look at it again"),
    Offer(what="enroll", text="Enroll now"),
    Offer(what="exclude", text="Exclude"),
)
_BY_CODE: Mapping[str, Offer] = {
    "POLICY_WEAKER": Offer(what=DecisionKind.CONSENT_WEAKER, text="Allow the weaker policy"),
    "POLICY_ONE_WAY": Offer(what=DecisionKind.CONSENT_ENHANCED, text="Allow the Enhanced policy"),
    "PROTECTION_STOPPED": Offer(what=DecisionKind.CONSENT_RESUME, text="Allow resuming"),
    "SOFT_DELETED": Offer(what=DecisionKind.CONSENT_UNDELETE, text="Allow undeleting"),
}


async def show(desk: Desk, request: Request, caller: Caller) -> Answer:
    """Show one VM; 404 if neither the ledger nor Azure knows it."""
    vm = machine(request.params.get("id", ""))
    ports = desk.ports
    found = await ports.ledger.read(vm)
    row = found[0] if found is not None else None
    answer, unknown = await _told(desk, vm)
    told = answer.explanation if answer is not None else None
    if row is None and (answer is None or answer.decision == Gone.__name__):
        text = unknown or "Neither Azure nor the ledger knows this VM."
        return page("stopped.html", status=404, title="No such VM", text=text, link="")
    notice = await desk.notice(vm)
    decisions = await ports.people.of(vm)
    findings = told.findings if told is not None else row.findings if row is not None else ()
    revoked = {one.revokes for one in decisions if one.kind is DecisionKind.REVOKE}
    return page(
        "vm.html",
        done="done" in request.params,
        vm=vm,
        row=row,
        standing=standing_of(row) if row is not None else Standing.UNKNOWN,
        told=told,
        unknown=unknown,
        blockers=tuple(one for one in findings if one.severity is not Severity.ADVISORY),
        advice=_advice(findings, told),
        restore=_restore(findings, told),
        owner=await _owner(ports, vm, row, notice),
        notice=notice,
        decisions=tuple(reversed(decisions)),
        revoked=revoked,
        offers=_offers(findings, notice),
        links=_Links(ports.settings, vm, row),
        caller=caller,
        operator=caller.may(Role.OPERATOR),
        now=ports.clock.now(),
        settings=ports.settings,
        in_force=lambda one: _in_force(one, revoked, ports.clock.now()),
    )


async def _told(desk: Desk, vm: ArmId) -> tuple[Explained | None, str]:
    try:
        return await explanation(desk.ports, vm), ""
    except AzureFault as fault:
        return None, f"Azure did not answer now ({fault.operation} {fault.code or fault.status})."
    except BadRules:
        return None, "There are no usable rules, so nothing can be decided now."


def _restore(findings: tuple[Finding, ...], told: Explanation | None) -> tuple[Finding, ...]:
    """Give what to know before a restore (rows S20, S27), seen and unseen."""
    known = (*findings, *(told.caveats if told is not None else ()))
    return tuple(one for one in known if _step(one) is Step.RESTORE)


def _advice(findings: tuple[Finding, ...], told: Explanation | None) -> tuple[Finding, ...]:
    known = [one for one in findings if one.severity is Severity.ADVISORY]
    known += told.caveats if told is not None else ()
    return tuple(one for one in known if _step(one) is not Step.RESTORE)


def _step(finding: Finding) -> Step | None:
    entry = CATALOGUE.get(finding.code)
    return entry.step if entry is not None else None


async def _owner(ports: Ports, vm: ArmId, row: Row | None, notice: Notice | None) -> str:
    """Say who answers for the VM: who was told, or whom tags name of VM, group or subscription.

    In observe mode only the operators are told, so it is the tags that say it.
    """
    told = ""
    if notice is not None and notice.routes:
        told = ", ".join(str(route[0]) for route in notice.routes if route)
        told = f"{told} ({notice.owner})" if notice.owner else told
    if told and not ports.settings.observing:
        return told
    for level, tags in (
        ("tag", row.tags if row is not None else {}),
        *(await _inherited(ports, vm)),
    ):
        lowered = {name.strip().lower(): value for name, value in tags.items()}
        for name in ports.settings.owner_tags:
            if value := lowered.get(name.lower()):
                return f"{value} ({level} {name})" + (f"; told: {told}" if told else "")
    return told


async def _inherited(ports: Ports, vm: ArmId) -> tuple[tuple[str, Tags], ...]:
    """Give the tags of group and subscription; none of them while Azure does not answer."""
    key = (vm.subscription.lower(), vm.group.lower())
    try:
        groups = await ports.estate.group_tags([key])
        subscriptions = await ports.estate.subscription_tags([key[0]])
    except AzureFault:
        return ()
    group, _ = groups.get(key, ({}, None))
    return ("resource group tag", group), ("subscription tag", subscriptions.get(key[0], {}))


def _offers(findings: tuple[Finding, ...], notice: Notice | None) -> tuple[Offer, ...]:
    offers = list(_ALWAYS)
    if notice is not None and notice.is_open:
        offers.append(Offer(what=DecisionKind.SNOOZE, text="Snooze its notice"))
    offers += [_BY_CODE[one.code] for one in findings if one.code in _BY_CODE]
    return tuple(dict.fromkeys(offers))


def _in_force(decision: PersonDecision, revoked: set[str], now: datetime) -> bool:
    """Tell whether there is something to take back."""
    lasting = decision.kind not in {DecisionKind.REVOKE, DecisionKind.RETRY}
    ended = decision.until is not None and decision.until <= now
    return lasting and decision.key not in revoked and not ended


class _Links:
    """Where the portal shows what this page names."""

    def __init__(self, settings: Settings, vm: ArmId, row: Row | None) -> None:
        links = Links(portal=settings.cloud.portal, tenant=settings.tenant_id)
        self.vm = links.to_portal(vm)
        self.vault = self.jobs = ""
        try:
            vault = ArmId.parse(row.vault) if row is not None and row.vault else None
        except BadArmId:
            vault = None
        if vault is not None:
            self.vault = links.to_portal(vault)
            self.jobs = f"{self.vault}/backupJobs"
