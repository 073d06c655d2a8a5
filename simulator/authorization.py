"""Role assignments, role definitions and locks, as resources below any scope."""

from simulator.arm import BY_GATEWAY, Call, Json, Refusal, Reply, Route, not_found
from simulator.ids import ResourceId
from simulator.roles import BUILT_IN, Role
from simulator.world import Body, Cause, World

ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
DEFINITIONS = "Microsoft.Authorization/roleDefinitions"
LOCKS = "Microsoft.Authorization/locks"


def get_one(world: World, call: Call) -> Reply:
    body = world.get(call.resource_id)
    if body is None:
        rid = ResourceId.parse(call.resource_id)
        raise not_found(rid.type, rid.name, rid.group)
    return Reply(status=200, body=body)


def delete_one(world: World, call: Call) -> Reply:
    gone = world.delete(call.resource_id, Cause.of(call))
    return Reply(status=200, body=gone) if gone else Reply(status=204)


def list_at_scope(world: World, call: Call) -> Reply:
    """List what is at, above (assignments, locks) and below a scope."""
    kind = ResourceId.parse(call.resource_id + "/-").type
    scope = call.params["scope"].lower() + "/"
    rows = []
    for rid, body in world.list(type=kind):
        at = (
            rid.text[: rid.text.lower().rindex("/providers/microsoft.authorization/")].lower() + "/"
        )
        if at.startswith(scope) or scope.startswith(at):
            rows.append(body)
    return Reply(status=200, body={"value": rows})


def put_assignment(world: World, call: Call) -> Reply:
    properties = _properties(call)
    role = str(properties.get("roleDefinitionId", "")).rsplit("/", 1)[-1].lower()
    principal = str(properties.get("principalId", ""))
    if not role or not principal:
        raise _bad_request("roleDefinitionId and principalId are required.")
    custom = {rid.name.lower() for rid, _ in world.list(type=DEFINITIONS)}
    if role not in BUILT_IN and role not in custom:
        raise Refusal(
            404,
            "RoleDefinitionDoesNotExist",
            f"The specified role definition with ID '{role}' does not exist.",
            headers=BY_GATEWAY,
        )
    scope = call.params["scope"]
    for rid, body in world.list(type=ASSIGNMENTS):
        other = body.get("properties")
        if (
            isinstance(other, dict)
            and rid.key != call.resource_id.lower()
            and str(other.get("principalId", "")).lower() == principal.lower()
            and str(other.get("roleDefinitionId", "")).lower().endswith(role)
            and str(other.get("scope", "")).lower() == scope.lower()
        ):
            raise Refusal(
                409,
                "RoleAssignmentExists",
                "The role assignment already exists.",
                headers=BY_GATEWAY,
            )
    kept = {"principalType": "ServicePrincipal", **properties, "scope": scope or "/"}
    return _kept(world, call, ASSIGNMENTS, kept)


def put_definition(world: World, call: Call) -> Reply:
    properties = _properties(call)
    if not properties.get("permissions") or not properties.get("roleName"):
        raise _bad_request("roleName and permissions are required.")
    return _kept(world, call, DEFINITIONS, {"type": "CustomRole", **properties})


def get_definition(world: World, call: Call) -> Reply:
    role = BUILT_IN.get(call.params["name"].lower())
    if role is None:
        return get_one(world, call)
    return Reply(status=200, body=_built_in(role))


def list_definitions(world: World, call: Call) -> Reply:
    rows = [_built_in(role) for role in BUILT_IN.values()]
    rows += [body for _, body in world.list(type=DEFINITIONS)]
    wanted = call.query.get("$filter", "")
    if wanted.startswith("roleName eq '"):
        name = wanted.removeprefix("roleName eq '").rstrip("'").lower()
        rows = [row for row in rows if _role_name(row).lower() == name]
    return Reply(status=200, body={"value": rows})


def put_lock(world: World, call: Call) -> Reply:
    properties = _properties(call)
    if properties.get("level") not in {"CanNotDelete", "ReadOnly"}:
        raise Refusal(
            400,
            "LockLevelInvalid",
            f"The lock level '{properties.get('level')}' is invalid: it is CanNotDelete or ReadOnly.",
            headers=BY_GATEWAY,
        )
    return _kept(world, call, LOCKS, properties)


def _kept(world: World, call: Call, kind: str, properties: Body) -> Reply:
    before = world.get(call.resource_id)
    body: Body = {
        "id": call.resource_id,
        "name": call.params["name"],
        "type": kind,
        "properties": properties,
    }
    world.put(call.resource_id, body, Cause.of(call))
    return Reply(status=200 if before and kind == LOCKS else 201, body=body)


def _properties(call: Call) -> Body:
    properties = call.fields().get("properties")
    if not isinstance(properties, dict):
        raise _bad_request("The request has no properties.")
    return dict(properties)


def _bad_request(message: str) -> Refusal:
    return Refusal(400, "BadRequest", message, headers=BY_GATEWAY)


def _built_in(role: Role) -> Body:
    return {
        "id": f"/providers/{DEFINITIONS}/{role.id}",
        "name": role.id,
        "type": DEFINITIONS,
        "properties": {
            "roleName": role.name,
            "type": "BuiltInRole",
            "assignableScopes": ["/"],
            "permissions": [
                {
                    "actions": list(role.actions),
                    "notActions": list(role.not_actions),
                    "dataActions": [],
                    "notDataActions": [],
                }
            ],
        },
    }


def _role_name(row: Body) -> str:
    properties: Json = row.get("properties")
    return str(properties.get("roleName", "")) if isinstance(properties, dict) else ""


_TABLE = (
    ("GET", ASSIGNMENTS, True, "RoleAssignments_Get", "read", get_one),
    ("PUT", ASSIGNMENTS, True, "RoleAssignments_Create", "write", put_assignment),
    ("DELETE", ASSIGNMENTS, True, "RoleAssignments_Delete", "delete", delete_one),
    ("GET", ASSIGNMENTS, False, "RoleAssignments_ListForScope", "read", list_at_scope),
    ("GET", DEFINITIONS, True, "RoleDefinitions_Get", "read", get_definition),
    ("PUT", DEFINITIONS, True, "RoleDefinitions_CreateOrUpdate", "write", put_definition),
    ("DELETE", DEFINITIONS, True, "RoleDefinitions_Delete", "delete", delete_one),
    ("GET", DEFINITIONS, False, "RoleDefinitions_List", "read", list_definitions),
    ("GET", LOCKS, True, "ManagementLocks_Get", "read", get_one),
    ("PUT", LOCKS, True, "ManagementLocks_CreateOrUpdate", "write", put_lock),
    ("DELETE", LOCKS, True, "ManagementLocks_Delete", "delete", delete_one),
    ("GET", LOCKS, False, "ManagementLocks_ListAtScope", "read", list_at_scope),
)

ROUTES: tuple[Route, ...] = tuple(
    Route(
        method=method,
        template="{scope}/providers/" + kind + ("/{name}" if single else ""),
        operation=operation,
        action=f"{kind}/{word}",
        handler=handler,
        truth="assumed",
        source="common ARM knowledge; role contents: facts §8.1",
    )
    for method, kind, single, operation, word, handler in _TABLE
)
