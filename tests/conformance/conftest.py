"""Figures of a conformance run, told at its end: a green run says what it was green about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conformance.traffic import Traffic

type Figures = dict[str, str]

FIGURES = pytest.StashKey[Figures]()
TRAFFIC = pytest.StashKey["Traffic | None"]()


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Figures:
    """What a test counted, told in the order in which it was."""
    return request.config.stash.setdefault(FIGURES, {})


@pytest.fixture(scope="session", autouse=True)
def watched(request: pytest.FixtureRequest, traffic: Traffic | None) -> None:
    request.config.stash[TRAFFIC] = traffic


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Tell the figures; without ground truth, that nothing was held against anything."""
    told = dict(config.stash.get(FIGURES, {}))
    if (traffic := config.stash.get(TRAFFIC, None)) is not None and traffic.answers:
        told["OpenAPI, this run"] = (
            f"{traffic.answers} answers of the simulator and {traffic.requests} requests of the "
            f"product checked, {len(traffic.wrong)} not as documented"
        )
    reasons = {
        str(report.longrepr[2])
        for report in terminalreporter.stats.get("skipped", ())
        if isinstance(report.longrepr, tuple) and "ground truth" in report.longrepr[2]
    }
    if reasons:
        told["not compared"] = "; ".join(sorted(reasons))
    if told:
        terminalreporter.section("true to Azure")
        for name, figure in told.items():
            terminalreporter.write_line(f"{name}: {figure}")
