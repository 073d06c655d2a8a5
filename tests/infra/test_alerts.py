"""Each alert is seen firing, and silent when all is well; the metrics come out of the product."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from shared import intake, telemetry
from shared.adapters.governor import Drawn, Governor
from shared.errors import BadMessage
from tests.infra.bicep import INFRA
from tests.infra.kusto import Metric, run

ALERTS = {
    one["name"]: one for one in json.loads((INFRA / "alerts.json").read_text(encoding="utf-8"))
}
HOUR = 3600.0


def fires(name: str, *metrics: Metric) -> bool:
    """Say whether an alert's rule, query and threshold, fires on these metrics."""
    alert = ALERTS[name]
    (row,) = run(alert["query"], metrics)
    value = row["value"]
    assert isinstance(value, (int, float)), "a rule that measures null never fires"
    if alert["operator"] == "LessThan":
        return value < alert["threshold"]
    return value > alert["threshold"]


def settled(code: str, amount: float) -> Metric:
    return Metric(name="enrollment.settled", amount=amount, labels={"code": code, "kind": "enroll"})


def standing(of: str, amount: float, age: float = 60.0) -> Metric:
    return Metric(name="enrollment.vms", amount=amount, age=age, labels={"standing": of})


def lag(seconds: float, cause: str = "event") -> Metric:
    return Metric(name="enrollment.lag", amount=seconds, labels={"cause": cause})


SWEEP, EVENT = Metric(name="enrollment.sweeps"), Metric(name="enrollment.events")
NEW = Metric(name="enrollment.swept_new", amount=3)
PARKED = Metric(name="enrollment.parked", labels={"source": "event", "reason": "bad-id"})
UNTOLD = Metric(name="enrollment.notices_parked")
CASES = [
    pytest.param("no-sweep", [], True, id="no sweep, no telemetry at all"),
    pytest.param("no-sweep", [Metric(name="enrollment.sweeps", age=2 * HOUR)], True, id="no sweep for two hours"),
    pytest.param("no-sweep", [SWEEP], False, id="a sweep a minute ago"),
    pytest.param("no-events", [NEW], True, id="new VMs found, no event"),
    pytest.param("no-events", [NEW, EVENT], False, id="new VMs found and events came"),
    pytest.param("no-events", [], False, id="a quiet day"),
    pytest.param("no-events", [NEW, Metric(name="enrollment.events", age=30 * HOUR)], True, id="events only yesterday"),
    pytest.param("messages-parked", [PARKED], True, id="a message parked"),
    pytest.param("messages-parked", [SWEEP], False, id="none parked"),
    pytest.param("notices-parked", [UNTOLD], True, id="a notice parked"),
    pytest.param("notices-parked", [PARKED], False, id="no notice parked"),
    pytest.param("event-lag", [lag(20), lag(1000)], True, id="an event waited too long"),
    pytest.param("event-lag", [lag(20), lag(90000, "release")], False, id="a long wait that ended is no lag"),
    pytest.param("event-lag", [], False, id="no event, no lag"),
    pytest.param("vms-stuck", [standing("stuck", 2), standing("protected", 90)], True, id="stuck VMs"),
    pytest.param("vms-stuck", [standing("unknown", 1)], True, id="unknown VMs"),
    pytest.param("vms-stuck", [standing("stuck", 2, age=600), standing("stuck", 0)], False, id="stuck no more"),
    pytest.param("vms-stuck", [], False, id="nothing counted"),
    pytest.param("enables-failing", [settled("VaultFull", 9), settled("ok", 3)], True, id="most fail"),
    pytest.param("enables-failing", [settled("VaultFull", 9), settled("ok", 30)], False, id="few fail"),
    pytest.param("enables-failing", [settled("VaultFull", 3)], False, id="too few to say"),
    pytest.param("enables-failing", [], False, id="none settled"),
    pytest.param("throttled", [Metric(name="enrollment.throttled", amount=60)], True, id="throttled"),
    pytest.param("throttled", [Metric(name="enrollment.throttled", amount=20)], False, id="throttled a little"),
]  # fmt: skip


@pytest.mark.parametrize("name, metrics, expected", CASES)
def test_an_alert_fires_when_it_should(name, metrics, expected):
    assert fires(name, *metrics) is expected


def test_every_alert_is_seen_firing_and_silent():
    seen = {(case.values[0], case.values[2]) for case in CASES}

    assert seen == {(name, fired) for name in ALERTS for fired in (True, False)}


# --- the product's own metrics -------------------------------------------------------------------


@pytest.fixture
def exported(monkeypatch):
    """Collect what the product measures, as an exporter would see it."""
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    monkeypatch.setattr(telemetry._Providers, "meter", provider.get_meter("test"))
    monkeypatch.setattr(telemetry._Providers, "instruments", {})

    def collect() -> list[Metric]:
        found = reader.get_metrics_data()
        return [
            Metric(
                name=metric.name,
                amount=getattr(point, "value", None) or getattr(point, "max", 0.0),
                labels={str(key): str(value) for key, value in point.attributes.items()},
            )
            for resource in (found.resource_metrics if found else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]

    yield collect
    provider.shutdown()


class _Shelf:
    async def park(self, parked) -> None: ...


async def test_a_parked_event_fires_its_alert(exported):
    now = datetime(2026, 3, 2, tzinfo=UTC)

    await intake.park(_Shelf(), "event", "{}", BadMessage("no-data"), now, "")

    assert fires("messages-parked", *exported())


async def test_refusals_of_azure_fire_their_alert(exported):
    from tests.contract.stages import SUB
    from tests.fakes.azure import FakeAzure

    governor = Governor(_settings(), FakeAzure().clock)
    drawn = Drawn(subscription=SUB, action="read", kind="reads")
    for _ in range(51):
        governor.refused(drawn, "TooManyRequests", "", 1.0)

    assert fires("throttled", *exported())


def _settings():
    from shared.settings import read

    return read(
        {
            "TENANT_ID": "00000000-0000-4000-8000-000000000000",
            "RULES_URI": "rules.yaml",
            "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        }
    )
