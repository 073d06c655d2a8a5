"""The 429 answers, in the words of whoever sends them."""

import json
import math
from datetime import timedelta

from simulator.arm import BY_GATEWAY, Call, Refusal
from simulator.profiles import Rate


def backup_throttled(action: str, limit: int, wait: float) -> Refusal:
    """Recorded 2021-2023, ten times (facts §2.1); the header is inferred from clients' silence."""
    seconds = math.ceil(wait)
    named = action.replace("/Vaults/", "/vaults/")
    return Refusal(
        429,
        "ResourceRequestsThrottled",
        f"Number of requests for action '{named}' exceeded the limit of '{limit}' for time "
        f"interval '01:00:00'. Please try again after '{seconds}' seconds.",
        headers={**BY_GATEWAY, "Retry-After": str(seconds)},
    )


def arm_throttled(call: Call, kind: str, wait: float) -> Refusal:
    """ARM's own limit; name and text from general knowledge (facts §2.1 says unverified)."""
    seconds = max(1, math.ceil(wait))
    return Refusal(
        429,
        "SubscriptionRequestsThrottled",
        f"Number of '{kind}' requests for subscription '{call.subscription}' actor "
        f"'{call.principal.object_id}' exceeded. Please try again after '{seconds}' seconds after "
        "additional tokens are available.",
        headers={**BY_GATEWAY, "Retry-After": str(seconds)},
    )


def compute_throttled(call: Call, name: str, rate: Rate, wait: float) -> Refusal:
    """The Compute provider's form: the policy is named in details[].target (CRP throttling page)."""
    seconds = max(1, math.ceil(wait))
    measured = {
        "operationGroup": name,
        "startTime": (call.now - timedelta(minutes=1)).isoformat(),
        "endTime": call.now.isoformat(),
        "allowedRequestCount": int(rate.capacity),
        "measuredRequestCount": int(rate.capacity) + 1,
    }
    return Refusal(
        429,
        "OperationNotAllowed",
        "The server rejected the request because too many requests have been received for this "
        "subscription.",
        details=[
            {"code": "TooManyRequests", "target": name, "message": json.dumps(measured)},
        ],
        headers={"Retry-After": str(seconds)},
    )


def graph_throttled(call: Call, resets: float) -> Refusal:
    """Resource Graph's quota: the wait is in a header of its own (facts §4.5)."""
    seconds = max(1, math.ceil(resets))
    return Refusal(
        429,
        "RateLimiting",
        "Please provide below info when asking for support: timestamp = "
        f"{call.now.isoformat()}, correlationId = {call.correlation_id}.",
        details=[
            {
                "code": "RateLimiting",
                "message": "Client application has been throttled and should not attempt to "
                "repeat the request until an amount of time has elapsed.",
            }
        ],
        headers={
            "x-ms-user-quota-remaining": "0",
            "x-ms-user-quota-resets-after": f"00:00:{seconds:02d}",
            "Retry-After": str(seconds),
        },
    )
