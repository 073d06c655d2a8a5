"""What Azure's error codes mean: class, cause in words, remedy, source (facts §2, row S23).

Codes arrive in an HTTP answer, in an operation, in a job or in a validation; the book does not
care which. A code that is not in it is classed by prefix and status, shown raw, and counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from shared.domain.catalogue import finding
from shared.domain.findings import Finding, Remedy, Severity
from shared.domain.quoting import one_line
from shared.domain.records import ChangeKind


class FaultClass(StrEnum):
    """What a code asks of us."""

    TRANSIENT = "transient"  # try again with growing distance
    WAIT = "wait"  # a condition passes; look again in minutes, for hours at most
    CONFLICT = "conflict"  # the world is not as we thought: read again, decide again
    PERMANENT = "permanent"  # until a person changes something
    OURS = "ours"  # our own rights or settings are wrong: the operators' business


class Guide(StrEnum):
    """Which other checks a code calls for at once, whatever the rule says (row S23)."""

    NONE = ""
    AGENT = "agent"
    NETWORK = "network"


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One code of the book.

    ``numbers`` are the codes that jobs carry instead of the name. ``says`` is a phrase of Azure's
    message for a failure whose code nobody has seen; the name is ours then.
    """

    code: str
    kind: FaultClass
    cause: str
    remedy: str = ""
    az: str = ""
    link: str = ""
    source: str
    date: str
    numbers: tuple[str, ...] = ()
    guides: tuple[Guide, ...] = ()
    finding: str = "ENABLE_FAILED"
    wait_minutes: int = 0
    says: str = ""


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of the two troubleshooting guides."""

    name: str
    url: str


class Book(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The data file."""

    guides: dict[str, Link]
    sources: dict[str, tuple[str, str]]  # short name -> name, date
    faults: tuple[dict[str, object], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The answer about a code: its fault if the book has it, else only a class by fallback."""

    kind: FaultClass
    fault: Fault | None
    because: str


def _load() -> tuple[dict[str, Link], tuple[Fault, ...]]:
    content = Path(__file__).with_name("faultbook.json").read_bytes()
    book = msgspec.json.decode(content, type=Book)
    faults = []
    for row in book.faults:
        source, date = book.sources[str(row["source"])]
        faults.append(msgspec.convert(row | {"source": source, "date": date}, Fault))
    return book.guides, tuple(faults)


GUIDES, FAULTS = _load()
BY_CODE: Mapping[str, Fault] = {
    word.lower(): fault for fault in FAULTS for word in (fault.code, *fault.numbers)
}

_SAYING = tuple(fault for fault in FAULTS if fault.says)
_WORDS_OF_CONFLICT = re.compile(
    r"lock|in progress|another operation|being (?:used|modified)", re.IGNORECASE
)
_FALLBACK: tuple[tuple[re.Pattern[str], FaultClass], ...] = (
    (
        re.compile(r"ObjectLocked|ConflictingProtection|InProgress", re.IGNORECASE),
        FaultClass.TRANSIENT,
    ),
    (
        re.compile(r"UserErrorGuestAgent|NotInDesirableState|ProvisioningState", re.IGNORECASE),
        FaultClass.WAIT,
    ),
    (re.compile(r"AuthorizationFailed", re.IGNORECASE), FaultClass.OURS),
    (re.compile(r"NotFound|NotPresent|DoesNotExist", re.IGNORECASE), FaultClass.CONFLICT),
    (re.compile(r"^(?:UserError|BMSUserError)", re.IGNORECASE), FaultClass.PERMANENT),
    (
        re.compile(r"^Cloud|InternalError|Timeout|Throttled|TooManyRequests", re.IGNORECASE),
        FaultClass.TRANSIENT,
    ),
)


def known(code: str, status: int = 0, message: str = "") -> Known:
    """Look a code up, else class it by status and prefix (facts §2.5). Never raises."""
    fault = BY_CODE.get(code.strip().lower())
    if fault is not None and not (status == 429 and fault.kind is not FaultClass.TRANSIENT):
        return Known(kind=fault.kind, fault=fault, because=f"code {fault.code}")
    if status in {408, 429} or status >= 500:
        return Known(kind=FaultClass.TRANSIENT, fault=None, because=f"HTTP {status}")
    lower = message[:2000].lower()
    for fault in _SAYING:
        if fault.says in lower:
            return Known(kind=fault.kind, fault=fault, because=f"the words {fault.says!r}")
    for pattern, kind in _FALLBACK:
        if pattern.search(code):
            return Known(kind=kind, fault=None, because=f"the form of code {one_line(code, 80)}")
    if status == 409 and _WORDS_OF_CONFLICT.search(message):
        return Known(kind=FaultClass.TRANSIENT, fault=None, because="a conflict that passes")
    if status in {401, 403}:
        return Known(kind=FaultClass.OURS, fault=None, because=f"HTTP {status}")
    if status == 400:
        return Known(kind=FaultClass.PERMANENT, fault=None, because="HTTP 400")
    return Known(kind=FaultClass.TRANSIENT, fault=None, because="an unknown code")


def is_known(code: str) -> bool:
    """Tell whether the book holds a code; those it does not are counted, shown raw and classed."""
    return code.strip().lower() in BY_CODE


def class_of(code: str, status: int = 0, message: str = "") -> FaultClass:
    """Give the class of a code."""
    return known(code, status, message).kind


def guides_of(code: str) -> tuple[Guide, ...]:
    """Give the checks that a code calls for; by its form if the book does not have it."""
    fault = BY_CODE.get(code.strip().lower())
    if fault is not None:
        return fault.guides
    lower = code.lower()
    found = []
    if "guestagent" in lower or lower.startswith("extension"):
        found.append(Guide.AGENT)
    if "network" in lower or "communicat" in lower:
        found.append(Guide.NETWORK)
    return tuple(found)


_FAILED = {
    ChangeKind.ENROLL: "Backup was not enabled",
    ChangeKind.CHANGE_POLICY: "The policy was not changed",
    ChangeKind.RESUME: "Protection was not resumed",
    ChangeKind.UNDELETE: "The backups were not undeleted",
}


def finding_for(
    code: str,
    message: str,
    status: int = 0,
    recommendations: Sequence[str] = (),
    *,
    finding_code: str = "",
    severity: Severity | None = None,
    change: ChangeKind = ChangeKind.ENROLL,
) -> Finding:
    """Turn a failure into a finding a person can act on.

    The severity follows the class (what passes is a wait, the rest blocks) unless the caller, who
    knows how often it was tried, says otherwise. ``finding_code`` overrides the finding: a failed
    first backup is not a failed enable, nor is another ``change``. Azure's own words are evidence,
    and its recommendations come after ours.
    """
    answer = known(code, status, message)
    fault = answer.fault
    shown = one_line(code, 100) or f"HTTP {status}"
    said = one_line(message, 500)
    default = "OUR_RIGHTS" if answer.kind is FaultClass.OURS else "ENABLE_FAILED"
    about = finding_code or (fault.finding if fault else default)
    failed = "The first backup failed" if about == "FIRST_BACKUP_FAILED" else _FAILED[change]
    cause = fault.cause if fault else f"Azure gave a code we do not know ({shown})."
    remedies = [*_remedy(fault)]
    remedies += [Remedy(text=one_line(one, 500)) for one in recommendations if one.strip()]
    remedies += _links(code)
    return finding(
        about,
        text=f"{failed}: {cause}",
        evidence=f"{shown}: {said}" if said else shown,
        remedies=tuple(remedies[:3]),
        severity=severity or _SEVERITY[answer.kind],
        source=fault.source if fault else "",
        source_date=fault.date if fault else "",
    )


_SEVERITY = {
    FaultClass.TRANSIENT: Severity.WAIT,
    FaultClass.WAIT: Severity.WAIT,
    FaultClass.CONFLICT: Severity.WAIT,
    FaultClass.PERMANENT: Severity.BLOCKER,
    FaultClass.OURS: Severity.BLOCKER,
}


def _remedy(fault: Fault | None) -> tuple[Remedy, ...]:
    if fault is None or not fault.remedy:
        return ()
    return (Remedy(text=fault.remedy, az=fault.az, link=fault.link),)


def _links(code: str) -> list[Remedy]:
    """Give the guides of a code; both where agent or network are in question."""
    names = [guide.value for guide in guides_of(code)] or ["general"]
    return [
        Remedy(text=f"See Microsoft's guide: {GUIDES[name].name}.", link=GUIDES[name].url)
        for name in names
    ]
