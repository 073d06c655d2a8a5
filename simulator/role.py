"""The service's own role, given to the app's identity, so that everything runs under least rights.

Reads ``infra/role.json``, which the deployment reads as well: one list, enforced here.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from simulator.access import ASSIGNMENT, DEFINITION
from simulator.arm import Json
from simulator.world import World

BLOCKS = Path(__file__).resolve().parents[1] / "infra" / "role.json"
#: What rules can switch on, and the right on the VM that the simulator's linked access check asks
#: for. Vaults and policies are made with a person's rights, not the service's.
FEATURES = ("enroll", "firstBackup", "networkReads", "locks", "preValidation", "vmWrite")
NAME = "70000000-0000-4000-8000-000000000001"


def actions(blocks: Sequence[str] = FEATURES) -> list[Json]:
    """List the actions of these blocks."""
    listed = json.loads(BLOCKS.read_text(encoding="utf-8"))
    return [action for block in blocks for action in listed[block]["actions"]]


def grant(world: World, principal: str, granted: Sequence[Json], name: str = NAME) -> None:
    """Let a principal do these actions in every subscription, under a custom role of this name."""
    for subscription in world.subscriptions.values():
        scope = f"/subscriptions/{subscription.subscription_id}"
        role = f"{scope}/providers/{DEFINITION}/{name}"
        permissions: list[Json] = [{"actions": list(granted)}]
        world.put(
            role,
            {
                "id": role,
                "name": name,
                "type": DEFINITION,
                "properties": {"roleName": "VM backup enrollment", "permissions": permissions},
            },
            None,
        )
        given = f"{scope}/providers/{ASSIGNMENT}/{name}"
        world.put(
            given,
            {
                "id": given,
                "name": name,
                "type": ASSIGNMENT,
                "properties": {
                    "roleDefinitionId": role,
                    "principalId": principal,
                    "principalType": "ServicePrincipal",
                    "scope": scope,
                },
            },
            None,
        )
