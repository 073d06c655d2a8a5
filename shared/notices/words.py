"""Texts by language. What is missing in one language is said in English, and reported.

Three kinds: what layouts say (by key), what findings are called (by code), and whole sentences of
remedies, next steps and Azure's faults, found by their English wording (`phrases.<language>.toml`,
``{}`` where a value stands).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

FALLBACK = "en"
_BLANK = "{}"
_LONGEST = 2000  # characters of a sentence that is looked up; ours are far shorter
LANGUAGES = ("en", "ko")
TEXTS = Path(__file__).parent / "texts"


class Words:
    """The texts of one language."""

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else FALLBACK
        self._texts = _texts(self.language)
        self.fell_back: set[str] = set()  # to English: keys, and how sentences begin
        if self.language != language:
            self.fell_back.add(f"language {language[:20]}")

    def say(self, key: str, **values: object) -> str:
        """Give a text, its braces filled. Values are plain words, cleaned by the caller."""
        text = _find(self._texts, key)
        if text is None:
            self.fell_back.add(key)
            text = _find(_texts(FALLBACK), key)
        assert text is not None, f"{key} is in no language; a test walks all keys"
        return text.format(**values)

    def translated(self, key: str, otherwise: str) -> str:
        """Give a text that exists only in translation (English comes with the finding)."""
        if self.language == FALLBACK:
            return otherwise
        text = _find(self._texts, key)
        if text is None:
            self.fell_back.add(key)
        return text or otherwise

    def finding(self, code: str, english: str) -> str:
        """Give the text of a finding: its very sentence, else what its code means."""
        return self._sentence(english) or self.translated(f"finding.{code}.text", english)

    def phrase(self, english: str) -> str:
        """Give a sentence of ours in this language; somebody else's stays as it is."""
        if self.language == FALLBACK or not english:
            return english
        said = self._sentence(english)
        if said is None:
            self.fell_back.add(f"phrase {english[:80]}")
        return said or english

    def _sentence(self, english: str) -> str | None:
        exact, patterns = _phrases(self.language)
        if english in exact:
            return exact[english]
        if len(english) > _LONGEST:
            return None
        for pattern, said in patterns:
            if found := pattern.fullmatch(english):
                return said.format(*(exact.get(value, value) for value in found.groups()))
        return None

    def known(self, key: str, otherwise: str) -> str:
        """Give the words for one of a closed set of phrases, or the phrase itself."""
        return _find(self._texts, key) or otherwise

    def duration(self, span: timedelta) -> str:
        """Give a duration in its two largest units."""
        minutes = max(0, round(span.total_seconds() / 60))
        parts = (
            ("days", minutes // 1440),
            ("hours", minutes % 1440 // 60),
            ("minutes", minutes % 60),
        )
        some = [(unit, n) for unit, n in parts if n][:2] or [("minutes", 0)]
        return " ".join(
            self.say(f"duration.{unit if n != 1 else unit[:-1]}", n=n) for unit, n in some
        )

    def time(self, at: datetime) -> str:
        return f"{at:%Y-%m-%d %H:%M} UTC"


def keys(language: str) -> set[str]:
    """Give all dotted keys of a language, for the test that compares languages."""
    found: set[str] = set()

    def walk(texts: Mapping[str, Any], prefix: str) -> None:
        for name, value in texts.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{name}.")
            else:
                found.add(f"{prefix}{name}")

    walk(_texts(language), "")
    return found


@cache
def _phrases(
    language: str,
) -> tuple[Mapping[str, str], Sequence[tuple[re.Pattern[str], str]]]:
    """Give sentences as they are, and those with values as patterns, the most exact first."""
    file = TEXTS / f"phrases.{language}.toml"
    if not file.exists():
        return {}, ()
    said = tomllib.loads(file.read_text(encoding="utf-8"))
    exact = {english: text for english, text in said.items() if _BLANK not in english}
    blanks = sorted(said.keys() - exact.keys(), key=len, reverse=True)
    return exact, [(_pattern(english), said[english]) for english in blanks]


def _pattern(english: str) -> re.Pattern[str]:
    return re.compile("(.+?)".join(map(re.escape, english.split(_BLANK))), re.DOTALL)


@cache
def _texts(language: str) -> Mapping[str, Any]:
    texts = tomllib.loads((TEXTS / f"{language}.toml").read_text(encoding="utf-8"))
    findings = TEXTS / f"findings.{language}.toml"
    if findings.exists():
        texts["finding"] = tomllib.loads(findings.read_text(encoding="utf-8"))
    return texts


def _find(texts: Mapping[str, Any], key: str) -> str | None:
    found: Any = texts
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found if isinstance(found, str) else None
