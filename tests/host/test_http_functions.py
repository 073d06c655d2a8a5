"""HTTP triggers: what a function sees, what an answer becomes, keys, routes (local-host §4)."""

from __future__ import annotations

import json

import pytest

from simulator.host.routes import RouteTemplate, UnusableRoute
from tests.host.rig import Rig

pytestmark = [pytest.mark.host, pytest.mark.asyncio(loop_scope="module")]


async def test_header_names_are_lower_case_and_empty_query_values_are_dropped(host: Rig):
    status, text = await host.ask(
        "GET", "/api/hello/ann?a=1&b=&c=x%20y", headers={"X-Mixed-Case": "V", **host.key()}
    )
    seen = json.loads(text)
    assert status == 200
    assert seen["headers"]["x-mixed-case"] == "V"
    assert seen["query"] == {"a": "1", "c": "x y"}
    assert seen["route"] == {"name": "ann"}
    assert seen["url"].endswith("/api/hello/ann?a=1&b=&c=x%20y")


async def test_a_body_with_a_length_arrives_as_bytes(host: Rig):
    status, text = await host.ask("POST", "/api/hello", data="héllo", headers=host.key())
    assert (status, json.loads(text)["body"]) == (201, "héllo")


async def test_a_chunked_body_does_not_arrive(host: Rig):
    async def chunks():
        yield b"one"
        yield b"two"

    _, text = await host.ask("POST", "/api/hello", data=chunks(), headers=host.key())
    assert json.loads(text)["body"] == ""


async def test_cookies_and_content_type_come_back(host: Rig):
    async with host.http.get(host.fleet.url + "/api/hello", headers=host.key()) as answer:
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers.getall("set-cookie") == ["a=1; Path=/", "b=2; HttpOnly"]


async def test_a_string_is_a_text_answer(host: Rig):
    async with host.http.get(host.fleet.url + "/api/things/7") as answer:
        assert (answer.status, await answer.text()) == (200, "thing 7")
        assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("what", ["none", "dict"])
async def test_returning_none_or_a_dict_is_a_500(host: Rig, what: str):
    before = len(host.runs("returns", state="failed"))
    status, _ = await host.ask("GET", f"/api/returns/{what}")
    assert status == 500
    await host.until(lambda: len(host.runs("returns", state="failed")) == before + 1)


@pytest.mark.parametrize(
    "method,path,status",
    [
        pytest.param("GET", "/api/things/seven", 404, id="constraint not met"),
        pytest.param("DELETE", "/api/hello", 404, id="wrong method"),
        pytest.param("GET", "/api/nothing", 404, id="no such route"),
        pytest.param("GET", "/things/7", 404, id="outside the prefix"),
        pytest.param("GET", "/API/Things/7", 200, id="any case"),
    ],
)
async def test_routes(host: Rig, method: str, path: str, status: int):
    assert (await host.ask(method, path))[0] == status


@pytest.mark.parametrize(
    "path,header,query,status",
    [
        pytest.param("/api/hello", "", "", 401, id="none"),
        pytest.param("/api/hello", "wrong", "", 401, id="wrong"),
        pytest.param("/api/hello", "host", "", 200, id="host key in the header"),
        pytest.param("/api/hello", "", "host", 200, id="host key in the query"),
        pytest.param("/api/hello", "wrong", "host", 401, id="the header wins over the query"),
        pytest.param("/api/hello", "master", "", 200, id="the master key passes everything"),
        pytest.param("/api/hello", "eventgrid", "", 401, id="a system key passes no function"),
        pytest.param("/api/admin_only", "host", "", 401, id="a host key is not an admin's"),
        pytest.param("/api/admin_only", "master", "", 200, id="the master key is"),
        pytest.param("/api/things/1", "", "", 200, id="anonymous"),
        pytest.param("/admin/host/status", "host", "", 401, id="admin API without master"),
        pytest.param("/admin/host/status", "master", "", 200, id="admin API"),
    ],
)
async def test_keys(host: Rig, path: str, header: str, query: str, status: int):
    known = {
        "host": host.keys.host,
        "master": host.keys.master,
        "eventgrid": host.keys.system["eventgrid_extension"],
    }
    headers = {"x-functions-key": known.get(header, header)} if header else {}
    params = {"code": known[query]} if query else {}
    assert (await host.ask("GET", path, headers=headers, params=params))[0] == status


async def test_an_http_run_continues_the_callers_trace_in_a_span_of_its_own(host: Rig):
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    _, text = await host.ask(
        "GET", "/api/hello", headers={"traceparent": f"00-{trace}-{span}-01", **host.key()}
    )
    _, seen_trace, seen_span, flags = json.loads(text)["traceparent"].split("-")
    assert (seen_trace, flags) == (trace, "01")
    assert seen_span != span


async def test_an_admin_post_starts_a_function_that_is_not_http(host: Rig):
    master = {"x-functions-key": host.keys.master}
    path = "/admin/functions/nightly"
    assert (await host.ask("POST", path, json={"input": ""}, headers=host.key()))[0] == 401
    before = len(host.runs("nightly"))
    assert (await host.ask("POST", path, json={"input": ""}, headers=master))[0] == 202
    await host.until(lambda: len(host.runs("nightly")) > before)
    assert host.runs("nightly")[-1].cause == "admin"
    assert (await host.ask("POST", "/admin/functions/none", headers=master))[0] == 404


@pytest.mark.parametrize(
    "template,path,params",
    [
        pytest.param("a/{x}", "a/b", {"x": "b"}, id="parameter"),
        pytest.param("a/{x?}", "a", {}, id="optional"),
        pytest.param("a/{*rest}", "a/b/c%2Fd", {"rest": "b/c/d"}, id="catch-all"),
        pytest.param("a/{x:guid}", "a/3f2504e0-4f89-11d3-9a0c-0305e82c3301", ..., id="guid"),
        pytest.param("a/{x:guid}", "a/zzz", None, id="no guid"),
        pytest.param("a/{x:length(2,3)}", "a/abcd", None, id="too long"),
        pytest.param("a/{x:range(1,5)}", "a/5", {"x": "5"}, id="in range"),
        pytest.param("a/{x:range(1,5)}", "a/6", None, id="out of range"),
        pytest.param("a/{x:int:min(3)}", "a/2", None, id="two constraints"),
        pytest.param("a/{x:regex(^v[0-9]+$)}", "a/v12", {"x": "v12"}, id="regex"),
        pytest.param("a/b", "a/b/c", None, id="too much path"),
    ],
)
async def test_route_templates(template: str, path: str, params: dict[str, str] | None):
    found = RouteTemplate.parse(template).match(path)
    assert found is not None if params is ... else found == params


@pytest.mark.parametrize("template", ["a/{x:datetime}", "a/{x}-{y}", "a/{x=1}"])
async def test_a_route_that_is_not_imitated_is_refused_by_name(template: str):
    with pytest.raises(UnusableRoute, match="not imitated"):
        RouteTemplate.parse(template)
