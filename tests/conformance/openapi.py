"""Microsoft's OpenAPI documents (Swagger 2.0) as a check of answers and requests.

A deviation is a member the schema does not have, a missing required one, a wrong type, a word that
is not in an enumeration, a status no response is described for. Polymorphic schemas are followed by
their discriminator.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.conformance.recordings import TIME

DOCUMENTS = (
    "recoveryservicesbackup/resource-manager/Microsoft.RecoveryServices/stable/2024-04-01/bms.json",
    "recoveryservices/resource-manager/Microsoft.RecoveryServices/stable/2024-04-01/vaults.json",
    "recoveryservices/resource-manager/Microsoft.RecoveryServices/stable/2024-04-01/vaultusages.json",
    "compute/resource-manager/Microsoft.Compute/ComputeRP/stable/2024-03-01/virtualMachine.json",
    "resourcegraph/resource-manager/Microsoft.ResourceGraph/stable/2022-10-01/resourcegraph.json",
)
TYPES = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
}


@dataclass(frozen=True, slots=True, order=True)
class Deviation:
    """Something an answer or a request has and its document does not, or the other way around."""

    operation: str
    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.operation} {self.path}: {self.what}"


@dataclass(frozen=True, slots=True)
class Ref:
    """A schema with the document its references are relative to."""

    schema: dict[str, Any]
    file: Path


@dataclass(slots=True)
class Operation:
    name: str
    file: Path
    responses: dict[str, Any]
    body: dict[str, Any] | None


@dataclass(slots=True)
class Catalogue:
    """The operations of all documents, found by method and path."""

    folder: Path
    operations: dict[str, list[tuple[re.Pattern[str], Operation]]] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> Catalogue:
        found = cls(folder)
        for name in DOCUMENTS:
            file = (folder / name).resolve()
            for template, methods in document(file)["paths"].items():
                pattern = re.compile(
                    "(?i)" + re.sub(r"\\\{[^/]+?\\\}", "[^/]+", re.escape(template)) + "/?"
                )
                shared = methods.get("parameters", [])
                for method, told in methods.items():
                    if method == "parameters":
                        continue
                    bodies = (
                        one
                        for one in (*shared, *told.get("parameters", []))
                        if one.get("in") == "body"
                    )
                    body = next(bodies, None)
                    operation = Operation(
                        told["operationId"], file, told["responses"], body and body["schema"]
                    )
                    found.operations.setdefault(method.upper(), []).append((pattern, operation))
        return found

    def find(self, method: str, path: str) -> Operation | None:
        plain = unquote(path)
        return next(
            (
                operation
                for pattern, operation in self.operations.get(method, ())
                if pattern.fullmatch(plain)
            ),
            None,
        )

    def answer(self, method: str, path: str, status: int, body: Any) -> list[Deviation]:
        """Return what is wrong with an answer by the documents; nothing for unknown operations."""
        operation = self.find(method, path)
        if operation is None:
            return []
        told = operation.responses.get(str(status))
        if told is None and status < 400:
            return [Deviation(operation.name, "status", str(status))]
        if told is None:
            return []  # errors have no form of their own in Azure (report §6.31)
        if "schema" not in told:
            return [] if body is None or body == "" else [Deviation(operation.name, "$", "a body")]
        found = _check(body, Ref(told["schema"], operation.file), "$", sent=False)
        return [Deviation(operation.name, path, what) for path, what in found]

    def request(self, method: str, path: str, body: Any) -> list[Deviation]:
        """Return what is wrong with a request's body by the documents."""
        operation = self.find(method, path)
        if operation is None or body is None:
            return []
        if operation.body is None:
            return [Deviation(operation.name, "$", "a body")]
        found = _check(body, Ref(operation.body, operation.file), "$", sent=True)
        return [Deviation(operation.name, path, what) for path, what in found]


@cache
def document(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text("utf-8"))


def resolved(ref: Ref) -> Ref:
    """Follow references to where a schema is written."""
    while "$ref" in ref.schema:
        ref = resolved_once(ref)
    return ref


def resolved_once(ref: Ref) -> Ref:
    name, _, pointer = ref.schema["$ref"].partition("#")
    file = (ref.file.parent / name).resolve() if name else ref.file
    found: Any = document(file)
    for word in pointer.strip("/").split("/"):
        found = found[word]
    return Ref(found, file)


def members(ref: Ref) -> tuple[dict[str, Ref], set[str], str, bool]:
    """Return a schema's members, the required ones, its discriminator and whether it is open."""
    ref = resolved(ref)
    known: dict[str, Ref] = {}
    required, discriminator = set(ref.schema.get("required", ())), ""
    is_open = bool(ref.schema.get("additionalProperties"))
    for part in ref.schema.get("allOf", ()):
        inherited, needed, found, part_open = members(Ref(part, ref.file))
        known |= inherited
        required |= needed
        discriminator, is_open = found or discriminator, is_open or part_open
    for name, schema in ref.schema.get("properties", {}).items():
        known[name] = Ref(schema, ref.file)
    return known, required, ref.schema.get("discriminator") or discriminator, is_open


@cache
def subtypes(file: Path) -> dict[tuple[str, str], str]:
    """Return a document's definitions by what they derive from and their discriminator's value."""
    definitions = document(file)["definitions"]
    found: dict[tuple[str, str], str] = {}
    for name, schema in definitions.items():
        value = schema.get("x-ms-discriminator-value", name)
        for base in _bases(definitions, name):
            found[base, value] = name
    return found


def _bases(definitions: dict[str, Any], name: str) -> Iterator[str]:
    for part in definitions[name].get("allOf", ()):
        base = str(part.get("$ref", "")).rpartition("/")[2]
        if base in definitions:
            yield base
            yield from _bases(definitions, base)


def _specific(ref: Ref, value: dict[str, Any]) -> Ref:
    """Return the subtype a value says it is of."""
    base = ref
    while "$ref" in base.schema and "$ref" in resolved_once(base).schema:
        base = resolved_once(base)
    name = str(base.schema.get("$ref", "")).rpartition("/")[2]
    ref = resolved(ref)
    *_, discriminator, _ = members(ref)
    said = str(value.get(discriminator)) if discriminator else ""
    specific = subtypes(ref.file).get((name, said))
    return Ref(document(ref.file)["definitions"][specific], ref.file) if specific else ref


def _check(value: Any, ref: Ref, path: str, *, sent: bool) -> Iterator[tuple[str, str]]:
    ref = _specific(ref, value) if isinstance(value, dict) else resolved(ref)
    schema = ref.schema
    kind = schema.get("type") or ("object" if {"properties", "allOf"} & schema.keys() else "")
    if value is None:
        if not schema.get("x-nullable"):
            yield path, "null"
        return
    if kind and (not isinstance(value, TYPES[kind]) or (kind != "boolean" and value is True)):
        yield path, f"a {type(value).__name__}, not a {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield path, f"the word {value!r}"
    if schema.get("format") == "date-time" and not TIME.fullmatch(str(value)):
        yield path, "no date-time"
    if kind == "object" or isinstance(value, dict):
        yield from _check_object(value, ref, path, sent=sent)
    if kind == "array":
        items = schema.get("items", {})
        for row in value:
            yield from _check(row, Ref(items, ref.file), f"{path}[]", sent=sent)


def _check_object(
    value: dict[str, Any], ref: Ref, path: str, *, sent: bool
) -> Iterator[tuple[str, str]]:
    known, required, _, is_open = members(ref)
    if not known:
        return  # a free object
    for name, member in value.items():
        if name in known:
            inner = known[name]
            if sent and inner.schema.get("readOnly"):
                yield f"{path}.{name}", "read-only, but sent"
                continue
            yield from _check(member, inner, f"{path}.{name}", sent=sent)
        elif not is_open:
            yield f"{path}.{name}", "unknown member"
    for name in sorted(required - value.keys()):
        yield f"{path}.{name}", "required, but missing"
