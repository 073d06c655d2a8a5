"""Bytes to the text of a rules file: for whoever reads one, before any parser is loaded."""

from __future__ import annotations

from shared.errors import BadRules, Problem


def decoded(body: bytes, file: str) -> str:
    """Give the text of a rules file.

    Raises:
        BadRules: it is not UTF-8.

    """
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        message = f"the byte 0x{body[error.start]:02X} is not of UTF-8 text"
        before = body[: error.start].decode(errors="replace")
        raise refused(file, before, message, "save the file as UTF-8") from error


def refused(file: str, before: str, message: str, hint: str = "") -> BadRules:
    """Point behind the text that was still fine."""
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return BadRules((Problem(file=file, line=line, column=column, message=message, hint=hint),))
