"""Templates to answers. Everything is escaped by default; there is no script, and one style.

The style is part of each page, and its hash part of the page's policy, so that no route has to
answer without authentication, a saved page still looks right, and nothing else can be injected.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.domain.quoting import one_line
from shared.loading import loading, templates
from shared.web.http import Answer

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent / "templates"
_NAME = 300  # characters of foreign text on a page


@cache
def environment() -> Environment:
    """Load the templates once; the page is the only part of the app that needs Jinja."""
    with loading():
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup

    made = Environment(
        loader=templates(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"plain": plain, "when": when, "lasting": lasting, "many": many}
    made.globals["style"] = Markup(style())  # noqa: S704 - a file of ours
    return made


@cache
def style() -> str:
    return (HERE / "style.css").read_text(encoding="utf-8")


@cache
def policy() -> str:
    """Give the Content-Security-Policy of pages."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return (
        "default-src 'none'; "
        f"style-src 'sha256-{digest}'; "
        "img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )


def page(template: str, *, status: int = 200, **values: Any) -> Answer:
    """Render one page."""
    body = environment().get_template(template).render(**values)
    return Answer(
        status=status,
        body=body.encode("utf-8", "replace"),
        kind="text/html; charset=utf-8",
        headers={"Content-Security-Policy": policy()},
    )


def plain(text: object) -> str:
    """Give foreign text as one printable line (escaping is the template's)."""
    return one_line(str(text), _NAME)


def when(at: datetime | int | None) -> str:
    """Write a time."""
    if not at:
        return "–"
    moment = datetime.fromtimestamp(at, UTC) if isinstance(at, int) else at
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def lasting(seconds: float | None) -> str:
    """Write a duration in the two units that matter."""
    if seconds is None:
        return "–"
    minutes = seconds / 60
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes:.0f} min"
    if minutes < 48 * 60:
        return f"{minutes / 60:.1f} h"
    return f"{minutes / 1440:.1f} d"


def many(number: int) -> str:
    """Write a number with its thousands apart."""
    return f"{number:,}"
