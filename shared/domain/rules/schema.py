"""JSON Schema of the rules file, for editors: made from the types, so it cannot disagree.

`python -m shared.domain.rules.schema` prints it; a test compares it with `schema.json`.
"""

from __future__ import annotations

import json
from typing import Any, cast

import msgspec

from shared.domain.rules.model import RulesFile

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Build the schema; lists of words also take a single word, as the parser does."""
    (root,), components = msgspec.json.schema_components(
        (RulesFile,), ref_template="#/$defs/{name}"
    )
    definitions = {name: _tolerant(body) for name, body in sorted(components.items())}
    for body in definitions.values():
        if body.get("type") == "object" and "properties" in body:
            body["additionalProperties"] = False
    return {
        "$schema": DRAFT,
        "title": "Rules of VM backup auto-enrollment",
        **root,
        "$defs": definitions,
    }


def text() -> str:
    """Give the schema as it is stored."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _tolerant(node: Any) -> Any:
    """Let every array of plain words be a single word."""
    if isinstance(node, list):
        return [_tolerant(one) for one in node]
    if not isinstance(node, dict):
        return node
    body = {key: _tolerant(value) for key, value in node.items()}
    items = cast("dict[str, Any]", body.get("items", {}))
    if body.get("type") == "array" and not str(items.get("$ref", "")).endswith(_STRUCTS):
        words = {key: body.pop(key) for key in ("description", "default") if key in body}
        return {"anyOf": [items, body], **words}
    return body


_STRUCTS = (
    "/Selector",
    "/Rule",
    "/RuleExclusion",
    "/TagExclusion",
    "/Route",
    "/DeclaredPolicy",
    "/DeclaredVault",
)

if __name__ == "__main__":
    print(text(), end="")  # noqa: T201 this is the module's command line
