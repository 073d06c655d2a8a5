"""The exceptions of the product. An exception means "could not find out" or "could not do".

    EnrollmentError
    +-- AzureFault          Azure, storage or a channel answered with a failure, or not at all
    +-- Conflict            somebody else changed the row first (an etag did not match)
    +-- BadArmId            a text that is not an ARM resource id we accept
    +-- BadMessage          an event or queue message that cannot be understood; it is parked
    +-- BadRules            the rules file is wrong; lists every problem with file, line, column
    +-- BadSettings         a setting is missing or wrong; names the setting and the fix
    +-- BadWish             what a person asks for cannot be recorded; says what to write instead

A "no" (not ready, excluded, no vault) is never an exception but a finding: `domain/findings.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EnrollmentError(Exception):
    """Root of the family."""


class Disposition(StrEnum):
    """What a fault asks of the caller. Decided by code in `adapters/faults.py`, nowhere else."""

    RETRY = "retry"  # in process, at most 2 tries and 5 s in all, never on 429
    DEFER = "defer"  # a delayed message or a row
    PARK = "park"  # a finding and a notice: a person must act
    RAISE = "raise"  # unforeseen: the invocation fails, visibly


class AzureFault(EnrollmentError):
    """One failed call, in our words.

    Attributes:
        operation: our name of the call, e.g. ``protect`` or ``vm.get``.
        status: HTTP status, or 0 if no answer came.
        code: Azure's error code, e.g. ``ResourceRequestsThrottled``; "" if the body had none.
        message: Azure's text, for people; parsed by `adapters/faults.py`, and by the domain only
            where a code alone does not tell (`faultbook`, `rights`).
        request_id: the ``x-ms-client-request-id`` that was sent, or "".
        retry_after: seconds to wait as told by header or text; None if not told.
        disposition: what to do about it.

    """

    def __init__(
        self,
        operation: str,
        *,
        status: int,
        code: str,
        message: str,
        disposition: Disposition,
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{operation}: {status} {code}: {message}")
        self.operation = operation
        self.status = status
        self.code = code
        self.message = message
        self.disposition = disposition
        self.request_id = request_id
        self.retry_after = retry_after

    def again(self) -> AzureFault:
        """Give the same fault for somebody else, who meets it later.

        An exception that is kept and raised again grows with each raise by the frames it passes
        through, and holds everything in them; so does the SDK's error that it came from.
        """
        return AzureFault(
            self.operation,
            status=self.status,
            code=self.code,
            message=self.message,
            disposition=self.disposition,
            request_id=self.request_id,
            retry_after=self.retry_after,
        )


class Conflict(EnrollmentError):
    """The row changed since it was read; read again and decide again."""


class BadArmId(EnrollmentError):
    """The text is not a resource id that may enter a URL."""


class BadMessage(EnrollmentError):
    """The message cannot be understood. ``reason`` is a stable word for counters and parked rows."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in a file. ``line`` and ``column`` count from 1; 0 if unknown."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""
    level: str = "error"  # or "warning"

    def __str__(self) -> str:
        """Give the compiler-like form that editors can jump to."""
        tail = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.level}: {self.message}{tail}"


class BadRules(EnrollmentError):
    """The rules file cannot be used."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class BadSettings(EnrollmentError):
    """Settings cannot be used; the text names each one and what to set."""


class BadWish(EnrollmentError):
    """What a person asks for cannot be recorded; the text says what to write instead."""
