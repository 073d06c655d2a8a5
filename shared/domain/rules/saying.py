"""How the checks of a rules file speak: a problem at a path, and a name that must be known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from uuid import UUID

from shared.domain.rules.decode import Path
from shared.domain.spelling import did_you_mean, plain
from shared.errors import Problem

type Found = Iterator[Problem]
type Say = Callable[..., Problem]


def known(path: Path, what: str, word: str, words: Iterable[str], say: Say) -> Found:
    names = list(words)
    if plain(word) not in {plain(name) for name in names}:
        yield say(path, f"there is no {what} {word[:60]!r}", did_you_mean(word, names))
    elif what == "tier" and word not in names:
        right = next(name for name in names if plain(name) == plain(word))
        yield say(path, f"there is no tier {word[:60]!r}", f"did you mean {right!r}?")


def is_guid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.strip().lower()
    except ValueError:
        return False
