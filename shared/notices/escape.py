"""Attacker text made harmless, per place. Names, tags and owners are attacker text (DESIGN §3.18).

Cards need no escaping beyond `clean`: untrusted words stand only in text runs, which know no
Markdown. HTML is escaped by Jinja2. What remains is here.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit

_ELLIPSIS = "…"
# Control, format (directions, zero width) and surrogate characters, private use.
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_BLANKS = re.compile(r"\s+")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def clean(text: str, most: int = 500) -> str:
    """Give one line of visible characters, at most so many."""
    head = text[: most * 4]  # 10 KB of blanks are not worth looking at
    spaced = _BLANKS.sub(" ", head)
    seen = "".join(c for c in spaced if unicodedata.category(c) not in _UNSEEN).strip()
    return seen if len(seen) <= most and len(text) <= most * 4 else _cut(seen, most)


def command(text: str, most: int = 2000) -> str:
    """Give a command as it may be pasted: whole, or not at all; line breaks of our own kept."""
    lines = [
        "".join(c for c in line if unicodedata.category(c) not in _UNSEEN)
        for line in text.split("\n")
    ]
    whole = "\n".join(lines).strip()
    return whole if len(whole) <= most else ""


def link(text: str) -> str:
    """Give an https link (http for loopback, as on a laptop), or "" for anything else."""
    if any(c.isspace() or unicodedata.category(c) in _UNSEEN for c in text) or len(text) > 2000:
        return ""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        return ""
    if parts.username is not None or not host:
        return ""
    if parts.scheme == "https" or (parts.scheme == "http" and host in {"localhost", "127.0.0.1"}):
        return text
    return ""


def header(text: str) -> str:
    """Give the text of a mail header: one line, so that it cannot begin another header."""
    return clean(text, 150)


def cell(text: str) -> str:
    """Give a CSV cell that no spreadsheet takes for a formula; the writer does the quoting."""
    shown = clean(text, 2000)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def _cut(text: str, most: int) -> str:
    return text[: most - 1].rstrip() + _ELLIPSIS
