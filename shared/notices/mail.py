"""A view as a mail: subject, plain text and HTML with the same content.

HTML is made with autoescape; its colors come in pairs for light and dark, set in a style sheet
(clients that drop it show black on white). Nothing is loaded from anywhere.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import AzureFault, Disposition
from shared.loading import templates
from shared.notices.escape import header
from shared.notices.shrinking import STEPS
from shared.notices.view import View
from shared.notices.words import Words

if TYPE_CHECKING:
    import jinja2

HERE = Path(__file__).parent / "templates"
LARGEST = 200_000  # bytes of the HTML; a mail beyond 102 KB is folded by some clients, not refused

_EMPTY = re.compile(r"\n{3,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """What every mail channel sends."""

    subject: str
    text: str
    html: str
    shortened: tuple[str, ...] = ()


def mail(view: View, words: Words, *, largest: int = LARGEST) -> Mail:
    """Render a mail.

    Raises:
        AzureFault: ``Template``, PARK; a template cannot be rendered, which is our own mistake.

    """
    import jinja2  # with the first mail, not with the first VM

    shortened: list[str] = []
    try:
        html = _rendered("mail.html", view, words, shortened)
        for name, step in STEPS:
            if len(html.encode()) <= largest:
                break
            smaller = step(view)
            if smaller != view:
                view = smaller
                shortened.append(words.say(f"shortened.{name}"))
                html = _rendered("mail.html", view, words, shortened)
        text = _rendered("mail.txt", view, words, shortened)
    except jinja2.TemplateError as error:
        raise AzureFault(
            "notice.render",
            status=0,
            code="Template",
            message=f"{type(error).__name__}: {error}"[:300],
            disposition=Disposition.PARK,
        ) from error
    return Mail(
        subject=header(view.headline),
        text=_EMPTY.sub("\n\n", text).strip() + "\n",
        html=html,
        shortened=tuple(shortened),
    )


def _rendered(template: str, view: View, words: Words, shortened: list[str]) -> str:
    what = words.say("foot.shortened", what="; ".join(shortened)) if shortened else ""
    return environment().get_template(template).render(view=view, say=words.say, shortened=what)


@cache
def environment() -> jinja2.Environment:
    import jinja2

    made = jinja2.Environment(
        loader=templates(HERE),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html",), default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    made.filters["folded"] = _folded
    made.filters["indented"] = lambda text, by=2: textwrap.indent(text, " " * by)
    return made


def _folded(text: str, by: int = 0) -> str:
    return textwrap.fill(
        text, 78, subsequent_indent=" " * by, break_long_words=False, break_on_hyphens=False
    )
