"""How tolerant we are of what people type in tags and rules, in one place.

Tags are compared without case and without stray blanks (row F23); a word that is nothing we know
is answered with the nearest one we do know, never ignored in silence.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 128  # words are attacker text; similarity is quadratic
_CLOSE = 0.6


def plain(text: str) -> str:
    """Give the form that comparisons use: no case, no outer blanks, single inner blanks."""
    return " ".join(text.split()).casefold()


def nearest(word: str, known: Iterable[str]) -> str:
    """Give the known word that looks most like this one, or "" if none comes close."""
    by_plain = {plain(candidate): candidate for candidate in known}
    found = difflib.get_close_matches(plain(word[:_LONGEST]), by_plain, n=1, cutoff=_CLOSE)
    return by_plain[found[0]] if found else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give ``did you mean 'x'?`` or, with few known words, what they are; "" if nothing helps."""
    words = list(known)
    best = nearest(word, words)
    if best:
        return f"did you mean '{best}'?"
    if 0 < len(words) <= 12:
        return "known: " + ", ".join(sorted(words))
    return ""
