"""The ``$filter`` subset of the backup lists: ``name eq 'value'`` joined by ``and``, nothing else.

Each list knows its own names (facts §1.1); another name or another operator is refused.
"""

import re
from collections.abc import Mapping

from simulator.backup import refusals

_CLAUSE = re.compile(
    r"\s*(?P<name>[A-Za-z]+)\s+(?P<operator>[A-Za-z]+)\s+'(?P<value>(?:[^']|'')*)'\s*"
)
_AND = re.compile(r"(?i)and\b")

ITEMS = frozenset(
    {
        "healthState",
        "backupManagementType",
        "itemType",
        "policyName",
        "containerName",
        "friendlyName",
        "fabricName",
        "backupSetName",
    }
)
PROTECTABLE = frozenset({"backupManagementType", "workloadType", "status", "friendlyName"})
CONTAINERS = frozenset({"backupManagementType", "friendlyName", "status"})
JOBS = frozenset({"status", "operation", "jobId", "startTime", "endTime", "backupManagementType"})
POLICIES = frozenset({"backupManagementType", "workloadType", "fabricName"})
POINTS = frozenset({"startDate", "endDate", "startTime", "endTime", "restorePointQueryType"})
MANAGEMENT_ONLY = frozenset({"backupManagementType"})
SUMMARY = frozenset({"type"})

#: Values of backupManagementType the service knows (bms 2024-04-01).
MANAGEMENT_TYPES = frozenset(
    name.lower()
    for name in (
        "Invalid",
        "AzureIaasVM",
        "MAB",
        "DPM",
        "AzureBackupServer",
        "AzureSql",
        "AzureStorage",
        "AzureWorkload",
        "DefaultBackup",
    )
)


def read(query: Mapping[str, str], known: frozenset[str]) -> dict[str, str]:
    """Read ``$filter`` into values by name as documented; refuse what the list does not know."""
    text = next((value for key, value in query.items() if key.lower() == "$filter"), "")
    wanted: dict[str, str] = {}
    names = {name.lower(): name for name in known}
    at = 0
    while at < len(text.rstrip()):
        clause = _CLAUSE.match(text, at)
        if clause is None or clause["operator"].lower() != "eq":
            raise refusals.bad_input(f"The filter '{text}' is not valid.")
        name = names.get(clause["name"].lower())
        if name is None or name in wanted:
            raise refusals.bad_input(f"The filter '{text}' is not valid: '{clause['name']}'.")
        wanted[name] = clause["value"].replace("''", "'")
        at = clause.end()
        if at < len(text.rstrip()):
            joint = _AND.match(text, at)
            if joint is None:
                raise refusals.bad_input(f"The filter '{text}' is not valid.")
            at = joint.end()
    management = wanted.get("backupManagementType")
    if management is not None and management.lower() not in MANAGEMENT_TYPES:
        raise refusals.bad_input(f"'{management}' is not a backupManagementType.")
    return wanted


def fits(wanted: Mapping[str, str], name: str, value: str) -> bool:
    """Tell whether a value is what the filter wants of it, in any case; unasked fits."""
    return name not in wanted or wanted[name].lower() == value.lower()
