"""The check of the service's rights fails whichever action the role lacks or has too much."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests import conftest
from tests.conformance.rights import (
    NOT_THE_SERVICE,
    RIGHTLESS,
    UNLOGGED,
    Rights,
    granted,
    missing,
    unused,
)

ROLE = granted()
LOGGED = sorted(ROLE - UNLOGGED)


def test_a_role_that_is_what_was_used_is_right():
    used = {*LOGGED, *RIGHTLESS}

    assert [*missing(used, ROLE), *unused(used, ROLE)] == []


@pytest.mark.parametrize("action", LOGGED)
def test_an_action_taken_from_the_role_is_named(action):
    assert [*missing(LOGGED, ROLE - {action})] == [f"infra/role.json does not grant {action}"]


@pytest.mark.parametrize("action", LOGGED)
def test_an_action_that_nothing_used_is_named(action):
    used = {*LOGGED} - {action}

    assert [*unused(used, ROLE)] == [f"infra/role.json grants {action}, which no test used"]


def test_what_no_log_can_show_is_in_the_role():
    assert UNLOGGED <= ROLE


def test_the_walk_through_the_role_proves_nothing_about_the_suite():
    rights = Rights()
    rights.test = f"{NOT_THE_SERVICE[0]}::test_under_the_role_everything_works"
    rights.see("Microsoft.Compute/virtualMachines/read")

    assert rights.used == {}


@pytest.mark.parametrize(
    "used, args, failed",
    [
        pytest.param([*LOGGED, "microsoft.compute/virtualmachines/delete"], "ARGS", True, id="one too many"),
        pytest.param(LOGGED[1:], "TESTPATHS", True, id="one too few, in a whole run"),
        pytest.param(LOGGED[1:], "ARGS", False, id="one too few, in a part of the suite"),
        pytest.param(LOGGED, "TESTPATHS", False, id="all"),
    ],
)  # fmt: skip
def test_a_run_that_was_green_fails_by_its_rights(used, args, failed):
    config = SimpleNamespace(
        stash=pytest.Stash(),
        option=SimpleNamespace(keyword="", markexpr="", deselect=None),
        args_source=pytest.Config.ArgsSource[args],
    )
    config.stash[conftest.RIGHTS] = Rights(used=dict.fromkeys(used, "a test"))
    session = SimpleNamespace(config=config, exitstatus=pytest.ExitCode.OK)

    conftest.pytest_sessionfinish(session, pytest.ExitCode.OK)

    assert (session.exitstatus == pytest.ExitCode.TESTS_FAILED) is failed
    assert bool(config.stash[conftest.WRONG]) is failed
