"""`docs/from-the-documents.md`: every line of the guides of 2016-2018, and what became of it.

`documents.json` holds, in our words, what each guide asks a person to do, and answers it with a
finding, a text, a part of the product, or the reason why it is obsolete. Where the guides
contradict each other or today, it holds every statement and which one decides (row S30).
"""

import json
from pathlib import Path
from typing import Any

from docs.generate.checks import table

DATA = Path(__file__).with_name("documents.json")


def load() -> dict[str, Any]:
    """Read the data file."""
    return json.loads(DATA.read_text(encoding="utf-8"))


def markdown() -> str:
    """Print the document."""
    content = load()
    parts = [
        (
            "# From the documents\n\nThe service replaces Microsoft's guides to preparing and backing up"
            " Azure VMs by hand. This page takes them line by line. Printed from"
            " `docs/generate/documents.json` by `python -m docs.generate`.\n"
        ),
        "## The documents\n\n"
        + table(
            ("id", "document", "date"),
            ((key, one["title"], one["date"]) for key, one in content["documents"].items()),
        ),
    ]
    for part in content["parts"]:
        rows = (
            (
                str(line["n"]),
                ", ".join(line["in"]),
                line["says"],
                answer(line),
                line.get("rows", ""),
            )
            for line in content["lines"]
            if line["part"] == part["id"]
        )
        parts.append(f"## {part['title']}\n\n" + table(("#", "in", "asks", "here", "rows"), rows))
    parts.append(
        "## Today's support matrix, row by row\n\nIn the order of the contract facts, §3.\n\n"
        + table(
            ("#", "about", "here"),
            ((row["n"], row["says"], answer(row)) for row in content["matrix"]),
        )
    )
    parts.append(
        "## Where they contradict each other, or today\n\n"
        + table(
            ("topic", "statements", "what decides"),
            (
                (
                    one["topic"],
                    "; ".join(f"{s['in']} ({s['date']}): {s['value']}" for s in one["statements"]),
                    one["decides"],
                )
                for one in content["contradictions"]
            ),
        )
    )
    return "\n".join(parts)


def answer(line: dict[str, Any]) -> str:
    """Say what became of a line, in one cell."""
    parts = []
    if codes := line.get("codes"):
        parts.append(", ".join(f"`{code}`" for code in codes) + (":" if line.get("does") else ""))
    if does := line.get("does"):
        parts.append(does)
    if where := line.get("where"):
        parts.append(f"({', '.join(f'`{one}`' for one in where)})")
    if because := line.get("obsolete"):
        parts.append(f"Obsolete: {because}")
    return " ".join(parts)
