"""The bench of the cold start runs, from `python -m bench` down to a PUT that Azure accepts."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from bench import coldstart
from packaging_tools.contents import ROOT

GROUP = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/g"
_FIRST_EVENT = """
import asyncio, sys
from shared import bootstrap
assert asyncio.run(bootstrap.take_event(sys.argv[1], ""))
late = ("azure", "aiohttp", "opentelemetry", "ruamel", "jinja2", "requests")
print([name for name in sys.modules if name.split(".")[0] in late])
"""


_FIRST_PAGE = """
import asyncio, sys
from shared import bootstrap
from shared.web import pages
asyncio.run(bootstrap._desk())
late = ("azure.storage", "azure.identity", "azure.mgmt", "ruamel", "jwt", "aiohttp")
print([name for name in sys.modules if name.startswith(late)])
"""
SETTINGS = {
    "TENANT_ID": "00000000-0000-4000-8000-000000000000",
    "RULES_URI": "rules.yaml",
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
}


def last_line(program: str, *given: str) -> str:
    """Run a program as the app, in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", program, *given],
        cwd=ROOT, env={**os.environ, **SETTINGS}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()[-1]


def test_the_first_event_becomes_a_message_without_any_sdk():
    vm = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/v"
    event = {
        "id": "e-1",
        "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "subject": vm,
        "data": {"resourceUri": vm, "operationName": "Microsoft.Compute/virtualMachines/write"},
    }

    assert last_line(_FIRST_EVENT, json.dumps(event)) == "[]"


def test_a_page_needs_tables_and_no_other_sdk_and_no_parser():
    assert last_line(_FIRST_PAGE) == "[]"  # aiohttp comes with the first table


async def test_the_package_gets_to_its_first_put():
    names = (coldstart.BARE, coldstart.BYTECODE)
    found = await coldstart.run(runs=1, names=names)
    _, *lines = coldstart.rows(found)
    indexed, event, put = (
        found["apps"][coldstart.BYTECODE][moment][0] for moment in coldstart.MOMENTS
    )

    assert [line[0] for line in lines] == [*names]
    assert indexed < event < put


def test_a_bench_that_does_not_exist_is_refused_with_the_names_of_those_that_do():
    run = subprocess.run(
        [sys.executable, "-m", "bench", "nosuch"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert run.returncode == 2
    assert "coldstart" in run.stderr
