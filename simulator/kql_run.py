"""Runs a parsed query over rows: every expression becomes a function of a row, once."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import assert_never

from simulator.arm import Json
from simulator.kql_memory import Memory, Row
from simulator.kql_tree import (
    Among,
    Apply,
    Column,
    Compare,
    Constant,
    Count,
    Expression,
    Extend,
    Junction,
    Operator,
    Order,
    Path,
    Project,
    ProjectAway,
    Query,
    Summarize,
    Take,
    Timespan,
    UnsupportedQueryError,
    Where,
)
from simulator.kql_values import NUMERIC, TEXTUAL, dynamic, moment, number, sortable, text, utc

type Reader = Callable[[Row], Json]


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of an answer; the last projection is made only for the page that is sent."""

    rows: list[Row]
    shape: Callable[[Row], Row] | None

    def page(self, start: int, size: int) -> list[Row]:
        rows = self.rows[start : start + size]
        return [self.shape(row) for row in rows] if self.shape else rows


def run(query: Query, rows: Iterable[Row], now: datetime, memory: Memory) -> Found:
    """Apply a query's operators to the rows of its table."""
    found = memory.table(list(rows))
    steps = _projected_last(list(query.operators))
    shape = None
    if steps and isinstance(last := steps[-1], Project):
        steps.pop()
        shape = _projection(last, now)
    for step in steps:
        found = memory.applied(step, found, partial(_applied, step, found, now))
    return Found(found, shape)


def _projected_last(steps: list[Operator]) -> list[Operator]:
    """Swap ``project … | order by id`` when the keys are columns projected as they are."""
    match steps:
        case [*_, Project(columns) as project, Order(keys) as order]:
            kept = {c.name for c in columns if c.value == Path((c.name,))}
            if all(isinstance(by, Path) and by.steps[0] in kept for by, _ in keys):
                return [*steps[:-2], order, project]
    return steps


def _projection(step: Project, now: datetime) -> Callable[[Row], Row]:
    readers = _readers(step.columns, now)
    return lambda row: {name: read(row) for name, read in readers}


def _applied(step: Operator, rows: list[Row], now: datetime) -> list[Row]:
    match step:
        case Where(condition):
            wanted = _reader(condition, now)
            return [row for row in rows if wanted(row)]
        case Project():
            return [*map(_projection(step, now), rows)]
        case ProjectAway(names):
            return [{k: v for k, v in row.items() if k not in names} for row in rows]
        case Extend(columns):
            readers = _readers(columns, now)
            return [{**row, **{name: read(row) for name, read in readers}} for row in rows]
        case Order(keys):
            return _ordered(rows, [(_reader(by, now), down) for by, down in keys])
        case Summarize(aggregates, groups):
            return _summarized(rows, aggregates, groups, now)
        case Take(count):
            return rows[:count]
        case Count():
            return [{"Count": len(rows)}]
        case _:
            assert_never(step)


def _ordered(rows: list[Row], keys: list[tuple[Reader, bool]]) -> list[Row]:
    for read, descending in reversed(keys):
        rows = sorted(rows, key=lambda row: sortable(read(row)), reverse=descending)
    return rows


def _summarized(
    rows: list[Row], aggregates: tuple[Column, ...], groups: tuple[Column, ...], now: datetime
) -> list[Row]:
    keys = _readers(groups, now)
    found: dict[str, tuple[Row, list[Row]]] = {}
    for row in rows:
        group = {name: read(row) for name, read in keys}
        found.setdefault(json.dumps(group, default=str), (group, []))[1].append(row)
    if not keys and not found:
        found[""] = ({}, [])
    return [
        {
            **group,
            **{column.name: _aggregate(column.value, members, now) for column in aggregates},
        }
        for group, members in found.values()
    ]


def _aggregate(value: Expression, rows: list[Row], now: datetime) -> Json:
    match value:
        case Apply("count", ()):
            return len(rows)
        case Apply("countif", (condition,)):
            wanted = _reader(condition, now)
            return sum(1 for row in rows if wanted(row))
        case Apply("dcount", (inner,)):
            read = _reader(inner, now)
            return len({text(read(row)) for row in rows})
        case Apply("sum" | "min" | "max" as name, (inner,)):
            read = _reader(inner, now)
            values = [v for row in rows if isinstance(v := read(row), (int, float, str))]
            if name == "sum":
                return sum(v for v in values if isinstance(v, (int, float)))
            chosen = min if name == "min" else max
            return chosen(values, key=sortable) if values else None
        case Apply(name, _):
            raise UnsupportedQueryError(f"the aggregate '{name}' is not simulated")
    raise UnsupportedQueryError("summarize takes aggregates")


def _readers(columns: tuple[Column, ...], now: datetime) -> list[tuple[str, Reader]]:
    return [(column.name, _reader(column.value, now)) for column in columns]


def _reader(expression: Expression, now: datetime) -> Reader:
    match expression:
        case Constant(value):
            return lambda _row: value
        case Timespan(seconds):
            return lambda _row: seconds
        case Path(steps):
            return _path_reader(steps)
        case Junction(word, terms):
            readers = [_reader(term, now) for term in terms]
            if word == "and":
                return lambda row: all(read(row) for read in readers)
            return lambda row: any(read(row) for read in readers)
        case Compare(sign, left, right):
            return _comparison(sign, _reader(left, now), _reader(right, now))
        case Among(left, choices, folded, negated):
            return _membership(
                _reader(left, now), [_reader(c, now)({}) for c in choices], folded, negated
            )
        case Apply(name, arguments):
            return _function(name, arguments, now)
        case _:
            assert_never(expression)


def _path_reader(steps: tuple[str | int, ...]) -> Reader:
    if len(steps) == 1:
        name = str(steps[0])
        return lambda row: row.get(name)

    def read(row: Row) -> Json:
        value: Json = row
        for step in steps:
            value = _step(value, step)
        return value

    return read


def _step(value: Json, step: str | int) -> Json:
    if isinstance(value, Mapping) and isinstance(step, str):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None


def _comparison(sign: str, left: Reader, right: Reader) -> Reader:
    textual, numeric = TEXTUAL[sign], NUMERIC.get(sign)

    def compare(row: Row) -> bool:
        a, b = left(row), right(row)
        if isinstance(a, (int, float)) and isinstance(b, (int, float)):
            if numeric is not None:
                return numeric(a, b)
            return (a == b) == (sign in {"==", "=~"})
        if numeric is not None and (a is None or b is None):
            return False
        return textual(text(a), text(b))

    return compare


def _membership(read: Reader, values: list[Json], folded: bool, negated: bool) -> Reader:
    if folded:
        low = {text(value).lower() for value in values}
        return lambda row: (text(read(row)).lower() in low) is not negated
    exact = {text(value) for value in values}
    return lambda row: (text(read(row)) in exact) is not negated


def _function(name: str, arguments: tuple[Expression, ...], now: datetime) -> Reader:
    read = [_reader(argument, now) for argument in arguments]
    match name, len(read):
        case "tostring", 1:
            return lambda row: text(read[0](row))
        case "tolower", 1:
            return lambda row: text(read[0](row)).lower()
        case "toupper", 1:
            return lambda row: text(read[0](row)).upper()
        case (("toint" | "tolong" | "todouble" | "toreal"), 1):
            return lambda row: number(read[0](row), whole=name in {"toint", "tolong"})
        case "tobool", 1:
            return lambda row: text(read[0](row)).lower() in {"true", "1"}
        case (("parse_json" | "todynamic"), 1):
            return lambda row: dynamic(read[0](row))
        case "isempty", 1:
            return lambda row: not text(read[0](row))
        case "isnotempty", 1:
            return lambda row: bool(text(read[0](row)))
        case "isnull", 1:
            return lambda row: read[0](row) is None
        case "isnotnull", 1:
            return lambda row: read[0](row) is not None
        case "not", 1:
            return lambda row: not read[0](row)
        case "array_length", 1:
            return lambda row: len(v) if isinstance(v := read[0](row), list) else None
        case "coalesce", _:
            return lambda row: next((v for r in read if text(v := r(row))), None)
        case "strcmp", 2:
            return lambda row: _order(text(read[0](row)), text(read[1](row)))
        case "strcat", _:
            return lambda row: "".join(text(r(row)) for r in read)
        case "split", 2:
            return lambda row: list(text(read[0](row)).split(text(read[1](row))))
        case (("iff" | "iif"), 3):
            return lambda row: read[1](row) if read[0](row) else read[2](row)
        case "now", 0:
            return lambda _row: utc(now)
        case "ago", 1:
            return lambda row: utc(now - timedelta(seconds=float(text(read[0](row)))))
        case (("todatetime" | "datetime"), 1):
            return lambda row: moment(read[0](row))
        case "__step", 2:
            inner = arguments[1]
            steps = inner.steps if isinstance(inner, Path) else ()
            return lambda row: _stepped(read[0](row), steps)
    raise UnsupportedQueryError(
        f"the function '{name}' with {len(read)} arguments is not simulated"
    )


def _order(left: str, right: str) -> int:
    return (left > right) - (left < right)


def _stepped(value: Json, steps: tuple[str | int, ...]) -> Json:
    for step in steps:
        value = _step(value, step)
    return value
