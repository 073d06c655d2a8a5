"""Marked tree to typed values, driven by the types of `rules.model`; collects every problem.

msgspec's own decoder stops at the first mistake and knows no lines, so its type descriptions are
walked here instead. Lists of words take a single word; unknown keys and words are answered with
the nearest known ones.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from datetime import date
from functools import lru_cache
from typing import cast

from msgspec import inspect

from shared.domain.rules.tree import Branch, Leaf, Node, Row
from shared.domain.spelling import did_you_mean
from shared.errors import Problem

type Path = tuple[str | int, ...]
type Mark = tuple[int, int]

_MISSING = object()  # what a value that could not be decoded is, until the problems are raised
_INT = re.compile(r"[-+]?[0-9]{1,12}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BOOLS = {"true": True, "True": True, "false": False, "False": False}
_NULLS = {"", "~", "null", "Null", "NULL"}

WHY_NOT: Mapping[str, str] = {
    "storage_account": "backup data lives in the vault; no storage account has to be named",
    "storage_accounts": "backup data lives in the vault; no storage account has to be named",
    "retention": "retention belongs to the policy; choose another tier, or declare a policy",
    "retention_days": "retention belongs to the policy; choose another tier, or declare a policy",
}


class Decoder:
    """One run over one file. ``problems`` and ``marks`` fill up while it walks."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.marks: dict[Path, Mark] = {}

    def refuse(self, node: Node | Mark, message: str, hint: str = "") -> object:
        line, column = node if isinstance(node, tuple) else (node.line, node.column)
        self.problems.append(
            Problem(file=self.file, line=line, column=column, message=message, hint=hint)
        )
        return _MISSING

    def value(self, node: Node, wanted: inspect.Type, path: Path) -> object:
        """Decode one node as one type; `_MISSING` after a problem."""
        self.marks[path] = (node.line, node.column)
        match wanted:
            case inspect.Metadata(type=inner):
                return self.value(node, inner, path)
            case inspect.UnionType(types=types):
                return self._union(node, types, path)
            case inspect.StructType():
                return self._struct(node, wanted, path)
            case inspect.DictType():
                return self._mapping(node, wanted, path)
            case inspect.VarTupleType(item_type=item):
                return self._row(node, wanted, item, path)
            case inspect.NoneType():
                return None
        if not isinstance(node, Leaf):
            return self.refuse(node, f"{_where(path)} must be {_name(wanted)}, not {_shape(node)}")
        return self._scalar(node, wanted, path)

    def _scalar(self, node: Leaf, wanted: inspect.Type, path: Path) -> object:
        text = node.text
        if not node.quoted and text in _NULLS:
            return self.refuse(node, f"{_where(path)} has no value", f"write {_name(wanted)}")
        match wanted:
            case inspect.StrType():
                return self._text(node, wanted, path)
            case inspect.BoolType():
                if node.quoted or text not in _BOOLS:
                    return self.refuse(
                        node, f"{_where(path)} is {text[:40]!r}", "write true or false"
                    )
                return _BOOLS[text]
            case inspect.IntType():
                return self._number(node, wanted, path)
            case inspect.DateType():
                try:
                    if _DATE.fullmatch(text):
                        return date.fromisoformat(text)
                except ValueError:
                    pass  # no such day
                return self.refuse(
                    node, f"{_where(path)} is {text[:40]!r}, not a date", "write YYYY-MM-DD"
                )
            case inspect.EnumType(cls=cls):
                for member in cls:
                    if str(member.value).casefold() == text.strip().casefold():
                        return member
                known = [str(member.value) for member in cls]
                return self.refuse(
                    node,
                    f"{_where(path)} cannot be {text[:60]!r}",
                    did_you_mean(text, known) or "known: " + ", ".join(known),
                )
            case _:
                raise AssertionError(f"the rules file has no {wanted}")

    def _text(self, node: Leaf, wanted: inspect.StrType, path: Path) -> object:
        text = node.text.strip()
        if wanted.min_length is not None and len(text) < wanted.min_length:
            return self.refuse(
                node, f"{_where(path)} is too short", f"at least {wanted.min_length} characters"
            )
        if wanted.max_length is not None and len(text) > wanted.max_length:
            return self.refuse(
                node, f"{_where(path)} is too long", f"at most {wanted.max_length} characters"
            )
        if wanted.pattern is not None and not re.search(wanted.pattern, text):
            return self.refuse(
                node, f"{_where(path)} cannot be {text[:60]!r}", f"must match {wanted.pattern}"
            )
        return text

    def _number(self, node: Leaf, wanted: inspect.IntType, path: Path) -> object:
        if node.quoted or not _INT.fullmatch(node.text):
            return self.refuse(
                node, f"{_where(path)} is {node.text[:40]!r}", "write a whole number"
            )
        number = int(node.text)
        if (wanted.ge is not None and number < wanted.ge) or (
            wanted.le is not None and number > wanted.le
        ):
            only = wanted.ge == wanted.le
            hint = f"write {wanted.ge}" if only else f"from {wanted.ge} to {wanted.le}"
            return self.refuse(node, f"{_where(path)} cannot be {number}", hint)
        return number

    def _row(
        self, node: Node, wanted: inspect.VarTupleType, item: inspect.Type, path: Path
    ) -> object:
        if isinstance(node, Leaf) and not node.quoted and node.text in _NULLS:
            return self.refuse(node, *_left_empty(path)) if wanted.min_length else ()
        nodes = node.nodes if isinstance(node, Row) else (node,)
        inner = item.type if isinstance(item, inspect.Metadata) else item
        if not isinstance(node, Row) and isinstance(inner, inspect.StructType):
            return self.refuse(node, f"{_where(path)} must be a list", "start each with '- '")
        values = [self.value(one, item, (*path, at)) for at, one in enumerate(nodes)]
        if wanted.min_length is not None and len(values) < wanted.min_length:
            return self.refuse(node, *_left_empty(path))
        return _MISSING if _MISSING in values else tuple(values)

    def _mapping(self, node: Node, wanted: inspect.DictType, path: Path) -> object:
        if isinstance(node, Leaf) and not node.quoted and node.text in _NULLS:
            return self.refuse(node, *_left_empty(path)) if wanted.min_length else {}
        if not isinstance(node, Branch):
            return self.refuse(node, f"{_where(path)} must be a mapping, not {_shape(node)}")
        found: dict[str, object] = {}
        for key, child in self._unique(node, path):
            if not key.text.strip():
                self.refuse(key, f"a name in {_where(path)} is empty")
            self.marks[(*path, key.text)] = (key.line, key.column)
            value = self.value(child, wanted.value_type, (*path, key.text))
            self.marks[(*path, key.text)] = (key.line, key.column)
            found[key.text.strip()] = value
        if wanted.min_length is not None and len(found) < wanted.min_length:
            return self.refuse(node, *_left_empty(path))
        return _MISSING if any(value is _MISSING for value in found.values()) else found

    def _unique(self, node: Branch, path: Path) -> list[tuple[Leaf, Node]]:
        seen: dict[str, Leaf] = {}
        kept = []
        for key, child in node.entries:
            word = " ".join(key.text.split()).casefold()
            if word in seen:
                self.refuse(
                    key,
                    f"{_where((*path, key.text))} is there twice",
                    f"first in line {seen[word].line}",
                )
                continue
            seen[word] = key
            kept.append((key, child))
        return kept

    def _struct(self, node: Node, wanted: inspect.StructType, path: Path) -> object:
        if not isinstance(node, Branch):
            return self.refuse(node, f"{_where(path)} must be a mapping, not {_shape(node)}")
        fields = {field.encode_name: field for field in wanted.fields}
        given: dict[str, object] = {}
        for key, child in self._unique(node, path):
            field = fields.get(key.text)
            if field is None:
                self.refuse(
                    key,
                    f"unknown key {key.text[:60]!r} in {_where(path)}",
                    WHY_NOT.get(key.text.casefold()) or did_you_mean(key.text, fields),
                )
                given[""] = _MISSING
            else:
                given[field.name] = self.value(child, field.type, (*path, key.text))
        for field in wanted.fields:
            if field.required and field.name not in given:
                self.refuse(node, f"{_where(path)} lacks {field.encode_name!r}")
                given[field.name] = _MISSING
        if any(value is _MISSING for value in given.values()):
            return _MISSING
        return wanted.cls(**given)

    def _union(self, node: Node, types: tuple[inspect.Type, ...], path: Path) -> object:
        """Choose the member by the node's shape: a union never holds two of one shape."""
        plain = [one.type if isinstance(one, inspect.Metadata) else one for one in types]
        shapes: tuple[type[inspect.Type], ...]
        match node:
            case Leaf():
                shapes = (
                    inspect.StrType,
                    inspect.BoolType,
                    inspect.IntType,
                    inspect.EnumType,
                    inspect.DateType,
                    inspect.VarTupleType,
                )
            case Row():
                shapes = (inspect.VarTupleType,)
            case Branch():
                shapes = (inspect.StructType, inspect.DictType)
        for shape in shapes:
            for one in plain:
                if isinstance(one, shape):
                    return self.value(node, one, path)
        names = " or ".join(_name(one) for one in plain if not isinstance(one, inspect.NoneType))
        return self.refuse(node, f"{_where(path)} must be {names}, not {_shape(node)}")


def decode[T](node: Node, wanted: type[T], file: str) -> tuple[T | None, Decoder]:
    """Decode a tree; the value is None if there are problems."""
    decoder = Decoder(file)
    value = decoder.value(node, _described(cast("Hashable", wanted)), ())
    return (None if value is _MISSING or decoder.problems else cast("T", value)), decoder


@lru_cache
def _described(wanted: Hashable) -> inspect.Type:
    return inspect.type_info(wanted)


def _where(path: Path) -> str:
    """Name a place as people read it: rules[3].when.tags."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        else:
            text += f".{part[:60]}" if text else part[:60]
    return text or "the file"


def _left_empty(path: Path) -> tuple[str, str]:
    """Refuse an empty list or mapping where it could be read as all or as none."""
    return f"{_where(path)} is empty", "name at least one, or leave the key out"


def _shape(node: Node) -> str:
    match node:
        case Leaf():
            return f"{node.text[:40]!r}"
        case Row():
            return "a list"
        case Branch():
            return "a mapping"


_NAMES: tuple[tuple[type[inspect.Type], str], ...] = (
    (inspect.StrType, "text"),
    (inspect.BoolType, "true or false"),
    (inspect.IntType, "a whole number"),
    (inspect.DateType, "a date"),
    (inspect.VarTupleType, "a list"),
    (inspect.StructType, "a mapping"),
    (inspect.DictType, "a mapping"),
)


def _name(wanted: inspect.Type) -> str:
    if isinstance(wanted, inspect.EnumType):
        return " or ".join(str(member.value) for member in wanted.cls)
    return next((name for kind, name in _NAMES if isinstance(wanted, kind)), "a value")
