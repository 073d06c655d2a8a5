"""Route templates of HTTP triggers: ``{name}``, ``{name?}``, ``{*rest}`` and constraints.

``{id:int}`` and friends are ASP.NET's; a constraint that is not imitated is refused by name when
the app is loaded, so that no route silently matches too much.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

type Constraint = Callable[[str], bool]

PLAIN: Mapping[str, str] = {
    "int": r"-?\d{1,10}",
    "long": r"-?\d{1,19}",
    "bool": r"(?i:true|false)",
    "alpha": r"[A-Za-z]*",
    "guid": r"\{?[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}\}?",
    "decimal": r"-?\d+(?:\.\d+)?",
    "double": r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?",
    "float": r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?",
}


class UnusableRoute(ValueError):
    """A route template this host cannot match as Azure would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One path segment: a literal, or a parameter with what it must satisfy."""

    literal: str = ""
    name: str = ""
    optional: bool = False
    catch_all: bool = False
    constraints: tuple[Constraint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTemplate:
    text: str
    segments: tuple[Segment, ...]

    @classmethod
    def parse(cls, text: str) -> "RouteTemplate":
        segments = tuple(_segment(word, text) for word in text.strip("/").split("/") if word)
        return cls(text=text, segments=segments)

    @property
    def rank(self) -> tuple[int, ...]:
        """Order of precedence: literals before constrained before plain before catch-all."""
        return tuple(
            0 if part.literal else 3 if part.catch_all else 1 if part.constraints else 2
            for part in self.segments
        )

    def match(self, path: str) -> dict[str, str] | None:
        """Match a path below the route prefix; literals ignore case."""
        words = [word for word in path.strip("/").split("/") if word]
        taken: dict[str, str] = {}
        for at, part in enumerate(self.segments):
            if part.catch_all:
                taken[part.name] = unquote("/".join(words[at:]))
                return taken
            if at >= len(words):
                if not part.optional:
                    return None
                continue
            word = unquote(words[at])
            if part.literal:
                if part.literal.lower() != word.lower():
                    return None
            elif all(holds(word) for holds in part.constraints):
                taken[part.name] = word
            else:
                return None
        return taken if len(words) <= len(self.segments) else None


def _segment(word: str, template: str) -> Segment:
    if "{" not in word:
        return Segment(literal=word)
    match = re.fullmatch(r"\{(\*{0,2})([A-Za-z_]\w*)((?::[^{}?]+(?:\{[^}]*\})?)*)(\??)\}", word)
    if match is None:
        raise UnusableRoute(f"route {template!r}: {word!r} is not imitated")
    stars, name, constraints, optional = match.groups()
    return Segment(
        name=name,
        optional=bool(optional) or bool(stars),
        catch_all=bool(stars),
        constraints=tuple(_constraint(one, template) for one in _split(constraints)),
    )


def _split(constraints: str) -> list[str]:
    return [one for one in re.split(r":(?![^(]*\))", constraints) if one]


def _constraint(text: str, template: str) -> Constraint:
    name, _, rest = text.partition("(")
    argument = rest.removesuffix(")")
    if pattern := PLAIN.get(name):
        return lambda word: re.fullmatch(pattern, word) is not None
    numbers = (
        [int(one) for one in argument.split(",")] if re.fullmatch(r"[\d,-]+", argument) else []
    )
    match name, numbers:
        case "minlength", [low]:
            return lambda word: len(word) >= low
        case "maxlength", [high]:
            return lambda word: len(word) <= high
        case "length", [exact]:
            return lambda word: len(word) == exact
        case "length", [low, high]:
            return lambda word: low <= len(word) <= high
        case "min", [low]:
            return lambda word: _is_whole(word) and int(word) >= low
        case "max", [high]:
            return lambda word: _is_whole(word) and int(word) <= high
        case "range", [low, high]:
            return lambda word: _is_whole(word) and low <= int(word) <= high
        case "required", []:
            return bool
        case "regex", _:
            return lambda word: re.search(argument, word, re.IGNORECASE) is not None
    raise UnusableRoute(f"route {template!r}: the constraint {text!r} is not imitated")


def _is_whole(word: str) -> bool:
    return re.fullmatch(r"-?\d+", word) is not None
