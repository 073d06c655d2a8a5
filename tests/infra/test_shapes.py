"""Types, api-versions, properties and closed values against a table made from Azure's SDK models.

`collect_shapes.py` made `shapes.json` and refuses what a model does not have, so a property that
is not in the table was never seen by a model.
"""

from __future__ import annotations

import json

import pytest

from shared.settings import TABLE
from tests.infra.bicep import FILES, INFRA, Expr, read
from tests.infra.shapes import used

SHAPES = json.loads((INFRA.parent / "tests/infra/shapes.json").read_text(encoding="utf-8"))
every_file = pytest.mark.parametrize(
    "path", FILES, ids=[str(path.relative_to(INFRA)) for path in FILES]
)


@every_file
def test_types_and_api_versions_are_in_the_table(path):
    missing = {f"{one.type}@{one.api}" for one in read(path).resources.values()} - set(SHAPES)

    assert missing == set(), "run python -m tests.infra.collect_shapes and review its diff"


@every_file
def test_properties_are_those_of_the_model(path):
    wrong = []
    for resource, (where, literal) in used(path):
        properties = SHAPES[f"{resource.type}@{resource.api}"]["properties"]
        steps = where.split(".")
        if any(properties.get(".".join(steps[:count])) == "free" for count in range(len(steps))):
            continue
        known = properties.get(where)
        if known is None:
            wrong.append(f"{resource.symbol}: {where} is no property")
        elif isinstance(known, list) and not isinstance(literal, Expr) and literal is not None:
            lower = {str(value).lower() for value in known}
            if str(literal).lower() not in lower:
                wrong.append(f"{resource.symbol}: {where} = {literal!r}, not one of {known}")

    assert wrong == []


def test_the_table_names_its_sources_and_holds_nothing_unused():
    in_use = {f"{one.type}@{one.api}" for path in FILES for one in read(path).resources.values()}

    assert set(SHAPES) == in_use
    assert all(entry["source"].startswith("azure-mgmt-") for entry in SHAPES.values())


def test_a_vault_is_made_with_the_api_version_the_product_reads_it_with():
    default = next(entry.default for entry in TABLE if entry.name == "VAULT_API_VERSION")

    assert read(INFRA / "modules/vaults.bicep").resources["vault"].api == default
