"""Every sentence of ours that a notice may carry, read from the code that makes it.

What varies is ``{}``. Where a sentence has an optional part, both forms are given.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path

SHARED = Path(__file__).resolve().parents[3] / "shared"
REMEDIES = (
    *sorted((SHARED / "domain" / "remedies").glob("*.py")),
    SHARED / "first_backup.py",
    SHARED / "domain" / "routing.py",
    SHARED / "domain" / "faultbook.py",
)
BLANK = "{}"
SOURCES = (  # of recipients, as `routing.routed` names them
    "VM tag {}",
    "resource group tag {}",
    "subscription tag {}",
    "rule",
    "fallback of the rules",
    "default Teams channel",
    "operators",
    "observe mode: operators only",
)


def phrases() -> set[str]:
    """Give all of them: remedies, what happens next, Azure's faults in plain words."""
    book = json.loads((SHARED / "domain" / "faultbook.json").read_text(encoding="utf-8"))
    said = {
        fault[part] for fault in book["faults"] for part in ("cause", "remedy") if part in fault
    }
    said |= {text for file in REMEDIES for text in _remedies(file)}
    said |= set(SOURCES)
    said |= _returned(SHARED / "telling.py", "_next_step")
    return {text for text in said if text.strip() not in {"", BLANK}}


def _remedies(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    outer = _assigned(tree.body)
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        names = outer | _assigned(function.body)
        for call in ast.walk(function):
            made = getattr(call.func, "id", "") if isinstance(call, ast.Call) else ""
            if made == "Remedy" or (made == "finding" and function.name == "finding_for"):
                (text,) = (one.value for one in call.keywords if one.arg == "text")
                yield from _forms(text, names)


def _returned(file: Path, name: str) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    (function,) = (
        one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == name
    )
    return {
        form
        for one in ast.walk(function)
        if isinstance(one, ast.Return)
        for form in _forms(one.value, {})
    }


def _assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    return {
        one.targets[0].id: one.value
        for one in body
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name)
    }


def _forms(node: ast.expr, names: dict[str, ast.expr]) -> list[str]:
    """Give every text that an expression may be."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return ["".join(one) for one in product(*(_forms(part, names) for part in parts))]
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return [a + b for a in _forms(left, names) for b in _forms(right, names)]
        case ast.IfExp(body=yes, orelse=no):
            return _forms(yes, names) + _forms(no, names)
        case ast.Subscript(value=ast.Name(id=name)) if isinstance(names.get(name), ast.Dict):
            return [form for one in names[name].values for form in _forms(one, names)]
        case ast.FormattedValue(value=ast.Name(id=name)) if isinstance(
            names.get(name), ast.Constant | ast.IfExp
        ):
            return _forms(names[name], names)
        case _:
            return [BLANK]
