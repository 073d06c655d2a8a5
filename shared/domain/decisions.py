"""What can be decided about a VM, and how its ledger state moves: one table, printed in docs/.

`decide.py` chooses one `Decision`; `reconcile.py` and `watch.py` carry it out and name what
happened with an `On`. Nothing else may change a state.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.findings import Finding
from shared.domain.model import Policy, ProtectedItem, Vault
from shared.domain.placement import Place
from shared.domain.states import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Enroll:
    """Make the VM a protected item of this vault under this policy."""

    vault: Vault
    policy: Policy
    excluded_luns: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePolicy:
    """Put the item under another policy of its vault that is not weaker."""

    item: ProtectedItem
    policy: Policy
    consent: str = ""  # who allowed a weaker or one-way change
    excluded_luns: tuple[int, ...] = ()  # every PUT replaces the list (facts §3.7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Attach a policy to an item whose protection was stopped."""

    item: ProtectedItem
    policy: Policy
    consent: str
    excluded_luns: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelete:
    """Bring a soft-deleted item back (it ends stopped; a Resume follows)."""

    item: ProtectedItem
    consent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyProtected:
    """Nothing to change: protected here, or in a vault of somebody else."""

    item: ProtectedItem
    elsewhere: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Look again at ``until``; it passes by itself."""

    until: datetime
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A person must act; the findings say what and how."""

    state: State = State.BLOCKED  # or STOPPED, SOFT_DELETED: blocked with a protected item left


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclude:
    """A governed reason not to enroll."""

    reason: str
    owner: str
    until: datetime | None
    by: str  # "rule NAME", "decision", "tag NAME" (self-excluded)
    since: datetime | None = None  # of a tag's exclusion: its first day, for `max_days`
    reminder: datetime | None = None  # when to say that it ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    """Not ours to protect."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphaned:
    """The VM is gone, its item is left; never deleted by us."""

    item: ProtectedItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """The VM is gone and nothing is left of it in a vault in scope."""


Change = Enroll | ChangePolicy | Resume | Undelete
Decision = Change | AlreadyProtected | Wait | Block | Exclude | Ignore | Orphaned | Gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The decision with everything that led to it; the same value feeds act, explain and page.

    Attributes:
        decision: what to do.
        findings: everything that was found, blockers and advisories, worst first.
        rule: name of the rule that matched, "" if none was asked.
        why: steps in words: which rule matched, why others did not, what was chosen.
        routes: where notices go, as the rule says.
        tell: codes of advisories that the rule finds worth a notice.
        rules_version: version of the rules that decided.
        deadline_hours: hours after its schedule that the first recovery point may take.
        first_backup_after: hours that the schedule must be away for us to start it; None: never.
        place: what the rules choose for the VM, also while something stands in the way.

    """

    decision: Decision
    findings: tuple[Finding, ...] = ()
    rule: str = ""
    why: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    tell: frozenset[str] = frozenset()
    rules_version: str = ""
    deadline_hours: int = 6
    first_backup_after: int | None = None
    place: Place | None = None

    @property
    def kind(self) -> str:
        """The decision's name in counters, logs and exports."""
        return type(self.decision).__name__


class On(StrEnum):
    """What happened to a VM, as the ledger sees it."""

    SENT = "change sent"
    OBSERVED = "would change, but only observing"
    FAILED = "operation failed"
    RECOVERY_POINT = "recovery point seen"
    FOUND_PENDING = "found protected, first backup pending"
    FOUND_PROTECTED = "found protected"
    FOUND_ELSEWHERE = "found in a vault our rules do not choose"
    WAIT = "must wait"
    NOT_NOW = "Azure did not answer this time"
    BLOCK = "a person must act"
    FOUND_STOPPED = "protection found stopped"
    FOUND_SOFT_DELETED = "item found soft-deleted"
    EXCLUDE = "excluded"
    IGNORE = "not ours"
    VM_GONE_ITEM_LEFT = "VM gone, item left"
    VM_GONE = "VM gone"
    NOT_FOUND_OUT = "could not find out or could not do"


_CHANGING = frozenset({State.ENROLLING, State.ENROLLED, State.PROTECTED})
_SAFE = frozenset({State.ENROLLED, State.PROTECTED})
# What was found out stays true until something else is found out (DESIGN §3.13).
_OPEN = frozenset({State.WAITING, State.ENROLLING, State.STUCK, State.UNKNOWN, State.GONE})
_ANY = frozenset(State)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the transition table."""

    on: On
    came_from: frozenset[State]
    to: State | None  # None: it stays as it was


TRANSITIONS: tuple[Rule, ...] = (
    Rule(on=On.SENT, came_from=_ANY, to=State.ENROLLING),
    Rule(on=On.OBSERVED, came_from=_ANY, to=State.OBSERVED),
    Rule(on=On.FAILED, came_from=frozenset({State.ENROLLING}), to=State.WAITING),
    Rule(on=On.RECOVERY_POINT, came_from=_CHANGING | {State.UNKNOWN}, to=State.PROTECTED),
    Rule(on=On.FOUND_PENDING, came_from=_ANY, to=State.ENROLLED),
    Rule(on=On.FOUND_PROTECTED, came_from=_ANY, to=State.PROTECTED),
    Rule(on=On.FOUND_ELSEWHERE, came_from=_ANY, to=State.ELSEWHERE),
    Rule(on=On.WAIT, came_from=_ANY - _SAFE, to=State.WAITING),
    Rule(on=On.WAIT, came_from=_SAFE, to=None),
    Rule(on=On.NOT_NOW, came_from=_OPEN, to=State.WAITING),
    Rule(on=On.NOT_NOW, came_from=_ANY - _OPEN, to=None),
    Rule(on=On.BLOCK, came_from=_ANY, to=State.BLOCKED),
    Rule(on=On.FOUND_STOPPED, came_from=_ANY, to=State.STOPPED),
    Rule(on=On.FOUND_SOFT_DELETED, came_from=_ANY, to=State.SOFT_DELETED),
    Rule(on=On.EXCLUDE, came_from=_ANY, to=State.EXCLUDED),
    Rule(on=On.IGNORE, came_from=_ANY, to=State.IGNORED),
    Rule(on=On.VM_GONE_ITEM_LEFT, came_from=_ANY, to=State.ORPHANED),
    Rule(on=On.VM_GONE, came_from=_ANY, to=State.GONE),
    Rule(on=On.NOT_FOUND_OUT, came_from=_ANY, to=State.STUCK),
)

_TABLE = {(rule.on, state): rule.to or state for rule in TRANSITIONS for state in rule.came_from}


def moved(state: State | None, on: On) -> State | None:
    """Give the state after ``on``; None if it does not move a VM in that state.

    A settlement that arrives for a VM which is no longer `Enrolling` moves nothing.
    """
    return _TABLE.get((on, state if state is not None else State.UNKNOWN))


def matrix() -> str:
    """Print the table as Markdown, for `docs/states.md`."""
    lines = ["| what happened | in state | becomes |", "|---|---|---|"]
    lines += [
        f"| {rule.on} | {_names(rule.came_from)} | {rule.to or 'what it was'} |"
        for rule in TRANSITIONS
    ]
    return "\n".join(lines) + "\n"


def _names(states: Iterable[State]) -> str:
    known = frozenset(states)
    if known == _ANY:
        return "any"
    if len(known) > len(_ANY) / 2:
        return "any but " + ", ".join(sorted(_ANY - known))
    return ", ".join(sorted(known))
