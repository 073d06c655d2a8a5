"""How tolerant we are of what people type in tags and rules, in one place.

Tags are compared without case and without stray blanks (row F23); a word that is nothing we know
is answered with the nearest one we do know, never ignored in silence.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache

_LONGEST = 128  # words are attacker text; similarity is quadratic
_CLOSE = 0.6
_SHORTEST = 4  # of shorter words, one letter is too much of a difference


def plain(text: str) -> str:
    """Give the form that comparisons use: no case, no outer blanks, single inner blanks."""
    return " ".join(text.split()).casefold()


def nearest(word: str, known: Iterable[str]) -> str:
    """Give the known word that looks most like this one, or "" if none comes close."""
    return _nearest(plain(word[:_LONGEST]), tuple(known))


@lru_cache(maxsize=4096)
def _nearest(word: str, known: tuple[str, ...]) -> str:
    by_plain = {plain(candidate): candidate for candidate in known}
    found = difflib.get_close_matches(word, by_plain, n=1, cutoff=_CLOSE)
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


class Slips:
    """Finds known words that one slip of the keyboard makes of another: a letter too many, too
    few, wrong, or two exchanged. Words that differ in digits alone are different on purpose.

    Every word is filed under itself and under each of its forms with one letter left out; two
    words one slip apart share such a form. So a question costs one look-up per letter.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._by_form: dict[str, list[str]] = defaultdict(list)
        for word in known:
            for form in _forms(plain(word)):
                self._by_form[form].append(word)

    def of(self, word: str) -> str:
        """Give the known word that this one is a slip of, or ""."""
        typed = plain(word[:_LONGEST])
        if len(typed) < _SHORTEST:
            return ""
        for form in _forms(typed):
            for candidate in self._by_form.get(form, ()):
                meant = plain(candidate)
                if len(meant) >= _SHORTEST and _letters(meant) != _letters(typed):
                    return candidate
        return ""


def _forms(word: str) -> Iterator[str]:
    yield word
    for at in range(min(len(word), _LONGEST)):
        yield word[:at] + word[at + 1 :]


def _letters(word: str) -> str:
    return "".join(letter for letter in word if not letter.isdigit())
