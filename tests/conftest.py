"""Options and fixtures of the whole suite."""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.rights import Rights, granted, listen, missing, unused, whole

RIGHTS = pytest.StashKey[Rights]()
WRONG = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Note which rights the service uses, in this process and, with -n, in its workers."""
    config.stash[RIGHTS] = Rights()
    config.add_cleanup(listen(config.stash[RIGHTS]))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Name the test before its fixtures ask for anything."""
    item.config.stash[RIGHTS].test = item.nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take over what a worker that ended well has noted."""
    for action, test in node.workeroutput.get("rights", {}).items() if error is None else ():
        node.config.stash[RIGHTS].used.setdefault(action, test)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Hold the rights that were used against the role, in both directions after a whole run."""
    config = session.config
    used = config.stash[RIGHTS].used
    if hasattr(config, "workeroutput"):
        config.workeroutput["rights"] = used
        return
    wrong = [f"{said} ({used[said.split()[-1]]})" for said in missing(used, granted())]
    if exitstatus == pytest.ExitCode.OK and whole(config):
        wrong += unused(used, granted())
    if wrong and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    config.stash[WRONG] = wrong


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for said in config.stash.get(WRONG, []):
        terminalreporter.write_line(f"FAILED rights: {said}", red=True)


def pytest_collection_finish() -> None:
    """Keep what was imported and collected out of the collector's way: about a twentieth of a run."""
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files anew")
    parser.addoption("--all-cells", action="store_true", help="run every cell of the big matrices")
    parser.addoption("--cell-seed", type=int, default=None, help="which third of a matrix runs")
    parser.addoption(
        "--ground-truth", default=None, help="folder with recordings and OpenAPI documents"
    )
    parser.addoption(
        "--az", action="store_true", help="run also what the real az does (conformance-az)"
    )


def _ground_truth(config: pytest.Config) -> Path:
    asked = config.getoption("--ground-truth") or os.environ.get("GROUND_TRUTH")
    return Path(asked) if asked else Path(__file__).parents[2] / "shared" / "azure"


@pytest.fixture(scope="session")
def ground_truth(request: pytest.FixtureRequest) -> Path:
    """The folder that conformance is held against; skips, saying so, where there is none."""
    folder = _ground_truth(request.config)
    if not (folder / "recordings").is_dir():
        if request.config.getoption("--ground-truth") or os.environ.get("GROUND_TRUTH"):
            pytest.fail(f"no recordings in {folder}")
        pytest.skip(f"no ground truth in {folder}; pass --ground-truth or set GROUND_TRUTH")
    return folder


@pytest.fixture(scope="session")
def traffic(request: pytest.FixtureRequest) -> Iterator[object]:
    """Check the traffic of every simulated Azure against Microsoft's documents, where they are."""
    folder = _ground_truth(request.config)
    if not (folder / "openapi").is_dir():
        yield None
        return
    from tests.conformance.traffic import Traffic, listen

    traffic = Traffic.held_against(folder)
    stop = listen(traffic)
    yield traffic
    stop()


@pytest.fixture(autouse=True)
def documented(request: pytest.FixtureRequest, traffic) -> Iterator[None]:
    """Fail a test whose simulated Azure, or whose product, departed from the documents."""
    yield
    if traffic is not None and (found := traffic.fresh()):
        pytest.fail("not as Microsoft documents it:\n" + "\n".join(found))


@pytest.fixture
def golden(request: pytest.FixtureRequest):
    """Compare a text with `golden/NAME` beside the test; `--update-golden` writes it."""

    def check(name: str, text: str) -> None:
        path = Path(request.path).parent / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path} is missing: run with --update-golden and review it"

        assert path.read_text(encoding="utf-8") == text

    return check


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose what an ordinary run leaves out.

    Of tests marked `matrix` a seeded third runs, of `large` none, unless --all-cells is given;
    `real_az` runs on --az.
    """
    if not config.getoption("--az"):
        by_az = [item for item in items if item.get_closest_marker("real_az")]
        config.hook.pytest_deselected(items=by_az)
        items[:] = [item for item in items if item not in by_az]
    if not config.getoption("--all-cells"):
        large = [item for item in items if item.get_closest_marker("large")]
        config.hook.pytest_deselected(items=large)
        items[:] = [item for item in items if item not in large]
    cells = [item for item in items if item.get_closest_marker("matrix")]
    if config.getoption("--all-cells") or not cells:
        return
    seed = config.getoption("--cell-seed")
    seed = seed if seed is not None else int(os.environ.get("CELL_SEED", "1"))
    chosen = set(random.Random(seed).sample(range(len(cells)), k=-(-len(cells) // 3)))
    left_out = [item for number, item in enumerate(cells) if number not in chosen]
    config.hook.pytest_deselected(items=left_out)
    dropped = set(left_out)
    items[:] = [item for item in items if item not in dropped]
