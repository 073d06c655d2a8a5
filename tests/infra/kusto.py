"""As much of Kusto as the alerts' queries use, so that each can be seen to fire and to be silent.

It knows `where`, `summarize` (with `by`), `project` and a handful of functions, and refuses the
rest. An aggregate over nothing is null, as in Kusto; that is what `coalesce` is for.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One row of AppMetrics; ``age`` in seconds."""

    name: str
    amount: float = 1.0
    age: float = 60.0
    labels: dict[str, str] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        return {
            "Name": self.name, "Sum": self.amount, "Max": self.amount, "Min": self.amount,
            "TimeGenerated": -self.age, "Properties": self.labels,
        }  # fmt: skip


Row = dict[str, Any]


def run(query: str, metrics: Iterable[Metric]) -> list[Row]:
    """Give the rows that a query makes of these metrics."""
    table, *stages = (stage.strip() for stage in query.split("|"))
    assert table == "AppMetrics", table
    rows = [metric.row() for metric in metrics]
    for stage in stages:
        verb, _, rest = stage.partition(" ")
        match verb:
            case "where":
                condition = _parsed(rest)
                rows = [row for row in rows if _value(condition, row)]
            case "summarize":
                rows = _summarized(rest, rows)
            case "project":
                rows = [{name: _value(node, row) for name, node in _named(rest)} for row in rows]
            case _:
                raise NotImplementedError(verb)
    return rows


def _parsed(text: str) -> ast.expr:
    python = re.sub(r"\bago\((\d+)([mhd])\)", lambda m: f"({-float(m[1]) * _UNITS[m[2]]})", text)
    return ast.parse(python, mode="eval").body


def _named(text: str) -> list[tuple[str, ast.expr]]:
    call = _parsed(f"_({text})")
    assert isinstance(call, ast.Call)
    positional = [(ast.unparse(node), node) for node in call.args]
    return positional + [(str(keyword.arg), keyword.value) for keyword in call.keywords]


def _summarized(text: str, rows: list[Row]) -> list[Row]:
    what, _, by = text.partition(" by ")
    keys = _named(by) if by else []
    groups: dict[tuple[Any, ...], list[Row]] = {} if keys else {(): rows}
    for row in rows if keys else ():
        groups.setdefault(tuple(_value(node, row) for _, node in keys), []).append(row)
    made = []
    for key, members in groups.items():
        found: Row = dict(zip((name for name, _ in keys), key, strict=True))
        for name, node in _named(what):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "arg_max":
                latest = max(members, key=lambda row: row["TimeGenerated"])
                found |= {ast.unparse(one): latest[ast.unparse(one)] for one in node.args}
            else:
                found[name] = _aggregate(node, members)
        made.append(found)
    return made


def _aggregate(node: ast.expr, rows: list[Row]) -> Any:
    assert isinstance(node, ast.Call), ast.unparse(node)
    match ast.unparse(node.func):
        case "coalesce":
            first = _aggregate(node.args[0], rows)
            return _value(node.args[1], {}) if first is None else first
        case "sum" | "max" as name:
            values = [_value(node.args[0], row) for row in rows]
            return {"sum": sum, "max": max}[name](values) if values else None
        case "sumif":
            values = [_value(node.args[0], row) for row in rows if _value(node.args[1], row)]
            return sum(values) if rows else None
        case other:
            raise NotImplementedError(other)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "tostring": lambda value: "" if value is None else str(value),
    "iff": lambda condition, yes, no: yes if condition else no,
}


def _value(node: ast.expr, row: Row) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand, row)
        case ast.Name():
            return row[node.id]
        case ast.Attribute():
            return _value(node.value, row).get(node.attr)
        case ast.Tuple():
            return tuple(_value(one, row) for one in node.elts)
        case ast.BoolOp(op=ast.And()):
            return all(_value(one, row) for one in node.values)
        case ast.Compare(ops=[operator], comparators=[right]):
            return _compared(operator, _value(node.left, row), _value(right, row))
        case ast.Call(func=ast.Name(id=name)) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_value(one, row) for one in node.args))
        case _:
            raise NotImplementedError(ast.unparse(node))


def _compared(operator: ast.cmpop, left: Any, right: Any) -> bool:
    match operator:
        case ast.Eq():
            return bool(left == right)
        case ast.NotEq():
            return bool(left != right)
        case ast.Gt():
            return bool(left > right)
        case ast.In():
            return left in (right if isinstance(right, tuple) else (right,))
        case _:
            raise NotImplementedError(type(operator).__name__)
