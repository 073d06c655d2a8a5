"""YAML text to a plain tree that remembers line and column, and nothing more.

The rules file is read by a privileged service, so we take only the harmless part of YAML: no
anchors, aliases, merge keys, tags or second documents, no deep nesting, no large files. Only
ruamel's parser of events is used; nothing is ever constructed from the text's own types.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ruamel.yaml import YAML, events
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from shared.errors import BadRules, Problem

MAX_BYTES = 256 * 1024
_MAX_DEPTH = 24
_MAX_NODES = 50_000


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
    """Parse one YAML document.

    Raises:
        BadRules: not YAML, more of YAML than we take, or too large.

    """
    size = len(text.encode(errors="replace"))
    if size > MAX_BYTES:
        hint = f"at most {MAX_BYTES // 1024} KB; split what only documents into another file"
        raise BadRules((Problem(file=file, line=0, column=0, message=f"{size} bytes", hint=hint),))
    reader = _Reader(file)
    try:
        return reader.document(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = error.problem or error.context or "not YAML"
        where = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise BadRules(
            (Problem(file=file, line=where[0], column=where[1], message=str(message)),)
        ) from error
    except ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        code = error.character if isinstance(error.character, int) else ord(str(error.character))
        message = f"the character U+{code:04X} is not allowed"
        raise BadRules((Problem(file=file, line=line, column=column, message=message),)) from error
    except (YAMLError, ValueError, RecursionError) as error:
        summary = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise BadRules((Problem(file=file, line=0, column=0, message=summary),)) from error


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
            raise self.refuse(
                event, "anchors and aliases are not taken", "write the values where they are used"
            )
        tag = getattr(event, "tag", None)
        if tag:
            raise self.refuse(event, f"the tag {str(tag)[:60]} is not taken", "remove the tag")
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        match event:
            case events.ScalarEvent():
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
