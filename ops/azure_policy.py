"""Where we and Azure Policy differ about a VM (observe mode runs beside it for a week).

Azure Policy's audit asks whether a VM is an item of some vault; we ask whether a recovery point
exists and which vault and policy it should have. So they differ honestly, and this says how.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from ops.session import Session
from shared.domain.coverage import Standing
from shared.domain.ids import VIRTUAL_MACHINES, ArmId
from shared.domain.importer import DEFINITIONS
from shared.errors import AzureFault, BadArmId, Disposition
from shared.web.filters import Filters
from shared.web.reading import every
from shared.web.view import Counted

_QUERY = """policyresources
| where type =~ 'microsoft.policyinsights/policystates'
| extend key = tolower(id), definition = tostring(properties.policyDefinitionName), vm = tolower(tostring(properties.resourceId)), state = tostring(properties.complianceState){after}
| where definition in ({definitions})
| order by key asc
| project id, vm, state"""
_PATH = "/providers/Microsoft.ResourceGraph/resources"
_PROTECTED = frozenset({Standing.PROTECTED, Standing.ELSEWHERE})
_MEANING = {
    (
        True,
        "NonCompliant",
    ): "protected; Azure Policy has not looked since, or asks for another vault",
    (False, "Compliant"): "Azure Policy counts an item in a vault, not a recovery point",
}
_WORST = "NonCompliant"
NOT_SEEN = "(no state)"


async def differences(session: Session, counted: Sequence[Counted]) -> list[dict[str, Any]]:
    """List the VMs of which we and Azure Policy say different things."""
    states: dict[str, str] = {}
    async for vm, state in _states(session, counted):  # of several assignments, the worst counts
        if states.get(vm) != _WORST:
            states[vm] = state
    rows: list[dict[str, Any]] = []
    async for found in every(session.ports, counted, Filters()):
        state = states.get(found.id.lower(), NOT_SEEN)
        protected = found.standing in _PROTECTED
        means = _MEANING.get((protected, state))
        if means:
            rows.append(
                {
                    "vm": found.id,
                    "standing": found.standing,
                    "azure_policy": state,
                    "means": means,
                }
            )
    return rows


async def _states(session: Session, counted: Sequence[Counted]) -> AsyncIterator[tuple[str, str]]:
    """Walk Azure Policy's states of VMs under its backup definitions."""
    definitions = ", ".join(f"'{name}'" for name in DEFINITIONS)
    after = ""
    while True:
        condition = f"\n| where strcmp(key, '{after}') > 0" if after else ""
        query = _QUERY.replace("{after}", condition).replace("{definitions}", definitions)
        body = await session.foundation.clients.post(
            _PATH,
            {
                "query": query,
                "subscriptions": [one.subscription for one in counted],
                "options": {"resultFormat": "objectArray", "$top": 1000},
            },
            api_version="2021-03-01",
            operation="graph.policy-states",
        )
        rows = body.get("data") if isinstance(body, dict) else None
        if not isinstance(rows, list):
            raise AzureFault(
                "graph.policy-states",
                status=200,
                code="",
                message="an answer without rows",
                disposition=Disposition.RAISE,
            )
        for row in rows:
            if _is_vm(str(row.get("vm", ""))):
                yield str(row["vm"]), str(row.get("state", ""))
        if not rows or not body.get("$skipToken"):
            return
        after = str(rows[-1]["id"]).lower().replace("\\", "\\\\").replace("'", "\\'")


def _is_vm(text: str) -> bool:
    try:
        return ArmId.parse(text).type == VIRTUAL_MACHINES
    except BadArmId:
        return False
