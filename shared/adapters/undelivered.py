"""What a failed call of an Azure channel means for a letter: again, elsewhere, or nobody knows."""

from __future__ import annotations

import aiohttp
from azure.core.exceptions import ServiceRequestError

from shared.adapters.faults import fault_of
from shared.errors import AzureFault, Disposition
from shared.outbox import NO_ANSWER

_PASSING = {401, 408, 425, 429}  # 401: a token of the past; its next is fresh


def undelivered(error: BaseException, operation: str) -> AzureFault:
    """Turn an SDK error into the fault a channel raises (`outbox.Channel`)."""
    fault = fault_of(error, operation)
    if fault.status == 0:
        return _as(fault, "Unreachable" if _never_left(error) else NO_ANSWER, Disposition.DEFER)
    if fault.status == 504:
        return _as(fault, NO_ANSWER, Disposition.DEFER)
    final = 300 <= fault.status < 500 and fault.status not in _PASSING
    disposition = Disposition.PARK if final else Disposition.DEFER
    return _as(fault, fault.code or f"HTTP{fault.status}", disposition)


def _never_left(error: BaseException) -> bool:
    """Tell whether no connection was made: the SDK names lost answers by the same exception."""
    cause = getattr(error, "inner_exception", None)
    return isinstance(error, ServiceRequestError) and isinstance(
        cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError
    )


def _as(fault: AzureFault, code: str, disposition: Disposition) -> AzureFault:
    return AzureFault(
        fault.operation,
        status=fault.status,
        code=code,
        message=fault.message,
        disposition=disposition,
        request_id=fault.request_id,
        retry_after=fault.retry_after,
    )
