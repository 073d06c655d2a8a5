"""Budgets as data: what Azure was seen or said to allow, in three profiles (facts §4.2-4.5).

``doc``: the published token buckets, with the backup budgets of 2024; ``seen-2025``: the newest
sighting; ``legacy``: the hourly scheme of 2019-2023. No number here is a promise of Azure's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A token bucket: how many at once, how many come back per simulated second."""

    capacity: float
    refill: float


def per_minute(refill: float, capacity: float) -> Rate:
    return Rate(capacity=capacity, refill=refill / 60)


def hourly(limit: float) -> Rate:
    return Rate(capacity=limit, refill=limit / HOUR)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeRate:
    """One policy of the Compute provider; the names are those of its rate-limit header."""

    subscription_name: str
    subscription: Rate
    resource_name: str = ""
    resource: Rate | None = None
    resource_first: bool = False
    #: a second window over the same requests, as until 2023
    longer_name: str = ""
    longer: Rate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """All budgets of one profile.

    ``backup_actions`` overrides ``backup_reads`` for an action (lower case); both are requests
    per hour for one (subscription, action). ``graph`` is queries per window of five seconds.
    """

    name: str
    arm: Mapping[str, Rate]
    arm_global: Mapping[str, Rate]
    backup_reads: int
    backup_actions: Mapping[str, int]
    compute: Mapping[str, ComputeRate]
    graph: int = 15
    graph_window: float = 5.0
    throttling_version: bool = False
    #: whether the backup provider counts reads and changes of vaults itself, and shows it
    counts_reads: bool = True
    counts_jobs: bool = True
    counts_vaults: bool = True
    counts_deletes: bool = True


_RSV = "microsoft.recoveryservices/vaults/"

_COMPUTE_2024 = MappingProxyType(
    {
        "get": ComputeRate(
            subscription_name="LowCostGetSubscriptionMaximum",
            subscription=per_minute(8_000, 24_000),
            resource_name="LowCostGetResource",
            resource=per_minute(12, 36),
        ),
        "list": ComputeRate(
            subscription_name="HighCostGetSubscriptionMaximum", subscription=per_minute(300, 900)
        ),
        "put": ComputeRate(
            subscription_name="PutVMSubscriptionMaximum",
            subscription=per_minute(500, 1_500),
            resource_name="PutVMResource",
            resource=per_minute(4, 12),
        ),
        "patch": ComputeRate(
            subscription_name="UpdateVMSubscriptionMaximum",
            subscription=per_minute(500, 1_500),
            resource_name="UpdateVMResource",
            resource=per_minute(4, 12),
        ),
        "delete": ComputeRate(
            subscription_name="DeleteVMSubscriptionMaximum",
            subscription=per_minute(500, 1_500),
            resource_name="DeleteVMResource",
            resource=per_minute(4, 12),
        ),
        "operation": ComputeRate(
            subscription_name="GetOperationSubscriptionMaximum",
            subscription=per_minute(5_000, 15_000),
            resource_name="GetOperationResource",
            resource=per_minute(15, 45),
            resource_first=True,
        ),
    }
)


def _older(name: str, three_minutes: float, half_hour: float) -> ComputeRate:
    """Until 2023 two windows, of 3 and of 30 minutes, and none per VM."""
    return ComputeRate(
        subscription_name=name + "3Min",
        subscription=Rate(capacity=three_minutes, refill=three_minutes / 180),
        longer_name=name + "30Min",
        longer=Rate(capacity=half_hour, refill=half_hour / 1800),
    )


_COMPUTE_LEGACY = MappingProxyType(
    {
        "get": _older("LowCostGet", 4_000, 32_000),
        "list": _older("HighCostGet", 200, 900),
        "put": _older("PutVM", 240, 1_200),
        "patch": _older("UpdateVM", 240, 1_200),
        "delete": _older("DeleteVM", 240, 1_200),
        "operation": _older("GetOperation", 15_000, 150_000),
    }
)

DOC = Profile(
    name="doc",
    arm={
        "reads": Rate(capacity=250, refill=25),
        "writes": Rate(capacity=200, refill=10),
        "deletes": Rate(capacity=200, refill=10),
    },
    arm_global={
        "reads": Rate(capacity=3_750, refill=375),
        "writes": Rate(capacity=3_000, refill=150),
        "deletes": Rate(capacity=3_000, refill=150),
    },
    backup_reads=300,
    backup_actions={_RSV + "backupjobs/read": 450, _RSV + "write": 300, _RSV + "delete": 50},
    compute=_COMPUTE_2024,
)

SEEN_2025 = Profile(
    name="seen-2025",
    arm={
        "reads": Rate(capacity=1_100, refill=25),
        "writes": Rate(capacity=800, refill=10),
        "deletes": Rate(capacity=800, refill=10),
    },
    arm_global={
        "reads": Rate(capacity=16_500, refill=375),
        "writes": Rate(capacity=12_000, refill=150),
        "deletes": Rate(capacity=12_000, refill=150),
    },
    backup_reads=1_100,
    backup_actions={_RSV + "backupjobs/read": 250, _RSV + "write": 250, _RSV + "delete": 10},
    compute=_COMPUTE_2024,
    throttling_version=True,
)

LEGACY = Profile(
    name="legacy",
    arm={"reads": hourly(12_000), "writes": hourly(1_200), "deletes": hourly(15_000)},
    arm_global={},
    backup_reads=150,
    backup_actions={_RSV + "write": 200, _RSV + "delete": 10},
    compute=_COMPUTE_LEGACY,
)

#: Until 2019 nothing showed a count of the backup provider's own, then vault writes did, then jobs.
SILENT = replace(LEGACY, name="2018", counts_reads=False, counts_jobs=False, counts_vaults=False)
VAULTS_ONLY = replace(
    LEGACY, name="2019", counts_reads=False, counts_jobs=False, counts_deletes=False
)
JOBS_TOO = replace(LEGACY, name="2020", counts_reads=False)

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {profile.name: profile for profile in (DOC, SEEN_2025, LEGACY, JOBS_TOO, VAULTS_ONLY, SILENT)}
)
