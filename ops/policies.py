"""Policies as code, against Azure: read what is there, plan, write. Used by `ops policies ensure`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest

from ops.session import Session
from shared.adapters.faults import asking
from shared.domain.lint import members
from shared.domain.model import Vault
from shared.domain.policycode import Create, Plan, Update, plan
from shared.errors import AzureFault


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyInVault:
    """One declared policy in one vault."""

    vault: Vault
    plan: Plan


async def planned(
    session: Session, names: Sequence[str], may_shorten: Collection[str]
) -> tuple[PolicyInVault, ...]:
    """Compare every declared policy with every vault of its sets. Writes nothing."""
    content = (await session.ports.rules.current()).content
    known = await session.ports.directory.vaults()
    found: list[PolicyInVault] = []
    for declared in content.declared.policies:
        sets = declared.vaults or tuple(content.vaults)
        vaults = {
            vault.id.key: vault for name in sets for vault in members(content.vaults[name], known)
        }
        for vault in vaults.values():
            if names and vault.name not in names:
                continue
            existing = await _properties(session, vault, declared.name)
            one = plan(declared, existing, may_shorten=may_shorten)
            found.append(PolicyInVault(vault=vault, plan=one))
    return tuple(found)


async def write_policy(session: Session, one: PolicyInVault) -> None:
    """PUT one policy.

    Raises:
        AzureFault: Azure refused it; about 50 policies a day may be written per vault.

    """
    assert isinstance(one.plan, Create | Update), "only what differs is written"
    clients, settings = session.foundation.clients, session.settings
    url = f"{settings.cloud.arm}{_path(one.vault, one.plan.name)}"
    request = HttpRequest(
        "PUT", url, params={"api-version": settings.backup_api}, json={"properties": one.plan.body}
    )
    with asking("policy.put"):
        response = (await clients.pipeline().run(request)).http_response
        if response.status_code not in {200, 201, 202}:
            raise HttpResponseError(response=response)
    session.ports.directory.forget(one.vault.id)


async def _properties(session: Session, vault: Vault, name: str) -> dict[str, Any] | None:
    try:
        body = await session.foundation.clients.get(
            _path(vault, name), api_version=session.settings.backup_api, operation="policy.get"
        )
    except AzureFault as fault:
        if fault.status == 404:
            return None
        raise
    properties = body.get("properties") if isinstance(body, dict) else None
    return properties if isinstance(properties, dict) else {}


def _path(vault: Vault, name: str) -> str:
    return f"{vault.id.path()}/backupPolicies/{quote(name, safe='')}"
