"""`docs/states.md` is printed from the product's table and from the cases the service is held to."""

from __future__ import annotations

from pathlib import Path

from docs.generate.checks import table
from shared.domain.decisions import On, matrix
from tests.usecases.test_states_of_items import TABLE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "states.md"
INTRO = """# States of a VM

Printed by `pytest tests/usecases/test_states_document.py --update-golden`.

`decide` chooses; a run, the watch and the sweep name what happened; nothing else changes a state.
What happened is a row of `shared/domain/decisions.py`:

"""
ITEMS = """
What is found of a VM that the rules want protected, what its row says then, how many PUTs are sent
without anybody's consent, and what people are told (`tests/usecases/test_states_of_items.py` runs
each row through the whole service):

"""


def page() -> str:
    found = (
        (str(case.id), state, str(puts), ", ".join(f"`{code}`" for code in codes))
        for case in TABLE
        for _, state, puts, codes in [case.values]
    )
    return f"{INTRO}{matrix()}{ITEMS}{table(('item', 'state', 'PUTs', 'findings'), found)}"


def test_the_page_of_states_is_current(request):
    if request.config.getoption("--update-golden"):
        PAGE.write_text(page(), encoding="utf-8")

    assert PAGE.read_text(encoding="utf-8") == page(), "run it with --update-golden and review"


def test_everything_that_can_happen_is_said_to_happen_somewhere():
    product = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "shared").rglob("*.py")
        if path.name != "decisions.py"
    )

    assert [one.name for one in On if f"On.{one.name}" not in product] == []
