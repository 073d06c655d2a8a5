"""The proof that a webhook wants the events, asked once when its subscription is written.

Event Grid schema: a validation event whose code must come back with status 200 (202 is not
accepted), or a GET of its ``validationUrl`` within five minutes. CloudEvents: HTTP OPTIONS
(facts §5.5).
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

import aiohttp

from simulator.eventgrid.delivery import Postman
from simulator.eventgrid.events import stamp
from simulator.eventgrid.subscriptions import Subscription

ORIGIN = "eventgrid.azure.net"
MANUAL_WITHIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A validation in progress; ``ends`` is when asking by hand is over."""

    subscription: str
    code: str
    ends: datetime


async def shake_hands(to: Subscription, code: Code, manual_url: str, postman: Postman) -> str:
    """Ask the webhook; return the provisioning state this leads to."""
    url = str(to.address.get("endpointUrl", ""))
    if to.schema == "CloudEventSchemaV1_0":
        return "Succeeded" if await _allows(url, postman) else "Failed"
    event = {
        "id": code.code,
        "topic": to.topic,
        "subject": "",
        "data": {"validationCode": code.code, "validationUrl": manual_url},
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": stamp(postman.clock.now()),
        "metadataVersion": "1",
        "dataVersion": "2",
    }
    headers = {
        "content-type": "application/json; charset=utf-8",
        "aeg-event-type": "SubscriptionValidation",
        "aeg-subscription-name": to.name.upper(),
        "aeg-delivery-count": "0",
        "aeg-metadata-version": "1",
        "aeg-data-version": "2",
    }
    try:
        async with postman.session.post(
            url, data=json.dumps([event]), headers=headers, timeout=postman.timeout()
        ) as answer:
            said = await answer.read()
            if answer.status == 200 and _echoes(said, code.code):
                return "Succeeded"
            return "AwaitingManualAction" if answer.status < 300 else "Failed"
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return "Failed"


def _echoes(said: bytes, code: str) -> bool:
    try:
        parsed = json.loads(said)
    except ValueError:
        return False
    return isinstance(parsed, dict) and parsed.get("validationResponse") == code


async def _allows(url: str, postman: Postman) -> bool:
    headers = {"WebHook-Request-Origin": ORIGIN, "WebHook-Request-Rate": "120"}
    try:
        async with postman.session.options(
            url, headers=headers, timeout=postman.timeout()
        ) as answer:
            allowed = answer.headers.get("WebHook-Allowed-Origin", "")
            return answer.status == 200 and allowed in {ORIGIN, "*"}
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return False
