"""Rights: the operators hear of a right that the service lacks, once, and when it is there again.

The owner of a VM can do nothing about it and hears nothing; the VM waits (`domain/rights.py`).
"""

from __future__ import annotations

from datetime import datetime

from shared.domain.ids import ArmId
from shared.domain.records import Row
from shared.domain.rights import OUR_RIGHTS, Lack, lack_of
from shared.errors import AzureFault
from shared.ports import Ports


async def refused(ports: Ports, vm: ArmId, fault: AzureFault, now: datetime) -> str:
    """Tell of the right that a read lacked; give its name, "" if it was no matter of rights."""
    lack = lack_of(fault.code, fault.message, vm)
    if lack is None:
        return ""
    await _tell(ports, lack, f"{fault.operation} of {vm}: {fault.message}", now)
    return lack.code


async def told(ports: Ports, before: Row, after: Row, now: datetime) -> None:
    """Tell of the right that a change began to lack in this pass, or that is lacked no longer."""
    was, remains = _lacking(before), _lacking(after)
    if was == remains:
        return
    if was:
        await ports.notices.operators_clear(was, now)
    if (lack := _of_change(after)) is not None and lack.code == remains:
        message = after.failure.message if after.failure is not None else ""
        await _tell(ports, lack, f"{after.vm}: {message}", now)


async def _tell(ports: Ports, lack: Lack, evidence: str, now: datetime) -> None:
    words = lack.words(ports.settings.identity_client_id)
    await ports.notices.tell_operators(lack.code, words, evidence, now)


def _lacking(row: Row) -> str:
    if row.why.startswith(OUR_RIGHTS):
        return row.why
    lack = _of_change(row)
    return lack.code if lack is not None else ""


def _of_change(row: Row) -> Lack | None:
    """Give the right that the latest change lacked; one that Azure has taken since lacks none."""
    if row.failure is None or row.intent is not None:
        return None
    return lack_of(row.failure.code, row.failure.message, ArmId.parse(row.vm))
