"""YAML text to a plain tree that remembers line and column, and nothing more.

The rules file is read by a privileged service, so we take only the harmless part of YAML: no
anchors, aliases, merge keys, tags or second documents, no deep nesting, no large files. Only
ruamel's parser of events is used; nothing is ever constructed from the text's own types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ruamel.yaml import YAML, events
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from shared.domain.rules.text import refused
from shared.errors import BadRules, Problem

MAX_BYTES = 256 * 1024
_MAX_DEPTH = 24
_MAX_NODES = 50_000

# Escapes in quoted text can make what YAML itself refuses; these cannot be stored or hide what is
# read: control characters, halves of surrogate pairs, marks of direction, blanks of no width.
_UNPRINTED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff"
    "\ud800-\udfff]"
)

# What YAML's own words leave open: the usual slip behind them.
_HINTS = (
    ("found character '\\t'", "indent with blanks"),
    ("cannot start any token", "put the text in quotes"),
    ("mapping values are not allowed", "put text that holds a colon in quotes"),
    ("could not find expected ':'", "a key is followed by a colon and a blank"),
    ("expected <block end>", "indent it like the line it belongs to"),
    ("expected ',' or", "close the bracket, or the quotation mark before it"),
    ("while scanning a quoted scalar", "close the quotation mark"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """A scalar as written; what it means is decided by what is expected in its place."""

    line: int
    column: int
    text: str
    quoted: bool


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """A mapping; keys with their own place, in order."""

    line: int
    column: int
    entries: tuple[tuple[Leaf, Node], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A sequence."""

    line: int
    column: int
    nodes: tuple[Node, ...]


type Node = Leaf | Branch | Row


def read(text: str, file: str) -> Node:
    """Parse one YAML document, line and column counted from 1.

    Raises:
        BadRules: not YAML, more of YAML than we take, or too large.

    """
    size = len(text.encode(errors="replace"))
    if size > MAX_BYTES:
        hint = f"at most {MAX_BYTES // 1024} KB; split what only documents into another file"
        raise refused(file, text[:MAX_BYTES], f"{size} bytes", hint)
    reader = _Reader(file)
    try:
        return reader.document(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = error.problem or error.context or "not YAML"
        where = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        said = f"{error.context} {error.problem}"
        hint = next((hint for words, hint in _HINTS if words in said), "")
        raise BadRules(
            (Problem(file=file, line=where[0], column=where[1], message=str(message), hint=hint),)
        ) from error
    except ReaderError as error:
        code = error.character if isinstance(error.character, int) else ord(str(error.character))
        raise refused(file, text[: error.position], _not_allowed(code)) from error
    except (YAMLError, ValueError, RecursionError) as error:
        summary = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise BadRules((Problem(file=file, line=0, column=0, message=summary),)) from error


def _not_allowed(code: int) -> str:
    return f"the character U+{code:04X} is not allowed"


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.count = 0

    def refuse(self, event: events.Event, message: str, hint: str = "") -> BadRules:
        mark = event.start_mark
        return BadRules(
            (
                Problem(
                    file=self.file,
                    line=mark.line + 1,
                    column=mark.column + 1,
                    message=message,
                    hint=hint,
                ),
            )
        )

    def document(self, text: str) -> Node:
        stream = iter(YAML(typ="safe", pure=True).parse(text))
        root: Node | None = None
        for event in stream:
            match event:
                case events.DocumentStartEvent() if root is not None:
                    raise self.refuse(event, "a second document in one file", "remove the ---")
                case events.NodeEvent():
                    root = self.node(event, stream, 1)
                case _:
                    continue
        if root is None:
            raise BadRules(
                (Problem(file=self.file, line=1, column=1, message="the file is empty"),)
            )
        return root

    def node(self, event: events.Event, stream: Iterator[events.Event], depth: int) -> Node:
        self.count += 1
        if self.count > _MAX_NODES:
            raise self.refuse(event, f"more than {_MAX_NODES} values")
        if depth > _MAX_DEPTH:
            raise self.refuse(event, f"nested deeper than {_MAX_DEPTH} levels")
        if isinstance(event, events.AliasEvent) or getattr(event, "anchor", None):
            hint = "write the values where they are used, and globs in quotes"
            raise self.refuse(event, "anchors and aliases are not taken", hint)
        tag = getattr(event, "tag", None)
        if tag:
            raise self.refuse(event, f"the tag {str(tag)[:60]} is not taken", "remove the tag")
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        match event:
            case events.ScalarEvent():
                if found := _UNPRINTED.search(event.value):
                    raise self.refuse(event, _not_allowed(ord(found[0])))
                return Leaf(line, column, str(event.value), not event.implicit[0])
            case events.MappingStartEvent():
                return Branch(line, column, tuple(self._entries(stream, depth)))
            case events.SequenceStartEvent():
                return Row(line, column, tuple(self._nodes(stream, depth)))
            case _:
                raise self.refuse(event, f"unexpected {type(event).__name__}")

    def _entries(self, stream: Iterator[events.Event], depth: int) -> list[tuple[Leaf, Node]]:
        entries: list[tuple[Leaf, Node]] = []
        while not isinstance(event := next(stream), events.MappingEndEvent):
            key = self.node(event, stream, depth + 1)
            if not isinstance(key, Leaf):
                raise self.refuse(event, "a key must be a word")
            if key.text == "<<" and not key.quoted:
                raise self.refuse(event, "merge keys are not taken", "write the values out")
            entries.append((key, self.node(next(stream), stream, depth + 1)))
        return entries

    def _nodes(self, stream: Iterator[events.Event], depth: int) -> list[Node]:
        nodes: list[Node] = []
        while not isinstance(event := next(stream), events.SequenceEndEvent):
            nodes.append(self.node(event, stream, depth + 1))
        return nodes
