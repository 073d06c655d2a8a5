"""Names inside commands that people paste. Names and tags are attacker text (DESIGN §3.18).

Both quotings keep the text one literal word: nothing in it is expanded, and control characters
(a pasted newline would run what follows it) are dropped.
"""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069]")
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
# PowerShell takes typographic quotes for apostrophes: each is doubled, like the plain one.
_PS_QUOTES = re.compile("['\u2018\u2019\u201a\u201b]")


def printable(text: str) -> str:
    """Drop control and direction characters."""
    return _CONTROL.sub("", text)


def one_line(text: str, most: int) -> str:
    """Give foreign text as one printable line of limited length."""
    return printable(" ".join(text[: 4 * most].split()))[:most]


def sh(text: str) -> str:
    """Quote one word for bash (and for `az` typed there)."""
    word = printable(text)
    if _PLAIN.fullmatch(word) and not word.startswith("-"):
        return word
    return "'" + word.replace("'", "'\"'\"'") + "'"


def ps(text: str) -> str:
    """Quote one word for PowerShell."""
    return "'" + _PS_QUOTES.sub(lambda quote: quote[0] * 2, printable(text)) + "'"
