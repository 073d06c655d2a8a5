"""Charts as coordinates; the templates draw them as SVG. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.sheets import Day, JobSheet
from shared.web.view import Slice, percent

DAYS = 90
WIDTH, HEIGHT = 720.0, 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One rectangle with what it says."""

    key: str
    label: str
    x: float
    y: float
    width: float
    height: float


def stacked(slices: Sequence[Slice]) -> tuple[Bar, ...]:
    """Lay standings side by side; the least of them stays visible."""
    total = sum(one.count for one in slices)
    bars: list[Bar] = []
    x = 0.0
    for one in slices:
        width = max(WIDTH * one.count / total, 2.0) if total else 0.0
        label = f"{one.key}: {one.count:,} ({percent(one.count, total)})"
        bars.append(Bar(key=one.key, label=label, x=x, y=0.0, width=width, height=28.0))
        x += width
    squeeze = WIDTH / x if x > WIDTH else 1.0
    return tuple(
        Bar(
            key=bar.key,
            label=bar.label,
            x=round(bar.x * squeeze, 1),
            y=bar.y,
            width=round(bar.width * squeeze, 1),
            height=bar.height,
        )
        for bar in bars
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A line of the share protected, day by day."""

    points: str
    days: tuple[Day, ...]

    @property
    def label(self) -> str:
        first, last = self.days[0], self.days[-1]
        return (
            f"Protected with proof: {percent(first.protected, first.of)} on {first.day}, "
            f"{percent(last.protected, last.of)} on {last.day}"
        )


def trend(days: Sequence[Day]) -> Trend | None:
    """Draw the last days; None with fewer than two."""
    shown = tuple(days[-DAYS:])
    if len(shown) < 2:
        return None
    step = WIDTH / (len(shown) - 1)
    points = [
        f"{number * step:.1f},{HEIGHT * (1 - (day.protected / day.of if day.of else 0)):.1f}"
        for number, day in enumerate(shown)
    ]
    return Trend(points=" ".join(points), days=shown)


_FAILED = "Failed"
_WELL = frozenset({"Completed", "CompletedWithWarnings"})


def job_class(status: str) -> str:
    """Give one of three words for the many that Azure has."""
    if status in _WELL:
        return "done"
    return "failed" if status == _FAILED else "other"


def hours(sheet: JobSheet, now: datetime) -> tuple[Bar, ...]:
    """Draw the jobs of the last 24 h, a column per hour: done at the bottom, failed on top."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: {"done": 0, "other": 0, "failed": 0})
    for hour, _, status, count in sheet.counts:
        counts[hour][job_class(status)] += count
    names = [f"{now - timedelta(hours=back):%Y-%m-%dT%H}" for back in range(23, -1, -1)]
    most = max((sum(counts[name].values()) for name in names), default=0)
    bars: list[Bar] = []
    for number, name in enumerate(names):
        y = HEIGHT
        for key, count in counts[name].items():
            if count:
                height = HEIGHT * count / most
                y -= height
                bars.append(
                    Bar(
                        key=key,
                        label=f"{name[-2:]}:00 UTC, {key}: {count:,}",
                        x=number * WIDTH / 24 + 2,
                        y=round(y, 1),
                        width=WIDTH / 24 - 4,
                        height=round(height, 1),
                    )
                )
    return tuple(bars)
