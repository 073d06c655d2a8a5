"""How a message that is too large becomes smaller: the defined order, least loss first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from shared.notices.view import FindingView, Group, RemedyView, View

_EVIDENCE = 160
_FINDINGS = 3
_NAMED = (50, 20, 5)


def _findings(view: View, change: Callable[[FindingView], FindingView]) -> View:
    return replace(
        view,
        findings=tuple(change(finding) for finding in view.findings),
        groups=tuple(
            replace(group, finding=change(group.finding)) if group.finding else group
            for group in view.groups
        ),
    )


def _remedies(view: View, change: Callable[[RemedyView], RemedyView]) -> View:
    return _findings(view, lambda f: replace(f, remedies=tuple(change(r) for r in f.remedies)))


def _cut(text: str) -> str:
    return text if len(text) <= _EVIDENCE else f"{text[: _EVIDENCE - 1]}…"


def _without_powershell(view: View) -> View:
    return _remedies(view, lambda remedy: replace(remedy, powershell=""))


def _without_details(view: View) -> View:
    groups = tuple(
        replace(group, members=tuple(replace(one, detail="") for one in group.members))
        for group in view.groups
    )
    return replace(_findings(view, lambda f: replace(f, evidence=_cut(f.evidence))), groups=groups)


def _one_remedy(view: View) -> View:
    return _findings(view, lambda finding: replace(finding, remedies=finding.remedies[:1]))


def _without_commands(view: View) -> View:
    return _remedies(view, lambda remedy: replace(remedy, az="", powershell=""))


def _worst_findings(view: View) -> View:
    return replace(view, findings=view.findings[:_FINDINGS], groups=view.groups[:10])


def _named(most: int) -> Callable[[View], View]:
    """Name so many VMs of each group; the count still tells how many there are."""

    def group(one: Group) -> Group:
        return replace(one, members=one.members[:most])

    return lambda view: replace(view, groups=tuple(group(one) for one in view.groups))


def _bare(view: View) -> View:
    return replace(view, findings=(), groups=(), facts=(), next_step="", acting="")


#: (key of the words that say it, step), applied in turn until the message fits.
STEPS: tuple[tuple[str, Callable[[View], View]], ...] = (
    ("powershell", _without_powershell),
    ("evidence", _without_details),
    ("remedies", _one_remedy),
    *(("stories", _named(most)) for most in _NAMED),
    ("commands", _without_commands),
    ("findings", _worst_findings),
    ("bare", _bare),
)
