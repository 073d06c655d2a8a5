"""What is measured beside the clock: percentiles, CPU and memory of processes, the machine."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from math import ceil
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def percentile(values: Sequence[float], share: float) -> float:
    """Give the smallest value that so large a share does not exceed; 0 of nothing."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """CPU seconds of all processes together, and the largest peak of memory of one."""

    cpu: float
    peak_mb: float


class Usage:
    """Counts what processes use from now on, as Linux tells it."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = tuple(pids)
        self._before = sum(map(_cpu, self._pids))

    def taken(self) -> Used:
        return Used(
            cpu=sum(map(_cpu, self._pids)) - self._before,
            peak_mb=max((_status(pid, "VmHWM") for pid in self._pids), default=0.0),
        )


class Children:
    """What a process and all it starts use, looked at now and then: CPU seconds, peak memory."""

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self._cpu: dict[int, float] = {}
        self.peak_mb = 0.0

    @property
    def cpu(self) -> float:
        return sum(self._cpu.values())

    def look(self) -> None:
        memory = 0.0
        for pid in self._session():
            self._cpu[pid] = max(self._cpu.get(pid, 0.0), _cpu(pid))
            memory += _status(pid, "VmRSS")
        self.peak_mb = max(self.peak_mb, memory)

    def end(self) -> None:
        """Stop all that still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._leader, signal.SIGKILL)

    def _session(self) -> Iterator[int]:
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    if os.getsid(int(entry.name)) == self._leader:
                        yield int(entry.name)


def resident_mb(pid: int | None = None) -> float:
    """Give the resident memory of a process now."""
    return _status(pid or os.getpid(), "VmRSS")


def machine() -> dict[str, str]:
    """Name what the figures were measured on, without naming the machine itself."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    names = ("azure-core", "azure-data-tables", "azure-mgmt-recoveryservicesbackup", "aiohttp")
    return {
        "cpu": f"{os.cpu_count()} x {model}",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        **{name: version(name) for name in names},
    }


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICK


def _status(pid: int, name: str) -> float:
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    line = next((one for one in text.splitlines() if one.startswith(name)), "x 0 kB")
    return int(line.split()[1]) / 1024
