"""Queue outputs and their quirks (local-host §4)."""

from __future__ import annotations

import base64
import json

import pytest

from simulator.host.fleet import UnstartableApp
from tests.host.rig import SAMPLE, Rig, rig

pytestmark = [pytest.mark.host, pytest.mark.asyncio(loop_scope="module")]


async def emit(host: Rig, route: str, body: str) -> int:
    return (await host.ask("POST", f"/api/{route}", data=body.encode()))[0]


async def test_the_queue_is_made_when_storage_first_says_404(host: Rig):
    assert await host.storage.count("emitted") == 0
    assert await emit(host, "emit", "plain text") == 200
    assert await host.bodies("emitted", 1) == ["plain text"]


async def test_a_text_that_is_a_json_array_becomes_one_message_per_element(host: Rig):
    await emit(host, "emit", '["a", {"b": 1}, 3]')
    assert sorted(await host.bodies("emitted", 3)) == sorted(["a", '{\n  "b": 1\n}', "3"])


async def test_a_text_that_is_a_json_object_is_written_again_indented(host: Rig):
    await emit(host, "emit", '{"b":1}')
    assert await host.bodies("emitted", 1) == ['{\n  "b": 1\n}']


async def test_bytes_pass_untouched(host: Rig):
    await emit(host, "emit_bytes", '[{"b":1}]')
    assert await host.bodies("emitted", 1) == ['[{"b":1}]']


async def test_a_typing_list_of_str_is_one_message_each(host: Rig):
    await emit(host, "emit_list", "a,b")
    assert sorted(await host.bodies("emitted", 2)) == ["a", "b"]


async def test_messages_are_base64_in_storage(host: Rig):
    await emit(host, "emit_bytes", "héllo")
    await host.until(lambda: host.runs("emit_bytes", state="ok"))
    [text] = await host.raw_messages("emitted")
    assert base64.b64decode(text, validate=True).decode() == "héllo"


async def test_an_output_that_fails_makes_the_invocation_fail(host: Rig):
    assert await emit(host, "emit_badly", "x") == 500
    [run] = host.runs("emit_badly")
    assert (run.state, "output out" in run.error) == ("failed", True)


async def test_returning_a_value_without_a_return_binding_fails_the_invocation(host: Rig):
    await host.send("chatty", "x")
    await host.until(lambda: len(host.runs("chatty", state="failed")) == 1)
    assert "$return" in host.runs("chatty")[0].error


async def test_an_output_into_a_triggered_queue_runs_its_function(host: Rig):
    await emit(host, "emit_work", "from another function")
    [told] = await host.seen("text_work")
    assert told["body"] == "from another function"


async def test_a_lower_case_list_annotation_takes_the_whole_app_down(tmp_path):
    (tmp_path / "host.json").write_text((SAMPLE / "host.json").read_text())
    (tmp_path / "function_app.py").write_text(
        "import azure.functions as func\n"
        "app = func.FunctionApp()\n"
        "@app.route(route='x')\n"
        "@app.queue_output(arg_name='out', queue_name='qqq', connection='AzureWebJobsStorage')\n"
        "def bad(req: func.HttpRequest, out: func.Out[list[str]]) -> str:\n"
        "    return ''\n"
    )
    with pytest.raises(UnstartableApp, match="bad"):
        async with rig(app=tmp_path):
            pass


@pytest.mark.parametrize(
    "source,said",
    [
        pytest.param("import nothing_like_it", "nothing_like_it", id="import error"),
        pytest.param("x = 1", "app instances", id="no app"),
        pytest.param(
            "import azure.functions as func\napp = func.FunctionApp()\n"
            "@app.blob_trigger(arg_name='b', path='c/x', connection='AzureWebJobsStorage')\n"
            "def blobs(b: func.InputStream): ...",
            "blobs: blobTrigger is not hosted here",
            id="a trigger that is not hosted",
        ),
        pytest.param(
            "import azure.functions as func\napp = func.FunctionApp()\n"
            "@app.timer_trigger(arg_name='t', schedule='00:00:10')\n"
            "def often(t: func.TimerRequest): ...",
            "NCRONTAB",
            id="a time span for a schedule",
        ),
        pytest.param(
            "import azure.functions as func\napp = func.FunctionApp()\n"
            "@app.queue_trigger(arg_name='m', queue_name='%GONE%', connection='Gone')\n"
            "def lost(m: func.QueueMessage): ...",
            "GONE",
            id="a setting that is not there",
        ),
    ],
)
async def test_an_app_that_cannot_be_loaded_says_why(tmp_path, source: str, said: str):
    (tmp_path / "host.json").write_text(json.dumps({"version": "2.0"}))
    (tmp_path / "function_app.py").write_text(source)
    with pytest.raises(UnstartableApp, match=said):
        async with rig(app=tmp_path):
            pass
