"""The simulated Recovery Services and Backup provider: vaults, policies, items, jobs, points.

A part of the simulator (see :mod:`simulator.parts`): its state is ``world.backup``, its routes
answer as the recordings of 2019 to 2025 do (knob ``backup.era``), what no recording shows is as
documented or assumed and says so in :data:`ROUTES`.
"""

from simulator.backup.graph_rows import RowHistory, rows
from simulator.backup.orders import declare_knobs
from simulator.backup.routes import ROUTES
from simulator.backup.seeding import load
from simulator.backup.state import BackupState
from simulator.backup.vaults import remove
from simulator.world import Change, World

__all__ = ["ROUTES", "attach", "load", "rows"]


def attach(world: World) -> None:
    """Give a world its backup state and knobs; a vault deleted elsewhere goes here too."""
    declare_knobs(world)
    state = BackupState(world=world)
    state.history = RowHistory(state)
    world.backup = state

    def follow(change: Change) -> None:
        if change.kind == "delete":
            _forget_below(state, change.resource_id.lower())

    world.changes.append(follow)


def _forget_below(state: BackupState, deleted: str) -> None:
    """Drop the vaults of a deleted group, or the vault itself, if ARM removed them."""
    for key, vault in list(state.vaults.items()):
        if (key == deleted or key.startswith(deleted + "/")) and state.world.get(key) is None:
            remove(state, vault, None)
