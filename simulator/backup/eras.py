"""What the service looked like in the years it was recorded in.

The recordings show one service changing over time, not one that answers by api-version (report
§0.4, §3.2). The knob ``backup.era`` picks the year; the default is the newest one with evidence.
Only shapes, headers and texts differ between eras, never what an operation means.
"""

from datetime import date
from enum import IntEnum

JSON_PLAIN = "application/json"
JSON_UTF8 = "application/json; charset=utf-8"


class Era(IntEnum):
    """Year and month since which the service was seen like this; compare with ``>=``.

    ``Y2022`` is what was recorded in January 2023.
    """

    Y2018 = 201803
    Y2019 = 201904
    M2019_08 = 201908
    Y2021 = 202011
    M2021_06 = 202106
    M2022_08 = 202208
    M2022_11 = 202211
    Y2022 = 202301
    Y2023 = 202304
    Y2024 = 202401
    Y2025 = 202501

    @classmethod
    def named(cls, text: str) -> "Era":
        """Return an era by the name the knob takes: a year, or ``2021-06``."""
        return cls["M" + text.replace("-", "_") if "-" in text else "Y" + text]

    @classmethod
    def of(cls, day: date) -> "Era":
        """Return what the service looked like on a day."""
        month = day.year * 100 + day.month
        return max((era for era in cls if era <= month), default=cls.Y2018)

    @property
    def knob(self) -> str:
        """The name the knob takes for it."""
        return self.name[1:].replace("_", "-")

    @property
    def content_type(self) -> str:
        return JSON_UTF8 if self >= Era.Y2022 else JSON_PLAIN

    @property
    def signed_urls(self) -> bool:
        """Polling URLs end in ``t``, ``c``, ``s`` and ``h`` since 2024."""
        return self >= Era.Y2024

    @property
    def vault_create_waits(self) -> bool:
        return self >= Era.M2022_08

    @property
    def vault_delete_waits(self) -> bool:
        return self >= Era.Y2024
