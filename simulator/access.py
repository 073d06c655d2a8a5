"""Azure role-based access control, evaluated from the world's own role assignments.

Until the world holds a role assignment everybody is Owner, so that a seed that does not care
about access need not speak of it.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from simulator.arm import BY_GATEWAY, Principal, PrincipalKind, Refusal
from simulator.roles import BUILT_IN, Role
from simulator.world import Body, World

ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
DEFINITION = "Microsoft.Authorization/roleDefinitions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A role at a scope, as one assignment gives it to one principal."""

    scope: str
    role: Role
    assignment_id: str


class Access:
    """Answers what a principal may do; reads assignments as old as the propagation delay."""

    def __init__(self, world: World) -> None:
        self._world = world
        world.knobs.declare(
            "rbac.propagation_seconds",
            0,
            "how long a granted or withdrawn role takes to matter (Azure: up to 10 min)",
        )
        self._read: tuple[int, datetime | None, dict[str, tuple[Grant, ...]]] | None = None

    def allows(self, principal: Principal, action: str, scope: str) -> bool:
        if principal.kind is PrincipalKind.SYSTEM:
            return True
        grants = self._grants()
        if not grants:
            return True
        at = scope.lower().rstrip("/") + "/"
        return any(
            at.startswith(grant.scope) and grant.role.permits(action)
            for grant in grants.get(principal.object_id.lower(), ())
        )

    def authorize(self, principal: Principal, action: str, scope: str) -> None:
        if self.allows(principal, action, scope):
            return
        client = principal.app_id or principal.object_id
        raise Refusal(
            403,
            "AuthorizationFailed",
            f"The client '{client}' with object id '{principal.object_id}' does not have "
            f"authorization to perform action '{action}' over scope '{scope}' or the scope is "
            "invalid. If access was recently granted, please refresh your credentials.",
            headers=BY_GATEWAY,
        )

    def sees(self, principal: Principal, scope: str) -> bool:
        """Tell whether a principal has any role at, above or below a scope (ARM's own lists)."""
        if principal.kind is PrincipalKind.SYSTEM or not self._grants():
            return True
        at = scope.lower().rstrip("/") + "/"
        grants = self.grants_of(principal)
        return any(at.startswith(g.scope) or g.scope.startswith(at) for g in grants)

    def filter_of(self, principal: Principal) -> Callable[[str, str], bool]:
        """Return a fast ``allows(action, lower-case id)`` for walking many rows."""
        if principal.kind is PrincipalKind.SYSTEM or not self._grants():
            return lambda _action, _key: True
        grants = self.grants_of(principal)
        scopes: dict[str, tuple[str, ...]] = {}

        def allowed(action: str, key: str) -> bool:
            if action not in scopes:
                scopes[action] = tuple(g.scope for g in grants if g.role.permits(action))
            return f"{key}/".startswith(scopes[action])

        return allowed

    def grants_of(self, principal: Principal) -> tuple[Grant, ...]:
        return self._grants().get(principal.object_id.lower(), ())

    def _grants(self) -> dict[str, tuple[Grant, ...]]:
        delay = self._world.knobs.number("rbac.propagation_seconds")
        as_of = self._world.later(-delay) if delay else None
        world = self._world
        revision = world.revision_of(ASSIGNMENT) + world.revision_of(DEFINITION)
        if self._read is None or self._read[:2] != (revision, as_of):
            bodies = world.list(type=ASSIGNMENT, as_of=as_of)
            found = _collect(((rid.text, body) for rid, body in bodies), self._roles())
            self._read = (revision, as_of, found)
        return self._read[2]

    def _roles(self) -> dict[str, Role]:
        custom = {
            rid.name.lower(): Role.parse(body) for rid, body in self._world.list(type=DEFINITION)
        }
        return {**BUILT_IN, **custom}


def _collect(
    assignments: Iterable[tuple[str, Body]], roles: dict[str, Role]
) -> dict[str, tuple[Grant, ...]]:
    found: dict[str, list[Grant]] = {}
    for assignment_id, body in assignments:
        properties = body.get("properties")
        if not isinstance(properties, dict):
            continue
        role = roles.get(str(properties.get("roleDefinitionId", "")).rsplit("/", 1)[-1].lower())
        if role is None:
            continue
        marker = re.split(
            "/providers/microsoft.authorization/", assignment_id, flags=re.IGNORECASE
        )[0]
        scope = str(properties.get("scope") or marker).lower().rstrip("/") + "/"
        found.setdefault(str(properties.get("principalId", "")).lower(), []).append(
            Grant(scope=scope, role=role, assignment_id=assignment_id)
        )
    return {principal: tuple(grants) for principal, grants in found.items()}
