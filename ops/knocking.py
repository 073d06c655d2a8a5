"""Does a webhook let Event Grid in? Its handshake is asked again, as Event Grid asks it.

Whoever rotates the app's key leaves an event subscription that looks well and delivers nothing.
The host answers a handshake itself, so no function runs.
"""

from __future__ import annotations

import ssl
from uuid import uuid4

import aiohttp

from ops.arm import mapping
from ops.session import Session

PATIENCE = 10.0  # seconds; a cold app answers its handshake
TYPE = "Microsoft.EventGrid.SubscriptionValidationEvent"


async def knocked(session: Session, event_subscription: str, *, api_version: str) -> str:
    """Ask for the whole address, which is a secret, and knock there; "" if it lets us in.

    Raises:
        AzureFault: the address may not be read.

    """
    told = await session.foundation.clients.post(
        f"{event_subscription}/getFullUrl",
        {},
        api_version=api_version,
        operation="event-subscriptions.url",
    )
    url = str(mapping(told).get("endpointUrl", ""))
    code = uuid4().hex
    event = {
        "id": code,
        "topic": event_subscription,
        "subject": "",
        "data": {"validationCode": code},
        "eventType": TYPE,
        "eventTime": session.ports.clock.now().isoformat(),
        "metadataVersion": "1",
        "dataVersion": "2",
    }
    trusted = ssl.create_default_context()
    if session.settings.cloud.ca_file:
        trusted.load_verify_locations(cafile=session.settings.cloud.ca_file)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE), trust_env=True) as http,
            http.post(
                url, json=[event], headers={"aeg-event-type": "SubscriptionValidation"}, ssl=trusted
            ) as answer,
        ):
            if answer.status == 200:
                return ""
            refused = answer.status in {401, 403}
            return f"HTTP {answer.status}" + (": was its key rotated?" if refused else "")
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error).__name__  # not its text: that names the address
