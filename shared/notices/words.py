"""Texts by language. What is missing in one language is said in English, and reported."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

FALLBACK = "en"
LANGUAGES = ("en", "ko")

missing: Counter[str] = Counter()  # "ko headline.opened": texts that fell back, for telemetry


class Words:
    """The texts of one language."""

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else FALLBACK
        self._texts = _texts(self.language)
        self.fell_back: set[str] = set()
        if self.language != language:
            self._report(f"language {language[:20]}")

    def say(self, key: str, **values: object) -> str:
        """Give a text, its braces filled. Values are plain words, cleaned by the caller."""
        text = _find(self._texts, key)
        if text is None:
            self._report(key)
            text = _find(_texts(FALLBACK), key)
        assert text is not None, f"{key} is in no language; a test walks all keys"
        return text.format(**values)

    def translated(self, key: str, otherwise: str) -> str:
        """Give a text that exists only in translation (English comes with the finding)."""
        if self.language == FALLBACK:
            return otherwise
        text = _find(self._texts, key)
        if text is None:
            self._report(key)
        return text or otherwise

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

    def _report(self, key: str) -> None:
        missing[f"{self.language} {key}"] += 1
        self.fell_back.add(key)


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
def _texts(language: str) -> Mapping[str, Any]:
    folder = Path(__file__).parent / "texts"
    texts = tomllib.loads((folder / f"{language}.toml").read_text(encoding="utf-8"))
    findings = folder / f"findings.{language}.toml"
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
