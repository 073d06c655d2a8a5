"""What was there before a recording began: groups, other people's vaults and what is in them.

State is taken from the first answer that shows it; what the session itself creates is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from tests.conformance.recordings import Exchange, bodies

VAULT = "/providers/microsoft.recoveryservices/vaults/"
JOB_KINDS = frozenset(
    {"ConfigureBackup", "DisableBackup", "DeleteBackupData", "Undelete", "Backup", "Restore"}
)
#: The recorder put its own names for the real ones that lists were sorted by ...
MASKED = re.compile(r"0000\d\d[^/]*$")
#: ... as it may for every drawn name that a session's own requests speak of.
NAMED = re.compile(r"/(?:resourcegroups|vaults|virtualmachines|backuppolicies)/([^/?]+)")
DRAWN_NAME = re.compile(r"\d\D*\d")

type Hidden = Callable[[str], bool]


def vault_of(identifier: str) -> str:
    """Return the vault an id or a path lies in, in lower case; empty for none."""
    low = unquote(identifier).lower()
    at = low.find(VAULT)
    if at < 0:
        return ""
    return low[: at + len(VAULT)] + low[at + len(VAULT) :].split("/")[0].split("?")[0]


def made_here(session: list[Exchange]) -> dict[str, int]:
    """Return the vaults the session itself creates, with the exchange that does."""
    made: dict[str, int] = {}
    for index, one in enumerate(session):
        creates = one.method == "PUT" and one.status in {200, 201, 409}
        if creates and unquote(one.path).lower() == vault_of(one.path):
            made.setdefault(vault_of(one.path), index)
    return made


def written_here(session: list[Exchange]) -> dict[str, int]:
    """Return the ids the session writes or deletes itself, with the first exchange that does."""
    found: dict[str, int] = {}
    for index, one in enumerate(session):
        if one.method in {"PUT", "PATCH", "DELETE"} and one.status < 300:
            found.setdefault(unquote(one.path).lower().rstrip("/"), index)
    return found


def of_others(body: Any) -> bool:
    """Tell whether an answer is about other workloads than VMs (policies of a vault may be)."""
    return any(
        (row.get("properties") or {}).get("backupManagementType", "AzureIaasVM") != "AzureIaasVM"
        and not str(row.get("type", "")).endswith("/backupPolicies")
        for row in bodies(body)
    )


def standing(session: list[Exchange]) -> dict[str, dict[str, Any]]:
    """Return what the session finds: groups and other people's vaults with what is in them."""
    made, written = made_here(session), written_here(session)
    found: dict[str, dict[str, Any]] = {}
    for index, one in enumerate(session):
        if one.method != "GET" or one.status != 200:
            continue
        for body in bodies(one.body):
            identifier = body["id"]
            key = unquote(identifier).lower()
            vault = vault_of(key)
            if vault and (vault in made and made[vault] < index):
                continue
            if vault and not _is_state(key):
                continue
            if not vault and not re.fullmatch(r"/subscriptions/[^/]+/resourcegroups/[^/]+", key):
                continue
            if written.get(key, index) < index:
                continue
            known = found.get(key)
            if known is None or (key == vault and len(str(body)) > len(str(known))):
                found[key] = body
    found |= _guards(session)
    for one in session:  # vaults that nothing but a path names
        vault = vault_of(one.path)
        if vault and vault not in made and vault not in found and one.status == 200:
            found[vault] = {"id": one.path[: len(vault)]}
    kept = {key: body for key, body in found.items() if _is_whole(key, body, found)}
    return dict(sorted(kept.items(), key=lambda entry: entry[0].count("/")))


def _is_whole(key: str, body: dict[str, Any], found: dict[str, dict[str, Any]]) -> bool:
    """Tell whether a body can stand by itself: a point needs its item, a job its container."""
    properties = body.get("properties") or {}
    if "/recoverypoints/" in key:
        return (
            key.split("/recoverypoints/", maxsplit=1)[0] in found
            and "recoveryPointTime" in properties
        )
    if "/backupjobs/" in key:
        return bool(properties.get("containerName")) and properties["operation"] in JOB_KINDS
    return True


def _guards(session: list[Exchange]) -> dict[str, dict[str, Any]]:
    """Return the resource guards that proxies show, and those of another tenant."""
    found: dict[str, dict[str, Any]] = {}
    for one in session:
        if "/backupresourceguardproxies" not in one.path.lower():
            continue
        asked = (one.sent or {}).get("properties") or {}
        if one.status == 403 and "resourceGuardResourceId" in asked:
            guard = asked["resourceGuardResourceId"]
            found.setdefault(guard.lower(), {"id": guard, "_sim": {"foreign": True}})
        for body in bodies(one.body):
            shown = body.get("properties") or {}
            if guard := shown.get("resourceGuardResourceId"):
                operations = shown.get("resourceGuardOperationDetails") or []
                found[guard.lower()] = {
                    "id": guard,
                    "properties": {
                        "description": shown.get("description", ""),
                        "resourceGuardOperations": operations,
                    },
                }
    return found


def _is_state(key: str) -> bool:
    tail = key.split(VAULT, 1)[1].split("/")
    return len(tail) == 1 or tail[1] in {
        "backuppolicies",
        "backupconfig",
        "backupjobs",
        "backupresourceguardproxies",
    } or (
        tail[1] == "backupfabrics"
        and "iaasvmcontainer" in key
        and ("protecteditems" in tail or len(tail) == 5)
    )  # fmt: skip


def hidden(session: list[Exchange]) -> Hidden:
    """Tell of which ids nobody can know where a list sorted them: their names were masked."""
    asked = (unquote(one.path).lower() for one in session)
    own = {name for path in asked for name in NAMED.findall(path) if DRAWN_NAME.search(name)}

    def is_hidden(identifier: str) -> bool:
        last = unquote(identifier).lower().rsplit("/", 1)[-1]
        return bool(MASKED.search(identifier)) or not own.isdisjoint(last.split(";"))

    return is_hidden


def units(listed: list[dict[str, Any]], is_hidden: Hidden) -> list[int]:
    """Tell in which of the service's units each protectable VM is: its lists are sorted in each."""
    unit, last, found = 0, "", []
    for row in listed:
        name = str(row["name"]).lower()
        if not is_hidden(name):
            unit, last = (unit + 1 if name < last else unit), name
        found.append(unit)
    return found


def pages(session: list[Exchange], index: int) -> list[Exchange]:
    """Return a list's pages: the one at an index and those its links led to."""
    found = [session[index]]
    for later in session[index + 1 :]:
        if "nextLink" not in (found[-1].body or {}):
            break
        if later.path == session[index].path and "skiptoken" in later.target.lower():
            found.append(later)
    return found
