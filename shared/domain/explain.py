"""Why a VM is where it is, what happens next, and what would change that (rows F53, S5, S28).

`explain` builds one structure and `as_text` prints it; the command line, the HTTP answer, the page
and notices all show these words. Names and tags in it are foreign text: each surface escapes.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

import msgspec

from shared.domain.checklist import Point, checklist
from shared.domain.decisions import (
    AlreadyProtected,
    Block,
    ChangePolicy,
    Enroll,
    Exclude,
    Gone,
    Ignore,
    Orphaned,
    Resume,
    Undelete,
    Verdict,
    Wait,
)
from shared.domain.findings import Finding, Severity
from shared.domain.model import Policy, Snapshot, Vault
from shared.domain.placement import behind
from shared.domain.policywords import policy_words
from shared.domain.quoting import one_line
from shared.domain.readiness import caveats
from shared.domain.rules import Rules
from shared.domain.schedule import next_backup, starts_later
from shared.domain.selection import Considered, considered
from shared.domain.states import PORTAL_WORDS, State

_SEVERITY_WORDS = {
    Severity.BLOCKER: "blocks",
    Severity.NEEDS_ENHANCED: "needs an Enhanced policy",
    Severity.WAIT: "passes by itself",
    Severity.ADVISORY: "worth knowing",
}


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything there is to say about one VM at one time."""

    vm: str
    at: datetime
    headline: str
    next: str
    would_change: tuple[str, ...]
    looked_for: tuple[str, ...]  # exists, region, other vaults: the guides' order
    rules: tuple[Considered, ...]
    rules_version: str
    why: tuple[str, ...]
    policy: str
    checklist: tuple[Point, ...]
    findings: tuple[Finding, ...]
    caveats: tuple[Finding, ...]
    portal: str = ""  # the portal's words for the present state
    jobs: tuple[str, ...] = ()  # behind the latest change and the first backup


def explain(
    snapshot: Snapshot,
    rules: Rules,
    verdict: Verdict,
    now: datetime,
    *,
    state: State | None = None,
    jobs: tuple[str, ...] = (),
) -> Explanation:
    """Explain a verdict. ``state`` and ``jobs`` are the ledger's."""
    policy = _policy(snapshot, verdict)
    return Explanation(
        vm=str(snapshot.id),
        at=now,
        headline=headline(verdict),
        next=what_next(verdict, policy, now),
        would_change=would_change(verdict),
        looked_for=looked_for(snapshot),
        rules=considered(rules, snapshot) if _asked(verdict) else (),
        rules_version=verdict.rules_version or rules.version,
        why=(*verdict.why, *(behind(verdict.place, snapshot) if verdict.place else ())),
        policy=policy_words(policy) if policy else "",
        checklist=checklist(snapshot, verdict.findings, policy),
        findings=verdict.findings,
        caveats=caveats(snapshot, policy, now) if _asked(verdict) else (),
        portal=PORTAL_WORDS.get(state, "") if state else "",
        jobs=jobs,
    )


def headline(verdict: Verdict) -> str:
    """Say the decision in one sentence."""
    match verdict.decision:
        case Enroll(vault=vault, policy=policy):
            return f"To be protected in vault {vault.name} under policy {policy.name}."
        case ChangePolicy(item=item, policy=policy):
            return f"Protected in vault {item.vault.name}; to be moved to policy {policy.name}."
        case Resume(item=item, policy=policy):
            return f"Stopped in vault {item.vault.name}; to be resumed under {policy.name}."
        case Undelete(item=item):
            return f"Soft-deleted in vault {item.vault.name}; to be undeleted."
        case AlreadyProtected(item=item, elsewhere=True):
            return f"Protected in vault {item.vault.name}, which our rules do not choose."
        case AlreadyProtected(item=item):
            proof = "" if item.has_recovery_point else ", first recovery point pending"
            return f"Protected in vault {item.vault.name}{proof}."
        case Wait(why=why):
            return f"Waiting: {why}."
        case Block():
            count = sum(one.severity is not Severity.ADVISORY for one in verdict.findings)
            return f"Not protected: {count} {'thing stands' if count == 1 else 'things stand'} in the way."
        case Exclude(owner=owner, reason=reason):
            return f"Excluded by {owner}: {reason}."
        case Ignore(reason=reason):
            return f"Not ours: {reason}."
        case Orphaned(item=item):
            return f"The VM is gone; its recovery points are kept in vault {item.vault.name}."
        case Gone():
            return "The VM is gone, and nothing of it is left in the vaults in scope."
        case unknown:
            assert_never(unknown)


def what_next(verdict: Verdict, policy: Policy | None, now: datetime) -> str:
    """Say what happens by itself, and when."""
    match verdict.decision:
        case Enroll() | Resume():
            after = verdict.first_backup_after
            first = _first_backup(policy, now)
            if after is not None and starts_later(policy, now, after):
                first = f"First backup: started at once after that, as rule {verdict.rule} asks."
            return f"Enabled now; enabling makes no recovery point. {first}"
        case ChangePolicy():
            return "The policy is changed now; existing recovery points follow the new policy."
        case Undelete():
            return "Undeleted now; it is resumed under its policy after that."
        case AlreadyProtected(item=item):
            if item.has_recovery_point:
                return f"Nothing to do. {_first_backup(policy, now, 'Next backup')}"
            return _first_backup(policy, now)
        case Wait(until=until):
            return f"Looked at again at {until:%Y-%m-%d %H:%M} UTC."
        case Block():
            return "Looked at again as soon as the VM changes, and at every sweep."
        case Exclude(until=until):
            end = f"until {until:%Y-%m-%d %H:%M} UTC" if until else "until somebody takes that back"
            return f"Left alone {end}; then enrolled by itself."
        case Ignore() | Orphaned() | Gone():
            return "Nothing happens by itself."
        case unknown:
            assert_never(unknown)


def would_change(verdict: Verdict) -> tuple[str, ...]:
    """Say what would change the decision: the first remedy of everything in the way."""
    if isinstance(verdict.decision, Exclude):
        return ("The exclusion's end, or its owner taking it back.",)
    if isinstance(verdict.decision, Ignore):
        return ("A rule that takes such VMs, where the reason above is a rule's.",)
    found = []
    for one in verdict.findings:
        if one.severity is Severity.ADVISORY:
            continue
        step = one.remedies[0].text if one.remedies else "It passes by itself."
        found.append(f"{one.code}: {step}")
    return tuple(found)


def looked_for(snapshot: Snapshot) -> tuple[str, ...]:
    """Answer the guides' three questions about a missing VM, in their order (row S5)."""
    vm = snapshot.vm
    if vm is None:
        return ("Does it exist? No: Azure answers that there is no such VM.",)
    near = [vault for vault in snapshot.vaults if vault.location == vm.location]
    answers = [
        (
            f"Does it exist? Yes, in region {vm.location}, resource group {snapshot.id.group},"
            f" subscription {snapshot.id.subscription}, vmId {vm.uid or 'unknown'}."
        ),
        f"Is there a vault in its region? {_names(near) + '.' if near else 'No.'}",
    ]
    others = [
        f"{item.vault.name} (resource group {item.vault.group}, subscription"
        f" {item.vault.subscription}): {item.state.value}"
        + ("" if item.source in {None, snapshot.id} else f", but of {item.source}")
        for item in snapshot.items
    ]
    answers.append(f"Is it in a vault already? {'; '.join(others) or 'No.'}")
    return tuple(answers)


def _names(vaults: list[Vault]) -> str:
    return ", ".join(sorted(vault.name for vault in vaults))


def _asked(verdict: Verdict) -> bool:
    return not isinstance(verdict.decision, Ignore | Gone | Orphaned)


def _policy(snapshot: Snapshot, verdict: Verdict) -> Policy | None:
    match verdict.decision:
        case Enroll(policy=policy) | ChangePolicy(policy=policy) | Resume(policy=policy):
            return policy
        case AlreadyProtected(item=item):
            known = snapshot.policies.get(item.vault.key, ())
            return next((one for one in known if one.id == item.policy), None)
        case _:
            return verdict.place.policy if verdict.place is not None else None


def _first_backup(policy: Policy | None, now: datetime, what: str = "First backup") -> str:
    start = next_backup(policy, now) if policy else None
    if start is None:
        return f"{what}: at the policy's schedule, which cannot be read."
    return f"{what}: {start:%Y-%m-%d %H:%M} UTC, within about two hours."


# --- text ----------------------------------------------------------------------------------------


def as_text(explanation: Explanation) -> str:
    """Print an explanation for a terminal."""
    lines = [explanation.vm, "", explanation.headline, explanation.next]
    if explanation.portal:
        lines.append(f"The portal calls it: {explanation.portal}")
    lines += _section("What would change it", explanation.would_change)
    lines += _section("Looked for", explanation.looked_for)
    lines += _section(
        f"Rules {explanation.rules_version}",
        tuple(f"{one.rule}: {one.why_not or 'matches'}" for one in explanation.rules),
    )
    lines += _section("Chosen because", explanation.why)
    if explanation.policy:
        lines += _section("Policy", (explanation.policy,))
    lines += _section("Jobs", explanation.jobs)
    lines += ["", "Checklist"]
    for point in explanation.checklist:
        lines.append(f"  [{point.mark}] {point.step}: {point.words}")
    lines += _findings("Findings", explanation.findings)
    lines += _findings("Cannot be seen from Azure", explanation.caveats)
    return "\n".join(lines) + "\n"


def _section(title: str, rows: tuple[str, ...]) -> list[str]:
    return ["", title, *(f"  {row}" for row in rows)] if rows else []


def _findings(title: str, findings: tuple[Finding, ...]) -> list[str]:
    if not findings:
        return []
    lines = ["", title]
    for one in findings:
        lines.append(f"  {one.code} ({_SEVERITY_WORDS[one.severity]})")
        lines.append(f"    {one.text}")
        lines.append(f"    seen: {one_line(one.evidence, 400)}")
        for remedy in one.remedies[:3]:
            lines.append(f"    - {remedy.text}")
            for shell, command in (("sh", remedy.az), ("pwsh", remedy.powershell)):
                lines += [f"        {shell}> {line}" for line in command.splitlines()]
            if remedy.link:
                lines.append(f"        {remedy.link}")
        lines.append(f"    source: {one.source}, {one.source_date}")
    return lines
