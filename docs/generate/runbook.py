"""The findings' part of `docs/runbook.md`: a section per code, from the product's tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shared.domain.catalogue import ENTRIES, Entry, Step
from shared.domain.faultbook import FAULTS
from shared.domain.findings import Severity

MARK = "<!-- printed by `python -m docs.generate` from shared/domain/catalogue.py: do not edit below -->"

_THEN: Mapping[Severity, str] = {
    Severity.BLOCKER: "The VM is not enrolled until somebody acts; its owner has a notice.",
    Severity.NEEDS_ENHANCED: "An Enhanced policy of the tier lifts it; without one the VM is blocked.",
    Severity.WAIT: "Nobody needs to act: the VM is looked at again by itself.",
    Severity.ADVISORY: "Shown on the VM's page; nothing is held up.",
}


def printed(text: str) -> str:
    """Give the runbook with its findings printed anew below the mark."""
    by_hand, mark, _ = text.partition(MARK)
    assert mark, "the mark is missing in docs/runbook.md"
    return f"{by_hand}{MARK}\n\n" + "\n".join(_sections())


def _sections() -> Iterator[str]:
    for step in Step:
        entries = [entry for entry in ENTRIES if entry.step is step]
        if entries:
            yield f"### Findings: {step.value}\n"
        for entry in entries:
            yield f"#### {entry.code}\n\n{_body(entry)}\n"


def _body(entry: Entry) -> str:
    lines = [
        f"*{entry.severity.value}*. Looked at: {entry.looks_at}. What helps: {entry.answer}.",
        "Azure cannot show it; it is told once on the VM's page."
        if entry.unseen
        else _THEN[entry.severity],
    ]
    codes = sorted({fault.code for fault in FAULTS if fault.finding == entry.code})
    if codes:
        lines.append(f"Azure's codes behind it: {', '.join(f'`{code}`' for code in codes)}.")
    lines.append(f"Source: {entry.source}, {entry.date}.")
    return "\n".join(lines)
