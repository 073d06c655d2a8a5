"""Requests and answers in our words, so that pages and tests need no Functions SDK."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request; header names are lower case."""

    method: str
    url: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer; ``kind`` is its content type."""

    status: int
    body: bytes
    kind: str
    headers: Mapping[str, str] = field(default_factory=dict)
