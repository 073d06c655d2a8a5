"""The service identity's rights in a subscription, as the doctor looks at them: every action of
the enabled blocks of `infra/role.json`, and nothing that deletes or grants.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ops.arm import line, mapping, rows
from ops.session import Session
from shared.web.doctor import Check, Health

ROLE_API = "2022-04-01"
ROLE_FILE = Path(__file__).parents[1] / "infra" / "role.json"
DANGEROUS = (  # what a service that only protects can never need
    "microsoft.authorization/roleassignments/write",
    "microsoft.compute/virtualmachines/write",
    "microsoft.compute/virtualmachines/delete",
    "microsoft.recoveryservices/vaults/delete",
    "microsoft.recoveryservices/vaults/backupfabrics/protectioncontainers/protecteditems/delete",
)


@dataclass(frozen=True, slots=True)
class Permission:
    """What one entry of a role allows."""

    actions: tuple[str, ...]
    excepted: tuple[str, ...]

    def allows(self, action: str) -> bool:
        return _any(action, self.actions) and not _any(action, self.excepted)


async def rights(
    session: Session, subscription: str, *, principal: str, blocks: Sequence[str], onboard: str
) -> AsyncIterator[Check]:
    """Look at what is granted to the service's identity on a subscription."""
    what = f"rights in {subscription}"
    if not principal:
        return
    granted: list[Permission] = []
    narrow: set[str] = set()
    for one in await rows(
        session,
        f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleAssignments",
        api_version=ROLE_API,
        operation="role-assignments.list",
    ):
        properties = mapping(one.get("properties"))
        if str(properties.get("principalId", "")).lower() != principal.lower():
            continue
        scope = str(properties.get("scope", ""))
        if _below(scope, subscription):
            narrow.add(scope)
        else:
            granted += await _permissions(session, str(properties.get("roleDefinitionId", "")))
    missing = [
        action for action in needed(blocks) if not any(one.allows(action) for one in granted)
    ]
    if missing:
        only = f"; it has a role on {', '.join(sorted(narrow))} only" if narrow else ""
        yield line(what, Health.FAILURE, f"missing: {', '.join(missing)}{only}", onboard)
    excessive = sorted({action for one in granted for action in one.actions if _excessive(action)})
    if excessive:
        says = f"more than the service needs: {', '.join(excessive)}"
        yield line(
            what, Health.WARNING, says, "remove that role assignment: az role assignment list"
        )
    if not missing and not excessive:
        yield line(what, Health.OK, "what is needed, and nothing that deletes")


def needed(blocks: Sequence[str]) -> tuple[str, ...]:
    """Give the actions of the enabled blocks."""
    known = json.loads(ROLE_FILE.read_text(encoding="utf-8"))
    names = ["enroll", *(name for name in blocks if name in known)]
    return tuple(action for name in names for action in known[name]["actions"])


async def _permissions(session: Session, role: str) -> list[Permission]:
    body = await session.foundation.clients.get(
        role, api_version=ROLE_API, operation="role-definition.get"
    )
    found = mapping(mapping(body).get("properties")).get("permissions") or ()
    return [Permission(_texts(one, "actions"), _texts(one, "notActions")) for one in found]


def _texts(one: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(str(text) for text in one.get(name) or ())


def _below(scope: str, subscription: str) -> bool:
    """Tell whether a grant holds only for a part of the subscription."""
    return scope.lower().startswith(f"/subscriptions/{subscription.lower()}/")


def _any(action: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)


def _excessive(pattern: str) -> bool:
    lowered = pattern.lower()
    return lowered.endswith("/delete") or any(_any(one, (lowered,)) for one in DANGEROUS)
