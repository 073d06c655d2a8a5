"""Is this VM ready for backup, and what is worth knowing? A table of small pure checks.

Each check looks at one thing and answers with a finding or nothing; all of them always run, so
that one verdict names everything that stands in the way (row F11). `caveats` tells what Azure
cannot show, for the VM's page and explain only, never for a notice.
"""

from __future__ import annotations

from collections.abc import Callable

from shared.domain.faultbook import Guide, guides_of
from shared.domain.findings import Finding
from shared.domain.model import Snapshot
from shared.domain.placement import Place, Placed
from shared.domain.readiness import agent, disks, machine, surroundings
from shared.domain.readiness.unseen import caveats
from shared.domain.readiness.view import View
from shared.domain.rules import Rules
from shared.domain.rules.options import Options
from shared.domain.selection import Match

__all__ = ["CHECKS", "Check", "View", "caveats", "check", "look", "network_wanted", "view_of"]

type Check = Callable[[View], Finding | None]

CHECKS: tuple[Check, ...] = (
    *disks.CHECKS,
    *machine.CHECKS,
    *agent.CHECKS,
    *surroundings.CHECKS,
)


def check(
    snapshot: Snapshot, rules: Rules, match: Match | None, placed: Placed | None
) -> tuple[Finding, ...]:
    """Run every check. Never raises; without a match the built-in options are used."""
    del rules  # part of the contract: checks that ask the rules beyond a match's options
    return look(view_of(snapshot, match.options if match else Options(), placed))


def network_wanted(snapshot: Snapshot, match: Match | None) -> str:
    """Say why the VM's network is to be read (row S16); "" if it is not: that costs calls."""
    vm = snapshot.vm
    if vm is None:
        return ""
    if match is not None and match.options.network_check:
        return f"rule {match.rule} asks for it"
    if any(disk.write_accelerator for disk in (vm.os_disk, *vm.data_disks)):
        return "disks with write accelerator need a way out"
    failure = snapshot.past.failure
    if failure is not None and Guide.NETWORK in guides_of(failure.code):
        return f"error {failure.code} points there"
    return ""


def look(view: View | None) -> tuple[Finding, ...]:
    """Run every check on one view."""
    if view is None:
        return ()
    found = []
    for one in CHECKS:
        finding = one(view)
        if finding is not None:
            found.append(finding)
    return tuple(found)


def view_of(snapshot: Snapshot, options: Options, placed: Placed | None) -> View | None:
    """Give what checks look at; None if there is no VM."""
    if snapshot.vm is None:
        return None
    place = placed if isinstance(placed, Place) else None
    return View(
        vm=snapshot.vm,
        snapshot=snapshot,
        options=options,
        vault=place.vault if place else None,
        policy=place.policy if place else None,
        excluded_luns=place.excluded_luns if place else (),
    )
