"""A letter in words: everything a card or a mail shows, cleaned, in one language, without layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.domain.deliveries import Kind
from shared.domain.findings import Finding, Remedy, Severity
from shared.domain.letters import Letter, Story
from shared.domain.notices import rank
from shared.notices.escape import clean, command, link
from shared.notices.words import Words

REMEDIES = 3  # F45
OURS = "python -m ops "  # a command of ours, which no Azure CLI knows


@dataclass(frozen=True, slots=True, kw_only=True)
class RemedyView:
    text: str
    az: str = ""
    powershell: str = ""
    link: str = ""

    @property
    def shell(self) -> str:
        """Name the label of the first command."""
        return "label.ops" if self.az.startswith(OURS) else "label.az"


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingView:
    code: str
    severity: str
    text: str
    evidence: str
    remedies: tuple[RemedyView, ...]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One VM of a digest."""

    name: str
    detail: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """All VMs of a digest that share a cause."""

    title: str
    count: str
    finding: FindingView | None  # None where everything is resolved
    members: tuple[Named, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is said. ``groups`` in a digest; ``findings`` and ``facts`` otherwise."""

    language: str
    kind: Kind
    headline: str
    lead: str
    good: bool  # it is over
    facts: tuple[tuple[str, str], ...] = ()
    findings: tuple[FindingView, ...] = ()
    groups: tuple[Group, ...] = ()
    next_step: str = ""
    links: tuple[Link, ...] = ()
    acting: str = ""
    notice: str = ""
    letter: str = ""  # its own id, where it differs from the notice's


def view(letter: Letter, words: Words) -> View:
    """Say a letter in words."""
    return _digest(letter, words) if len(letter.stories) > 1 else _single(letter, words)


def _single(letter: Letter, words: Words) -> View:
    told = letter.stories[0]
    over = told.kind is Kind.RESOLVED
    name = clean(told.title, 80)
    service = told.vm is None
    if service:
        headline = words.say(f"headline.service{'_resolved' if over else ''}", name=name)
    else:
        age = words.duration(letter.at - told.since)
        headline = words.say(f"headline.{_tone(told)}", name=name, age=age)
    lead = _resolved_lead(told, letter, words) if over else ""
    if not over:
        lead = words.say(
            "lead.service" if service and told.kind is Kind.OPENED else f"lead.{_tone(told)}"
        )
    return View(
        language=words.language,
        kind=told.kind,
        headline=headline,
        lead=lead,
        good=over,
        facts=_facts(told, words),
        findings=() if over else tuple(_finding(f, words, service) for f in told.findings),
        next_step="" if over else clean(words.phrase(told.next_step), 600),
        links=_links(told, words),
        acting=words.say("foot.acting") if told.page and not over else "",
        notice=told.notice,
        letter=letter.id,
    )


def _tone(told: Story) -> str:
    """Name the words of a story; nothing is in the way where all of it is advice."""
    about_vm = told.vm is not None and told.kind in {Kind.OPENED, Kind.UPDATED}
    if about_vm and all(one.severity is Severity.ADVISORY for one in told.findings):
        return "advice"
    return told.kind.value


def _digest(letter: Letter, words: Words) -> View:
    over = all(told.kind is Kind.RESOLVED for told in letter.stories)
    headline = "headline.digest_resolved" if over else "headline.digest"
    counted = [told for told in letter.stories if over or told.kind is not Kind.RESOLVED]
    return View(
        language=words.language,
        kind=Kind.DIGEST,
        headline=words.say(headline, count=len(counted)),
        lead=words.say("lead.digest"),
        good=over,
        groups=_groups(letter, words),
        notice=letter.id,
    )


def _groups(letter: Letter, words: Words) -> tuple[Group, ...]:
    """Group by cause: worst first, then the most numerous."""
    sets: dict[tuple[Kind, str], list[Story]] = {}
    for told in letter.stories:
        code = "" if told.kind is Kind.RESOLVED else told.findings[0].code
        sets.setdefault((told.kind, code), []).append(told)

    def order(key: tuple[Kind, str]) -> tuple[bool, int, int, str]:
        kind, code = key
        worst = rank(sets[key][0].findings[0].severity)
        return kind is Kind.RESOLVED, -worst, -len(sets[key]), f"{kind}{code}"

    return tuple(_group(key[0], sets[key], letter, words) for key in sorted(sets, key=order))


def _group(kind: Kind, told: Sequence[Story], letter: Letter, words: Words) -> Group:
    finding = None if kind is Kind.RESOLVED else _shared(told, words)
    title = words.say(f"group.{kind}")
    if finding:
        title = f"{title}: {finding.text}"
    return Group(
        title=title,
        count=words.say("group.one")
        if len(told) == 1
        else words.say("group.count", count=len(told)),
        finding=finding,
        members=tuple(
            Named(
                name=clean(one.title, 80),
                detail=_resolved_lead(one, letter, words)
                if kind is Kind.RESOLVED
                else ("" if finding and finding.evidence else clean(one.findings[0].evidence, 200)),
                url=link(one.page or one.portal),
            )
            for one in sorted(told, key=lambda one: one.title.lower())
        ),
    )


def _shared(told: Sequence[Story], words: Words) -> FindingView:
    """Say the cause, and of evidence, remedies and commands what is the same for all."""
    causes = [one.findings[0] for one in told]
    first, shown = causes[0], _finding(causes[0], words)
    texts = set[str].intersection(*({r.text for r in one.remedies} for one in causes))
    whole = set[Remedy].intersection(*(set(one.remedies) for one in causes))
    remedies = tuple(
        seen if remedy in whole else replace(seen, az="", powershell="")
        for remedy, seen in zip(first.remedies, shown.remedies, strict=False)
        if remedy.text in texts
    )
    one_evidence = len({one.evidence for one in causes}) == 1
    return replace(shown, remedies=remedies, evidence=shown.evidence if one_evidence else "")


def _finding(finding: Finding, words: Words, service: bool = False) -> FindingView:
    remedies = tuple(
        _remedy(remedy, words.phrase(remedy.text)) for remedy in finding.remedies[:REMEDIES]
    )
    return FindingView(
        code=clean(finding.code, 80),
        severity=words.say(f"severity.{'service' if service else finding.severity}"),
        text=clean(words.finding(finding.code, finding.text), 600),
        evidence=clean(finding.evidence, 800),
        remedies=remedies,
        source=clean(f"{finding.source} ({finding.source_date})", 200) if finding.source else "",
    )


def _remedy(remedy: Remedy, text: str) -> RemedyView:
    return RemedyView(
        text=clean(text, 600),
        az=command(remedy.az),
        powershell=command(remedy.powershell),
        link=link(remedy.link),
    )


def _resolved_lead(told: Story, letter: Letter, words: Words) -> str:
    took = words.duration((told.ended or letter.at) - told.since)
    how = words.known(f"how.{told.how}", clean(told.how, 200)) if told.how else ""
    return words.say("lead.resolved", took=took, how=how.rstrip(".") or "-")


def _facts(told: Story, words: Words) -> tuple[tuple[str, str], ...]:
    facts: list[tuple[str, str]] = []
    if told.vm is not None:
        facts += [
            (words.say("label.vm"), clean(told.vm.name, 120)),
            (words.say("label.resource_group"), clean(told.vm.group, 120)),
            (words.say("label.subscription"), told.vm.subscription),
        ]
    facts += [
        (words.say("label.region"), clean(told.region, 60)),
        (words.say("label.rule"), clean(told.rule, 120)),
        (words.say("label.since"), words.time(told.since)),
        (words.say("label.owner"), clean(_sources(told.owner, words), 200)),
    ]
    if told.flaps:
        facts.append((words.say("label.notice"), words.say("label.flaps", n=told.flaps)))
    return tuple((label, value) for label, value in facts if value)


def _sources(owner: str, words: Words) -> str:
    """Say where the recipients come from; several places are listed."""
    return ", ".join(words.phrase(source) for source in owner.split(", "))


def _links(told: Story, words: Words) -> tuple[Link, ...]:
    found = (
        (words.say("link.page"), link(told.page)),
        (words.say("link.portal"), link(told.portal)),
    )
    return tuple(Link(text=text, url=url) for text, url in found if url)
