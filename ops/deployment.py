"""The half of `doctor` that is looked at with the operator's login, subscription by subscription:
delivery of events, rights of the service's identity, resource providers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from ops.arm import line, mapping
from ops.delivery import events
from ops.granted import rights
from ops.session import Session
from shared.errors import AzureFault
from shared.web.doctor import Check, Health

FORBIDDEN = 403
PROVIDER_API = "2021-04-01"
PROVIDERS = ("Microsoft.RecoveryServices", "Microsoft.Compute", "Microsoft.EventGrid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What stage 1 put out (infra/main.bicep's outputs)."""

    app: str
    principal: str = ""
    dead_letter: str = ""
    grants: tuple[str, ...] = ()


async def examined(session: Session, deployment: Deployment) -> list[Check]:
    """Look at every subscription in scope."""
    found: list[Check] = []
    for subscription in await session.ports.estate.subscriptions():
        onboard = f"python -m ops onboard {subscription} --yes"
        delivered = events(
            session,
            subscription,
            app=deployment.app,
            dead_letter=deployment.dead_letter,
            onboard=onboard,
        )
        granted = rights(
            session,
            subscription,
            principal=deployment.principal,
            blocks=deployment.grants,
            onboard=onboard,
        )
        registered = _providers(session, subscription)
        for what, looked in (
            ("events", delivered),
            ("rights", granted),
            ("providers", registered),
        ):
            try:
                found += [one async for one in looked]
            except AzureFault as fault:
                says = f"{fault.operation} failed: {fault.code or fault.status}"
                fix = f"get Reader on {subscription}" if fault.status == FORBIDDEN else "az login"
                found.append(line(f"{what} of {subscription}", Health.FAILURE, says, fix))
    return found


async def _providers(session: Session, subscription: str) -> AsyncIterator[Check]:
    for name in PROVIDERS:
        body = await session.foundation.clients.get(
            f"/subscriptions/{subscription}/providers/{name}",
            api_version=PROVIDER_API,
            operation="provider.get",
        )
        state = str(mapping(body).get("registrationState", ""))
        registered = state.lower() == "registered"
        yield line(
            f"provider {name} in {subscription}",
            Health.OK if registered else Health.FAILURE,
            state or "unknown",
            "" if registered else f"az provider register -n {name} --subscription {subscription}",
        )
