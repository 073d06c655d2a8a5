"""Reads the small part of the Kusto language that Resource Graph callers here use.

Everything else is refused by name rather than answered wrongly: an unknown table, operator,
function or word raises :class:`UnsupportedQueryError`.
"""

import re
from collections.abc import Sequence

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

TOKEN = re.compile(
    r"""
    (?P<blank>\s+|//[^\n]*)
  | (?P<string>@?'(?:[^'\\]|\\.)*'|@?"(?:[^"\\]|\\.)*")
  | (?P<timespan>\d+(?:\.\d+)?(?:ms|d|h|m|s)\b)
  | (?P<number>\d+(?:\.\d+)?)
  | (?P<word>[A-Za-z_$][\w$-]*~?)
  | (?P<sign>==|=~|!=|!~|<=|>=|<|>|=|\||\(|\)|\[|\]|\.|,|-|\+|\*)
    """,
    re.VERBOSE,
)
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


COMPARISONS = frozenset({"==", "=~", "!=", "!~", "<", "<=", ">", ">="})
WORDS = frozenset(
    {
        "startswith",
        "endswith",
        "has",
        "contains",
        "!startswith",
        "!endswith",
        "!has",
        "!contains",
    }
)


def parse(text: str) -> Query:
    """Read a query; raise UnsupportedQueryError naming what is outside the subset."""
    return _Parser(_tokens(text)).query()


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            # `!startswith` and `!in` are the only other uses of a sign the subset knows
            negated = re.match(r"!(startswith|endswith|has|contains|in~?)\b~?", text[at:])
            if negated is None:
                raise UnsupportedQueryError(f"{text[at : at + 10]!r} is not understood")
            found.append(("word", negated[0]))
            at += negated.end()
            continue
        at = match.end()
        if match.lastgroup != "blank":
            found.append((str(match.lastgroup), match[0]))
    return found


class _Parser:
    def __init__(self, tokens: Sequence[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def query(self) -> Query:
        table = self._word()
        operators: list[Operator] = []
        while self._accept("|"):
            operators.append(self._operator())
        if self._at < len(self._tokens):
            raise UnsupportedQueryError(f"{self._peek()!r} is not expected there")
        return Query(table, tuple(operators))

    def _operator(self) -> Operator:
        name = self._word().lower()
        match name:
            case "where" | "filter":
                return Where(self._junction())
            case "project":
                return Project(tuple(self._columns()))
            case "project-away":
                return ProjectAway(tuple(column.name for column in self._columns()))
            case "extend":
                return Extend(tuple(self._columns()))
            case "order" | "sort":
                self._expect("by")
                return Order(tuple(self._order_keys()))
            case "summarize":
                aggregates = [] if self._peek().lower() == "by" else self._columns()
                groups = self._columns() if self._accept("by") else []
                return Summarize(tuple(aggregates), tuple(groups))
            case "take" | "limit":
                return Take(int(self._next("number")))
            case "count":
                return Count()
            case "distinct":
                return Summarize((), tuple(self._columns()))
        raise UnsupportedQueryError(f"the operator '{name}' is not simulated")

    def _columns(self) -> list[Column]:
        columns = [self._column()]
        while self._accept(","):
            columns.append(self._column())
        return columns

    def _column(self) -> Column:
        if self._kind() == "word" and self._peek(1) == "=":
            name = self._word()
            self._expect("=")
            return Column(name, self._junction())
        value = self._junction()
        match value:
            case Path(steps):
                return Column("_".join(str(step) for step in steps), value)
            case Apply(name, arguments):
                inner = arguments[0] if arguments else None
                tail = str(inner.steps[-1]) if isinstance(inner, Path) else ""
                return Column(f"{name}_{tail}" if name != "tostring" or not tail else tail, value)
        raise UnsupportedQueryError("a computed column needs a name")

    def _order_keys(self) -> list[tuple[Expression, bool]]:
        keys = []
        while True:
            value = self._junction()
            descending = not self._accept("asc")
            if descending:
                self._accept("desc")
            keys.append((value, descending))
            if not self._accept(","):
                return keys

    def _junction(self) -> Expression:
        terms = [self._conjunction()]
        while self._accept("or"):
            terms.append(self._conjunction())
        return terms[0] if len(terms) == 1 else Junction("or", tuple(terms))

    def _conjunction(self) -> Expression:
        terms = [self._comparison()]
        while self._accept("and"):
            terms.append(self._comparison())
        return terms[0] if len(terms) == 1 else Junction("and", tuple(terms))

    def _comparison(self) -> Expression:
        left = self._primary()
        sign = self._peek()
        word = sign.lower()
        if sign in COMPARISONS or word in WORDS:
            self._at += 1
            return Compare(word, left, self._primary())
        if word in {"in", "in~", "!in", "!in~"}:
            self._at += 1
            self._expect("(")
            choices = [self._primary()]
            while self._accept(","):
                choices.append(self._primary())
            self._expect(")")
            return Among(left, tuple(choices), word.endswith("~"), word.startswith("!"))
        return left

    def _primary(self) -> Expression:
        kind, text = self._kind(), self._peek()
        match kind:
            case "string":
                self._at += 1
                return Constant(_unquoted(text))
            case "number":
                self._at += 1
                return Constant(float(text) if "." in text else int(text))
            case "timespan":
                self._at += 1
                amount, unit = re.fullmatch(r"([\d.]+)([a-z]+)", text).groups()  # type: ignore[union-attr] # the token's own shape
                return Timespan(float(amount) * UNITS[unit])
            case "word":
                return self._named()
        if self._accept("("):
            inner = self._junction()
            self._expect(")")
            return inner
        raise UnsupportedQueryError(f"{text!r} is not expected there")

    def _named(self) -> Expression:
        name = self._word()
        if name.lower() in {"true", "false"}:
            return Constant(name.lower() == "true")
        if self._accept("("):
            arguments = []
            if not self._accept(")"):
                arguments.append(self._junction())
                while self._accept(","):
                    arguments.append(self._junction())
                self._expect(")")
            applied = Apply(name.lower(), tuple(arguments))
            return self._steps_of(applied) if self._peek() in {".", "["} else applied
        return self._path([name])

    def _steps_of(self, applied: Apply) -> Expression:
        """``parse_json(x).a.b`` is a path that starts at a function's answer."""
        inner = self._path([])
        return Apply("__step", (applied, inner))

    def _path(self, steps: list[str | int]) -> Path:
        while True:
            if self._accept("."):
                steps.append(self._word())
            elif self._accept("["):
                text = self._peek()
                if self._kind() == "number":
                    steps.append(int(self._next("number")))
                else:
                    self._next("string")
                    steps.append(_unquoted(text))
                self._expect("]")
            else:
                return Path(tuple(steps))

    def _kind(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _peek(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._tokens[at][1] if at < len(self._tokens) else ""

    def _accept(self, text: str) -> bool:
        if self._peek().lower() == text and self._kind() != "string":
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise UnsupportedQueryError(f"{text!r} is expected before {self._peek()!r}")

    def _next(self, kind: str) -> str:
        if self._kind() != kind:
            raise UnsupportedQueryError(f"a {kind} is expected, not {self._peek()!r}")
        self._at += 1
        return self._peek(-1)

    def _word(self) -> str:
        return self._next("word")


def _unquoted(text: str) -> str:
    if text.startswith("@"):
        return text[2:-1]
    return re.sub(r"\\(.)", r"\1", text[1:-1])
