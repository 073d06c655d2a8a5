"""Everything at once: from a seed's timeline to a function, in one process and from the shell."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from simulator import estate as estate_module
from simulator.estate import ROOT, NotInTime, up_running
from tests.host.rig import SAMPLE

pytestmark = pytest.mark.host
S = "11111111-1111-4111-8111-111111111111"
VM = f"/subscriptions/{S}/resourceGroups/rg1/providers/Microsoft.Compute/virtualMachines/vm1"
BODY = {
    "id": VM,
    "location": "westeurope",
    "properties": {
        "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
        "storageProfile": {"osDisk": {"osType": "Linux", "createOption": "FromImage"}},
        "osProfile": {"computerName": "vm1", "adminUsername": "someone"},
    },
}
SEED = {"subscriptions": [{"subscriptionId": S}], "timeline": [{"at": 0, "put": BODY}]}
SETTINGS = {
    "WALK_QUEUE": "walk",
    "TICK": "0 0 0 1 1 *",
    "Other": "UseDevelopmentStorage=true",
}


@pytest.fixture
def _sample_subscribes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estate_module, "FUNCTION", "on_text")


@pytest.mark.usefixtures("_sample_subscribes")
async def test_the_first_second_of_a_timeline_reaches_the_function():
    async with up_running(seed=SEED, app=SAMPLE, speed=30, settings=SETTINGS, workers=2) as estate:
        await estate.wait_until(lambda: estate.invocations("on_text"), 15, "the event")
        [run] = estate.invocations("on_text")
        await estate.wait_until(lambda: run.state == "ok")
        assert estate.failed() == []
        assert estate.get(VM)["name"] == "vm1"
        assert [call["method"] for call in estate.calls() if call["path"] == VM] == ["PUT"]
        assert await estate.queued("seen") == 1
        assert await estate.quiet("seen") is False
        assert await estate.quiet() is True
        async with estate.http.get(f"{estate.control}/_sim/host/invocations") as answer:
            assert [one["function"] for one in await answer.json()] == ["on_text"]
        async with estate.http.get(f"{estate.control}/_sim/host") as answer:
            assert [one["slot"] for one in (await answer.json())["instances"]] == [0, 1]
        async with estate.http.get(f"{estate.control}/_sim/events") as answer:
            assert [one["state"] for one in (await answer.json())["deliveries"]] == ["delivered"]


@pytest.mark.usefixtures("_sample_subscribes")
async def test_a_condition_that_does_not_come_true_says_what_happened():
    async with up_running(seed=SEED, app=SAMPLE, speed=0, settings=SETTINGS) as estate:
        with pytest.raises(NotInTime, match=r"the impossible .*invocations"):
            await estate.wait_until(lambda: False, 0.1, "the impossible")


async def test_no_clock_faster_than_sixty():
    with pytest.raises(ValueError, match="60x"):
        async with up_running(speed=61):
            pass


async def started(
    tmp_path: Path, *more: str, cwd: Path = ROOT
) -> tuple[asyncio.subprocess.Process, Path]:
    (tmp_path / "seed.json").write_text(json.dumps(SEED))
    ready = tmp_path / "ready.json"
    settings = [f"--set={name}={value}" for name, value in SETTINGS.items()]
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulator", "up", "--seed", str(tmp_path / "seed.json"),
        "--ready", str(ready), *settings, *more,
        cwd=cwd, stderr=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return program, ready


async def test_up_writes_where_everything_is_and_stops_cleanly_on_sigterm(tmp_path: Path):
    app = tmp_path / "app"
    app.mkdir()
    (app / "host.json").write_text('{"version": "2.0", "surprise": 1}')
    (app / "function_app.py").write_text(
        "import azure.functions as func\napp = func.FunctionApp()\n"
        "@app.event_grid_trigger(arg_name='event')\n"
        "def on_vm_event(event: str) -> None: ...\n"
    )
    exports = tmp_path / "env"
    program, ready = await started(
        tmp_path, "--app", str(app), "--workers", "2", "--speed", "10", "--env", str(exports)
    )
    ends = time.monotonic() + 30
    while not exports.exists():
        assert time.monotonic() < ends
        assert program.returncode is None, (await program.stderr.read()).decode()
        await asyncio.sleep(0.05)
    told = json.loads(ready.read_text())
    assert {
        "arm", "control", "ca", "tenant", "subscriptions", "identity", "inbox", "smtp", "host",
        "storage",
    } <= set(told)  # fmt: skip
    async with aiohttp.ClientSession() as http:
        url = f"{told['control']}/_sim/host"
        async with http.get(url) as answer:
            pids = [one["pid"] for one in (await answer.json())["instances"]]
    shell = f'. {exports}; echo "$PAGE_URL $AZURE_CLOUD_ARM_ENDPOINT"'
    heard = await asyncio.create_subprocess_exec("sh", "-c", shell, stdout=asyncio.subprocess.PIPE)
    assert (await heard.communicate())[0].decode() == f"{told['host']['url']} {told['arm']}\n"
    program.send_signal(signal.SIGTERM)
    _, errors = await asyncio.wait_for(program.communicate(), 20)
    said = errors.decode().splitlines()
    assert (program.returncode, said[0]) == (0, "simulator: host.json: surprise is unknown")
    assert f". {exports}; python -m ops coverage" in said[-1]
    assert not exports.exists()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_up_says_why_it_cannot_start(tmp_path: Path):
    program, _ = await started(tmp_path, "--app", str(tmp_path))
    _, errors = await asyncio.wait_for(program.communicate(), 30)
    assert (program.returncode, "host.json" in errors.decode()) == (1, True)


async def test_up_refuses_a_setting_without_a_value(tmp_path: Path):
    program, _ = await started(tmp_path, "--set", "NAME")
    _, errors = await asyncio.wait_for(program.communicate(), 30)
    assert (program.returncode, "NAME=VALUE" in errors.decode()) == (2, True)


async def test_up_from_any_folder_says_in_plain_words_why_functions_fail(tmp_path: Path):
    program, _ = await started(tmp_path, "--speed", "30", "--set", "MODE=observ", cwd=tmp_path)
    said = ""
    async with asyncio.timeout(40):
        while "failed" not in said:
            line = (await program.stderr.readline()).decode()
            assert line, said
            said = line
    program.send_signal(signal.SIGTERM)
    rest = (await asyncio.wait_for(program.communicate(), 20))[1].decode()
    assert "MODE is 'observ': must be observe or enforce; did you mean 'observe'?" in said
    assert "did you mean" not in rest  # each reason once
