"""The collector rests while code is loaded, and only then."""

from __future__ import annotations

import gc
import sys
from types import ModuleType

import pytest

from shared.loading import loading


@pytest.fixture
def thawed():
    """Give frozen objects back afterwards."""
    yield
    gc.unfreeze()


def test_nothing_is_collected_while_code_is_loaded(thawed):
    with loading():
        assert not gc.isenabled()

    assert gc.isenabled()


def test_what_was_loaded_is_left_out_of_later_collections(thawed, monkeypatch):
    gc.unfreeze()

    with loading():
        monkeypatch.setitem(sys.modules, "just_loaded", ModuleType("just_loaded"))

    assert gc.get_freeze_count() > 0


def test_nothing_is_frozen_when_all_was_loaded_before(thawed):
    gc.unfreeze()

    with loading():
        import json  # noqa: F401

    assert gc.get_freeze_count() == 0


def test_a_failing_import_does_not_leave_the_collector_off(thawed):
    with pytest.raises(ModuleNotFoundError), loading():
        import no_such_module  # noqa: F401

    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off(thawed):
    gc.disable()
    try:
        with loading():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
