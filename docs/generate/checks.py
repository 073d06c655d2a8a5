"""`docs/checks.md`: every finding, every limit and every error code, from the product's tables."""

from collections.abc import Iterable

from shared.domain.catalogue import ENTRIES, Entry, Step
from shared.domain.faultbook import FAULTS
from shared.domain.limits import LIMITS

_INTRO = """# What is checked

Printed from `shared/domain/catalogue.py`, `limits.json` and `faultbook.json` by
`python -m docs.generate`. Severities: *blocker* stops an enrollment until somebody acts;
*needs-enhanced-policy* is lifted by an Enhanced policy; *wait* passes by itself; *advisory* is shown
on the VM's page and in `explain`, and told only where a rule's `tell` names it.
"""


def markdown() -> str:
    """Print the document."""
    parts = [_INTRO]
    for step in Step:
        entries = [entry for entry in ENTRIES if entry.step is step and not entry.unseen]
        if entries:
            parts.append(f"## {step.value.capitalize()}\n\n{_findings(entries)}")
    unseen = [entry for entry in ENTRIES if entry.unseen]
    parts.append(
        "## What Azure cannot show\n\nTold once on the VM's page and in `explain`, never in a"
        f" notice.\n\n{_findings(unseen)}"
    )
    parts.append(f"## Limits\n\n{_limits()}")
    parts.append(f"## Error codes\n\n{_faults()}")
    return "\n".join(parts)


def _findings(entries: Iterable[Entry]) -> str:
    return table(
        ("code", "severity", "looked at", "what helps", "rows", "source", "date"),
        (
            (
                f"`{one.code}`",
                one.severity.value,
                one.looks_at,
                one.answer,
                one.rows,
                one.source,
                one.date,
            )
            for one in entries
        ),
    )


def _limits() -> str:
    return table(
        ("limit", "now", "before", "source", "date"),
        (
            (
                f"`{row.name}`",
                f"{row.now} {row.unit}",
                "; ".join(f"{one.value} ({one.date}, {one.source})" for one in row.before),
                row.source,
                row.date,
            )
            for row in LIMITS.rows
        ),
    )


def _faults() -> str:
    return table(
        ("code", "class", "cause", "what helps", "finding", "source", "date"),
        (
            (
                f"`{one.code}`" + "".join(f" {number}" for number in one.numbers),
                one.kind.value,
                one.cause,
                one.remedy,
                f"`{one.finding}`",
                one.source,
                one.date,
            )
            for one in FAULTS
        ),
    )


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Print a Markdown table; cells are data of ours, kept on one line."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [cell.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;") for cell in row]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
