"""Replays recorded traffic of real Azure against the simulator and compares the answers.

    python -m tests.conformance.replay FILE...

The simulated Azure starts with the state a recording starts from; its requests are sent in their
order with the clock stepped to the recorded seconds. Every difference is printed. The last line
counts; the exit code is 0 only if something was compared, nothing differs that was not accepted
(accepted.json), every file and session could be read and none was skipped more than compared, and
no file was compared less than when compared.json was written. Lines and exchanges that cannot be
read are named, counted and left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.conformance.accepted import Accepted, load
from tests.conformance.outcome import Outcome
from tests.conformance.recordings import Broken, label, read, sessions
from tests.conformance.session import UNREADABLE, Replay

COMPARED = Path(__file__).parent / "compared.json"
#: What recordings show of each operation: simulator/COVERAGE.md is made of it.
RECORDED = Path(__file__).parents[2] / "simulator" / "recorded.json"


def replay_file(path: Path, accepted: tuple[Accepted, ...]) -> Outcome:
    """Replay every session of a file; one that cannot be begun is named and left out."""
    exchanges, broken = read(path)
    outcome = Outcome(broken=broken)
    for session in sessions(exchanges):
        try:
            outcome.add(Replay(session, accepted).run())
        except UNREADABLE as error:
            outcome.unread.append(Broken(session[0].where, f"cannot begin: {error!r}"))
    name, compared, skipped = label(path), outcome.in_surface, len(outcome.broken)
    if not exchanges or skipped > compared:
        outcome.unread.append(Broken(name, f"{compared} compared, {skipped} skipped"))
    return outcome


def replay(paths: Iterable[Path], accepted: tuple[Accepted, ...]) -> Outcome:
    outcome = Outcome()
    for path in paths:
        one = replay_file(path, accepted)
        outcome.files[label(path)] = one.in_surface
        outcome.add(one)
    return outcome


def shown(outcome: Outcome) -> dict[str, dict[str, object]]:
    """Tell of each operation how often and in which versions it was compared, and what differs."""
    return {
        operation: {
            "compared": outcome.compared[operation],
            "versions": sorted(outcome.versions[operation]),
            "differs": [
                f"{entry.path}: {entry.reason}"
                for entry in sorted(outcome.used, key=str)
                if entry.operation == operation
            ],
        }
        for operation in sorted(outcome.compared)
    }


def complaints(outcome: Outcome, accepted: tuple[Accepted, ...]) -> list[str]:
    """Say why a run does not pass beyond its differences: nothing read, less than before, stale."""
    before: dict[str, int] = json.loads(COMPARED.read_text("utf-8"))
    found = [] if outcome.in_surface else ["nothing was compared"]
    found += [str(unread) for unread in outcome.unread]
    found += [
        f"{file}: {outcome.files[file]} compared, {count} when last counted"
        for file, count in before.items()
        if outcome.files.get(file, count) < count
    ]
    if before.keys() <= outcome.files.keys():
        found += [f"no longer occurs: {entry}" for entry in accepted if not outcome.used[entry]]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.replay", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="recordings, or folders of them")
    parser.add_argument("--brief", action="store_true", help="count differences by place")
    parser.add_argument("--inputs", action="store_true", help="list what was taken as input")
    parser.add_argument("--write-count", action="store_true", help="write what was compared anew")
    asked = parser.parse_args()
    paths = [
        path
        for given in asked.files
        for path in (sorted(given.rglob("*.jsonl")) if given.is_dir() else [given])
    ]
    accepted = load()
    outcome = replay(paths, accepted)
    if asked.write_count:
        COMPARED.write_text(json.dumps(outcome.files, indent=1) + "\n", "utf-8")
        RECORDED.write_text(json.dumps(shown(outcome), indent=1) + "\n", "utf-8")
    _report(outcome, brief=asked.brief, inputs=asked.inputs)
    wrong = complaints(outcome, accepted)
    for complaint in wrong:
        print(f"failed: {complaint}")
    print(outcome.last_line())
    return 1 if outcome.differing or wrong else 0


def _report(outcome: Outcome, *, brief: bool, inputs: bool) -> None:
    for line in outcome.broken:
        print(f"skipped {line}")
    if outcome.broken:
        print(f"skipped {len(outcome.broken)} in all")
    if inputs:
        for line in outcome.inputs:
            print(f"input {line}")
    if brief:
        counted = Counter((f.operation, f.difference.path) for f in outcome.found)
        for (operation, path), count in counted.most_common():
            print(f"{count:5} {operation} {path}")
    else:
        for found in outcome.found:
            print(found)
    for entry, count in sorted(outcome.used.items(), key=lambda used: str(used[0])):
        print(f"accepted {count} times: {entry}")
    for kind, count in outcome.outside.most_common():
        print(f"outside the surface: {count:4} {kind}")


if __name__ == "__main__":
    sys.exit(main())
