"""The parts of a query, as the reader of the language finds them and the runner applies them."""

from dataclasses import dataclass
from typing import Literal as OneOf

type Value = str | float | int | bool | None


class UnsupportedQueryError(ValueError):
    """A query outside the subset, or one that is no Kusto at all; the message names the word."""


@dataclass(frozen=True, slots=True)
class Constant:
    value: Value


@dataclass(frozen=True, slots=True)
class Timespan:
    seconds: float


@dataclass(frozen=True, slots=True)
class Path:
    """A column, or a way into a dynamic one: ``properties.a['b c']``."""

    steps: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Apply:
    name: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Compare:
    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Among:
    left: "Expression"
    choices: tuple["Expression", ...]
    folded: bool
    negated: bool


@dataclass(frozen=True, slots=True)
class Junction:
    operator: OneOf["and", "or"]
    terms: tuple["Expression", ...]


type Expression = Constant | Timespan | Path | Apply | Compare | Among | Junction


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Where:
    condition: Expression


@dataclass(frozen=True, slots=True)
class Project:
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class ProjectAway:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Extend:
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Order:
    keys: tuple[tuple[Expression, bool], ...]  # (by, descending)


@dataclass(frozen=True, slots=True)
class Summarize:
    aggregates: tuple[Column, ...]
    groups: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Take:
    rows: int


@dataclass(frozen=True, slots=True)
class Count:
    """``| count``: one row with ``Count``."""


type Operator = Where | Project | ProjectAway | Extend | Order | Summarize | Take | Count


@dataclass(frozen=True, slots=True)
class Query:
    table: str
    operators: tuple[Operator, ...]
