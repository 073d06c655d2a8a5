"""Every answer of Azure is lost, cut short, or late: the end is the same, and nobody hears more.

Cells as in `test_faults_over_http.py`.
"""

from __future__ import annotations

import pytest

from tests.usecases import over_http
from tests.usecases.over_http import BROKEN, cells


@pytest.fixture(scope="module")
def calm():
    return over_http.undisturbed()


@pytest.mark.parametrize("cell", cells(*BROKEN))
async def test_whatever_happens_on_the_wire_the_end_is_the_same(cell, calm, monkeypatch):
    await over_http.hold(cell, calm, monkeypatch)
