"""Management locks: ReadOnly refuses every write below its scope, CanNotDelete only deletes.

Common ARM knowledge, not recorded (facts §2.1 `ScopeLocked`).
"""

from simulator.arm import BY_GATEWAY, Call, PrincipalKind, Refusal, Route
from simulator.world import World

LOCK = "Microsoft.Authorization/locks"


def check_locks(world: World, call: Call, route: Route) -> None:
    """Refuse a write or delete that a lock at or above the resource forbids."""
    action = route.action.lower()
    if call.principal.kind is PrincipalKind.SYSTEM or action.endswith("/read") or not action:
        return
    if action.startswith("microsoft.authorization/locks/"):
        return
    target = call.resource_id.lower() + "/"
    for lock, body in world.list(type=LOCK):
        scope = lock.text[: lock.text.lower().rindex("/providers/microsoft.authorization/")]
        properties = body.get("properties")
        level = properties.get("level") if isinstance(properties, dict) else None
        binding = level == "ReadOnly" or (level == "CanNotDelete" and call.method == "DELETE")
        if binding and target.startswith(scope.lower() + "/"):
            verb = "delete" if call.method == "DELETE" else "write"
            raise Refusal(
                409,
                "ScopeLocked",
                f"The scope '{call.resource_id}' cannot perform {verb} operation because following "
                f"scope(s) are locked: '{scope}'. Please remove the lock and try again.",
                headers=BY_GATEWAY,
            )
