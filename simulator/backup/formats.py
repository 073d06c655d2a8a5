"""How the backup service writes times, durations and ids: .NET habits a client must survive.

Times carry one to seven digits and no trailing zeros, durations are ISO 8601, time left is a
.NET TimeSpan, dates inside a property bag are American (report §6.24 to 6.27).
"""

import base64
import hashlib
from datetime import UTC, datetime, timedelta

from simulator.arm import Json

#: What a JSON object is here, once it is known to be one.
type Fields = dict[str, Json]

#: "Not yet": an operation's endTime while it runs, a task that has not started.
NEVER = "0001-01-01T00:00:00"
#: "No backup so far" of a protected item.
NO_BACKUP = "2001-01-01T00:00:00Z"
_EPOCH = datetime(1, 1, 1, tzinfo=UTC)


def fields_of(value: Json) -> Fields:
    """Return a JSON object, or an empty one for anything else."""
    return dict(value) if isinstance(value, dict) else {}


def text_of(value: Json) -> str:
    """Return a JSON string, or an empty one for anything else."""
    return value if isinstance(value, str) else ""


def time_text(at: datetime) -> str:
    """Write a time as the service does: fraction without trailing zeros, ``Z`` at the end."""
    whole = at.astimezone(UTC)
    fraction = f".{whole.microsecond:06d}".rstrip("0") if whole.microsecond else ""
    return f"{whole:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def read_time(text: str) -> datetime | None:
    """Read a time with one to seven digits, with or without a zone; None if it is no time."""
    head, dot, tail = text.strip().removesuffix("Z").partition(".")
    digits = tail[: next((i for i, c in enumerate(tail) if not c.isdigit()), len(tail))]
    zone = tail[len(digits) :]
    try:
        parsed = datetime.fromisoformat(head + dot + digits[:6] + zone if dot else head)
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def duration_text(length: timedelta) -> str:
    """Write a duration, e.g. ``PT1H40.443S``: a unit that is zero is left out."""
    micros = max(0, length // timedelta(microseconds=1))
    seconds, fraction = divmod(micros, 1_000_000)
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    text = "PT" + (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    if fraction:
        return text + f"{seconds}.{fraction:06d}".rstrip("0") + "S"
    return text + (f"{seconds}S" if seconds or text == "PT" else "")


def timespan_text(length: timedelta) -> str:
    """Write time left as a .NET TimeSpan, ``13.23:59:42.865600``."""
    length = max(length, timedelta())
    hours, rest = divmod(length.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    days = f"{length.days}." if length.days else ""
    fraction = f".{length.microseconds:06d}0" if length.microseconds else ""
    return f"{days}{hours:02d}:{minutes:02d}:{seconds:02d}{fraction}"


def american_text(at: datetime) -> str:
    """Write a date as a property bag holds it, ``5/28/2024 12:00:00 AM``."""
    return f"{at.month}/{at.day}/{at.year} {at:%I:%M:%S %p}".replace(" 0", " ", 1)


def read_american(text: str) -> datetime | None:
    """Read the filter form ``2016-01-01 00:40:00 AM`` or ``2016-01-01 12:40:00 PM``."""
    for form in ("%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %H:%M:%S %p", "%Y-%m-%d %H:%M:%S"):
        try:
            return datetime.strptime(text.strip(), form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return read_time(text) if "T" in text else None


def etag_text(at: datetime) -> str:
    """Write a vault's etag: in the body only, a quoted date with escaped colons."""
    return f"W/\"datetime'{time_text(at).replace(':', '%3A')}'\""


def ticks(at: datetime) -> int:
    """Count .NET ticks (100 ns since year 1): the ``t`` of a signed polling URL."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 10


def signature(at: datetime, path: str) -> str:
    """Return the ``&t=&c=&s=&h=`` tail of a polling URL: about 3,300 characters since 2024.

    The content is filler; that it is long is what clients stumble over (report §6.9).
    """
    seed = hashlib.sha512(path.encode()).digest()
    filler = base64.urlsafe_b64encode(seed * 40).decode().replace("=", "A")
    return f"&t={ticks(at)}&c=MII{filler[:2700]}&s={filler[9:351]}&h={filler[400:443]}"
