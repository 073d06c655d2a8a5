"""Operating systems and sizes as data (`systems.json`): what is listed, old or unsupported.

A word list and not an image list: gallery, custom and migrated images are judged by what Azure
reports of the system (row F10). What is not known is tried, and said to be untested.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import msgspec

from shared.domain.model import Image, OsType


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Systems known by any of these words."""

    words: tuple[str, ...]
    say: str


class Systems(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data file."""

    source: str
    date: str
    agent_minimum: dict[str, str]
    unsupported: tuple[Kind, ...]
    old: tuple[Kind, ...]
    listed: tuple[Kind, ...]
    small_sizes: frozenset[str]
    small_size_note: str


class Support(StrEnum):
    LISTED = "listed"
    OLD = "old"
    UNSUPPORTED = "unsupported"
    UNTESTED = "untested"


def _load() -> Systems:
    content = Path(__file__).with_name("systems.json").read_bytes()
    return msgspec.json.decode(content, type=Systems)


SYSTEMS = _load()

_32_BIT = re.compile(r"\b32[- ]?bit\b|\bi[3-6]86\b|(?<![a-z0-9])x86(?![-_]?64)(?![a-z0-9])")


@lru_cache(maxsize=1024)
def support(os: OsType | None, os_name: str | None, image: Image) -> tuple[Support, str]:
    """Judge a system by its name, else by its image; give the reason in words."""
    for said in _sayings(os_name, image):
        for kinds, answer in (
            (SYSTEMS.unsupported, Support.UNSUPPORTED),
            (SYSTEMS.old, Support.OLD),
            (SYSTEMS.listed, Support.LISTED),
        ):
            for kind in kinds:
                if any(word in said for word in kind.words):
                    return answer, kind.say
    if os is None:
        return Support.UNTESTED, "Azure does not say which system it runs"
    return Support.UNTESTED, f"this {os.value} system is not on the list"


@lru_cache(maxsize=1024)
def is_32_bit(os_name: str | None, image: Image) -> bool:
    return any(_32_BIT.search(said) for said in _sayings(os_name, image))


def _sayings(os_name: str | None, image: Image) -> tuple[str, ...]:
    """Give what names the system, the reported name first: a system may be upgraded in place."""
    name = (os_name or "").strip().lower()[:200]
    words = f"{image.publisher} {image.offer} {image.sku}".strip().lower()[:200]
    return tuple(said for said in (name, words) if said)
