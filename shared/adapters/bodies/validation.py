"""Azure's own pre-validation of a VM (facts §1.4): HTTP 200 also for a no."""

from __future__ import annotations

from datetime import datetime

from shared.adapters.bodies.reading import Body, same, text
from shared.domain.ids import ArmId
from shared.domain.model import Validation


def parse_validation(body: Body, vault: ArmId, at: datetime) -> Validation:
    """Give Azure's answer.

    Raises:
        ValueError: the body has no status; it says neither yes nor no.

    """
    status = text(body, "status")
    if not status:
        raise ValueError("a validation without a status")
    if same(status, "Succeeded"):
        return Validation(vault=vault, at=at)
    return Validation(
        vault=vault,
        at=at,
        code=text(body, "errorCode") or f"Validation{status}",
        message=text(body, "errorMessage"),
        recommendation=text(body, "recommendation"),
    )
