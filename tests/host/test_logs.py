"""What becomes of an app's log lines: relayed by the worker, unless it exports them itself."""

from __future__ import annotations

import pytest

from tests.host.rig import rig

pytestmark = pytest.mark.host


async def test_a_line_is_relayed_once_with_the_invocation_it_belongs_to():
    async with rig() as host:
        await host.ask("GET", "/api/logs?word=hello")
        lines = [one for one in host.fleet.logs if one.logger == "sample"]
        [run] = host.runs("logs")
        assert [(one.text, one.level, one.invocation) for one in lines] == [
            ("sample.line hello", "INFO", run.id)
        ]


async def test_a_worker_that_exports_by_opentelemetry_is_not_relayed():
    async with rig(settings={"PYTHON_ENABLE_OPENTELEMETRY": "true"}) as host:
        assert (await host.ask("GET", "/api/logs?word=hello"))[0] == 200
        assert [one for one in host.fleet.logs if one.logger == "sample"] == []
