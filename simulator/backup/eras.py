"""What the service looked like in the years it was recorded in.

The recordings show one service changing over time, not one that answers by api-version (report
§0.4, §3.2). The knob ``backup.era`` picks the year; the default is the newest one with evidence.
Only shapes, headers and texts differ between eras, never what an operation means.
"""

from enum import IntEnum

JSON_PLAIN = "application/json"
JSON_UTF8 = "application/json; charset=utf-8"


class Era(IntEnum):
    """Compare with ``>=``: "since" a year. Y2022 is what was recorded in January 2023."""

    Y2019 = 2019
    Y2021 = 2021
    Y2022 = 2022
    Y2023 = 2023
    Y2024 = 2024
    Y2025 = 2025

    @property
    def content_type(self) -> str:
        return JSON_UTF8 if self >= Era.Y2022 else JSON_PLAIN

    @property
    def signed_urls(self) -> bool:
        """Polling URLs end in ``t``, ``c``, ``s`` and ``h`` since 2024."""
        return self >= Era.Y2024

    @property
    def vault_create_waits(self) -> bool:
        return self >= Era.Y2022

    @property
    def vault_delete_waits(self) -> bool:
        return self >= Era.Y2024
