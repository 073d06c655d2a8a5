"""Requests and answers in our words, so that pages and tests need no Functions SDK."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

MOST_FIELDS = 50  # of a form

# Nothing is loaded from anywhere, nothing runs, nobody frames us, nothing is kept on disk.
GUARDS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_HSTS = {"Strict-Transport-Security": "max-age=31536000"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request; header names are lower case."""

    method: str
    url: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def secure(self) -> bool:
        return urlsplit(self.url).scheme == "https"

    @property
    def wants_page(self) -> bool:
        """Tell a browser from a program."""
        return "text/html" in self.headers.get("accept", "")

    def form(self) -> Mapping[str, str]:
        """Read an url-encoded body; anything else is an empty form."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            return {}
        try:
            pairs = parse_qsl(self.body.decode(), max_num_fields=MOST_FIELDS)
        except ValueError:
            return {}
        return dict(pairs)

    def cookie(self, name: str) -> str:
        try:
            found = SimpleCookie(self.headers.get("cookie", "")).get(name)
        except CookieError:
            return ""
        return found.value if found is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer; ``kind`` is its content type."""

    status: int
    body: bytes
    kind: str
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(status: int, body: Any) -> Answer:
    return Answer(status=status, body=msgspec.json.encode(body), kind="application/json")


def see(location: str, *, cookie: str = "") -> Answer:
    """Send the browser on, with GET."""
    headers = {"Location": location} | ({"Set-Cookie": cookie} if cookie else {})
    return Answer(status=303, body=b"", kind="text/plain", headers=headers)


def guarded(answer: Answer, request: Request) -> Answer:
    """Add the headers that every answer carries; what the answer says itself wins."""
    guards = {**GUARDS, **(_HSTS if request.secure else {})}
    return replace(answer, headers={**guards, **answer.headers})
