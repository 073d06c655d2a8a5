"""Azure Resource Graph: a few tables, a small part of Kusto, pages, lag and silent filtering.

Rows the caller may not read are left out without an error; rows are as old as the lag; a page
has at most 1,000 rows and a skip token only if ``id`` is among the columns (facts §4.5a).
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

from simulator.arm import Call, Json, Refusal, Reply, Route, Versions
from simulator.graph_rows import BACKUP, CONTAINERS, TABLES, Row, container_rows, resource_rows
from simulator.kql import parse
from simulator.kql_memory import Memory
from simulator.kql_run import Found, run
from simulator.kql_tree import (
    Among,
    Compare,
    Constant,
    Expression,
    Junction,
    Path,
    Query,
    Take,
    UnsupportedQueryError,
    Where,
)
from simulator.world import Body, World

PAGE = 1000
BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class GraphState:
    """Answers whose pages are still being read, newest last; rows as last written; a memory."""

    walks: dict[str, Found] = field(default_factory=dict)
    rows: dict[str, tuple[Body, str, Row]] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)


def attach(world: World) -> None:
    world.graph = GraphState()
    world.knobs.declare("graph.lag_seconds", 60, "how far Graph is behind for resources")
    world.knobs.declare("graph.backup_lag_seconds", 600, "how far Graph is behind for backup rows")
    world.knobs.declare("graph.page_size", PAGE, "rows on a page, at most 1000")


def query_resources(world: World, call: Call) -> Reply:
    """Answer ``POST /providers/Microsoft.ResourceGraph/resources``."""
    body = call.fields()
    text = body.get("query")
    options = body.get("options") or {}
    if not isinstance(text, str) or not text.strip() or not isinstance(options, dict):
        raise _refused(call, "InvalidQuery", "A query is required.")
    if body.get("facets"):
        raise _refused(call, "InvalidQuery", "facets are not simulated.")
    try:
        query = parse(text)
        size = _page_size(world, call, options)
        start, found = _walk(world, call, query, body, options)
    except UnsupportedQueryError as outside:
        raise _refused(call, "InvalidQuery", f"Query is invalid: {outside}.") from outside
    page = found.page(start, size)
    answer: dict[str, Json] = {
        "totalRecords": len(found.rows),
        "count": len(page),
        "data": _shaped(page, str(options.get("resultFormat") or "objectArray")),
        "facets": [],
        "resultTruncated": "false",
    }
    if start + size < len(found.rows):
        if page and "id" in page[0] and not _takes(query):
            answer["$skipToken"] = _token(call, body, start + size, world, found)
        else:
            answer["resultTruncated"] = "true"
    return Reply(status=200, body=answer)


def _walk(
    world: World, call: Call, query: Query, body: Mapping[str, Json], options: Mapping[str, Json]
) -> tuple[int, Found]:
    """Return where to start and all rows: of the walk a token continues, or of a new one."""
    token = options.get("$skipToken")
    if token and _takes(query):
        raise _refused(call, "InvalidQuery", "take or limit cannot be combined with paging.")
    if not token:
        return int(str(options.get("$skip") or 0)), run(
            query, _rows(world, call, query, body), call.now, world.graph.memory
        )
    try:
        offset, key = base64.urlsafe_b64decode(str(token)).decode().split("|")
    except ValueError as broken:
        raise _refused(call, "InvalidSkipToken", "The skip token is invalid.") from broken
    if not key.startswith(_question(call, body)) or key not in world.graph.walks:
        raise _refused(call, "InvalidSkipToken", "The skip token belongs to another query.")
    return int(offset), world.graph.walks[key]


def _rows(world: World, call: Call, query: Query, body: Mapping[str, Json]) -> Iterator[Row]:
    table = query.table.lower()
    if table not in TABLES:
        raise UnsupportedQueryError(f"the table '{query.table}' is not simulated")
    subscriptions = _scope(world, call, body)
    if table == CONTAINERS:
        readable = world.gateway.access.filter_of(call.principal)
        for scope, row in container_rows(world, subscriptions):
            if readable(f"{row['type']}/read", scope.lower()):
                yield row
    elif table == BACKUP:
        yield from _backup_rows(world, call, _only_type(query), subscriptions)
    else:
        readable = world.gateway.access.filter_of(call.principal)
        for rid, row in resource_rows(world, _only_type(query), subscriptions):
            if readable(f"{rid.type}/read", rid.key):
                yield row


def _backup_rows(
    world: World, call: Call, kind: str | None, subscriptions: frozenset[str]
) -> Iterator[Row]:
    moment = world.now() - timedelta(seconds=world.knobs.number("graph.backup_lag_seconds"))
    readable = world.gateway.access.filter_of(call.principal)
    for part in world.parts:
        for offered in part.rows(world, subscriptions):
            row = offered.at(moment)
            if row is None or (kind and row["type"] != kind.lower()):
                continue
            if not offered.action or readable(offered.action, offered.scope.lower()):
                yield row


def _scope(world: World, call: Call, body: Mapping[str, Json]) -> frozenset[str]:
    asked = body.get("subscriptions")
    named = [str(one).lower() for one in asked] if isinstance(asked, list) else []
    sees = world.gateway.access.sees
    return frozenset(
        key
        for key in named or world.subscriptions
        if key in world.subscriptions and sees(call.principal, f"/subscriptions/{key}")
    )


def _only_type(query: Query) -> str | None:
    """Find the one type a query asks for, so that a sweep does not walk the whole world."""
    for step in query.operators:
        if not isinstance(step, Where):
            return None
        terms: tuple[Expression, ...] = (
            step.condition.terms
            if isinstance(step.condition, Junction) and step.condition.operator == "and"
            else (step.condition,)
        )
        for term in terms:
            match term:
                case Compare("==" | "=~", Path(("type",)), Constant(str(kind))):
                    return kind
                case Among(Path(("type",)), (Constant(str(kind)),), _, False):
                    return kind
    return None


def _page_size(world: World, call: Call, options: Mapping[str, Json]) -> int:
    top = options.get("$top")
    limit = min(PAGE, int(world.knobs.number("graph.page_size")))
    if top is None:
        return limit
    if not isinstance(top, int) or not 1 <= top <= PAGE:
        raise _refused(call, "InvalidOptions", f"$top is a number from 1 to {PAGE}.")
    return min(limit, top)


def _takes(query: Query) -> bool:
    return any(isinstance(step, Take) for step in query.operators)


def _question(call: Call, body: Mapping[str, Json]) -> str:
    asked = f"{call.principal.object_id}|{body.get('query')}|{body.get('subscriptions')}"
    return hashlib.sha256(asked.encode()).hexdigest()[:16]


def _token(call: Call, body: Mapping[str, Json], offset: int, world: World, found: Found) -> str:
    walks = world.graph.walks
    key = next((k for k, kept in walks.items() if kept is found), "")
    if not key:
        key = f"{_question(call, body)}-{world.rng.getrandbits(32):08x}"
        walks[key] = found
        while len(walks) > 64:
            walks.pop(next(iter(walks)))
    return base64.urlsafe_b64encode(f"{offset}|{key}".encode()).decode()


def _shaped(rows: list[Row], form: str) -> Json:
    if form.lower() == "objectarray":
        return rows
    names = list(rows[0]) if rows else []
    columns = [{"name": name, "type": _kind(rows[0][name])} for name in names]
    return {"columns": columns, "rows": [[row.get(name) for name in names] for row in rows]}


def _kind(value: Json) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case str():
            return "string"
    return "object"


def _refused(call: Call, code: str, message: str) -> Refusal:
    details = cast("list[Json]", [{"code": code, "message": message}])
    return Refusal(
        400,
        "BadRequest",
        "Please provide below info when asking for support: timestamp = "
        f"{call.now.isoformat()}, correlationId = {call.correlation_id}.",
        details=details,
    )


ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        template="/providers/Microsoft.ResourceGraph/resources",
        operation="Resources",
        action="Microsoft.ResourceGraph/resources/read",
        handler=query_resources,
        truth="assumed",
        source="OpenAPI resourcegraph, facts §4.5-4.5a; query language: a documented subset",
        api_versions=Versions(oldest="2018-09-01"),
    ),
)
