"""Settings as the host reads them, and storage reached with an identity."""

from __future__ import annotations

import base64
import json
import ssl
import time
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from simulator.azurite import Azurite, Certificate
from simulator.host.connections import (
    EMULATOR_ACCOUNT,
    Identity,
    UnusableSetting,
    connection,
    expand,
    is_disabled,
)
from simulator.host.storage import Storage, StorageFault
from simulator.tls import create_authority

pytestmark = pytest.mark.host
MSI = {"IDENTITY_ENDPOINT": "http://127.0.0.1:1/msi", "IDENTITY_HEADER": "h"}


def test_percent_names_are_settings_and_must_be_there():
    assert expand("a-%X%-%Y%", {"X": "1", "Y": "2"}) == "a-1-2"
    with pytest.raises(UnusableSetting, match="no setting Z"):
        expand("%Z%", {})


@pytest.mark.parametrize(
    "settings,account",
    [
        pytest.param({"Orders": "AccountName=one;AccountKey=a2V5"}, "one", id="the name itself"),
        pytest.param(
            {
                "Orders": "AccountName=one;AccountKey=a2V5",
                "AzureWebJobsOrders": "AccountName=two;AccountKey=a2V5",
            },
            "one",
            id="the exact name wins",
        ),
        pytest.param(
            {"AzureWebJobsOrders": "AccountName=two;AccountKey=a2V5"}, "two", id="prefixed"
        ),
        pytest.param({"Orders": "UseDevelopmentStorage=true"}, EMULATOR_ACCOUNT, id="emulator"),
        pytest.param(
            {"Orders__queueServiceUri": "https://x.queue/three", **MSI}, "three", id="identity"
        ),
        pytest.param({"Orders__accountName": "four", **MSI}, "four", id="identity by account"),
    ],
)
def test_a_connection_is_found_by_name(settings: dict[str, str], account: str):
    assert connection("Orders", settings).account == account


def test_an_identity_connection_names_its_client():
    settings = {"X__serviceUri": "https://a/q", "X__clientId": "c", **MSI}
    found = connection("X", settings)
    assert found.credential == Identity(
        endpoint=MSI["IDENTITY_ENDPOINT"], header="h", client_id="c"
    )


@pytest.mark.parametrize(
    "settings,said",
    [
        pytest.param({}, "neither", id="nothing"),
        pytest.param({"X": "AccountName=a"}, "AccountKey", id="no key"),
        pytest.param({"X__queueServiceUri": "https://a"}, "identity", id="no identity"),
        pytest.param(
            {"X__queueServiceUri": "https://a", "X__credential": "secret", **MSI},
            "not hosted",
            id="another credential",
        ),
    ],
)
def test_a_connection_that_cannot_be_used_says_why(settings: dict[str, str], said: str):
    with pytest.raises(UnusableSetting, match=said):
        connection("X", settings)


@pytest.mark.parametrize("value,off", [("true", True), ("1", True), ("false", False), ("", False)])
def test_a_function_is_switched_off_by_a_setting(value: str, off: bool):
    assert is_disabled("Sweep", {"AzureWebJobs.sweep.Disabled": value}) is off
    assert not is_disabled("other", {"AzureWebJobs.sweep.Disabled": value})


async def test_storage_is_reached_with_a_managed_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The emulator checks audience, issuer and life of the token, over TLS."""
    asked: list[dict[str, str]] = []

    async def token(request: web.Request) -> web.Response:
        asked.append({**request.query, "header": request.headers["X-IDENTITY-HEADER"]})
        return web.json_response(
            {"access_token": jwt(request.query["resource"]), "expires_on": str(time.time() + 3600)}
        )

    app = web.Application()
    app.router.add_get("/msi", token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    authority = create_authority(tmp_path)
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    tls = Certificate(certificate=tmp_path / "leaf.pem", key=tmp_path / "leaf.key")
    try:
        async with (
            Azurite(tls) as azurite,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        ):
            settings = {
                "AzureWebJobsStorage__queueServiceUri": azurite.url("queue"),
                "AzureWebJobsStorage__blobServiceUri": azurite.url("blob"),
                "IDENTITY_ENDPOINT": f"http://127.0.0.1:{runner.addresses[0][1]}/msi",
                "IDENTITY_HEADER": "secret",
            }
            storage = Storage(connection("", settings), session)
            await storage.create_queue("queue")
            await storage.put("queue", "text & <more>", hidden=0)
            [message] = await storage.receive("queue", 1, 30)
            assert message.text == "text & <more>"
            receipt = await storage.hide("queue", message.message_id, message.receipt, 0)
            with pytest.raises(StorageFault) as stale:
                await storage.delete("queue", message.message_id, message.receipt)
            assert (stale.value.status, stale.value.code) == (400, "PopReceiptMismatch")
            await storage.delete("queue", message.message_id, receipt)
            await storage.write_blob("container", "a/b", b"content")
            assert await storage.read_blob("container", "a/b") == b"content"
            assert await storage.read_blob("container", "nothing") is None
        assert asked == [
            {
                "api-version": "2019-08-01",
                "resource": "https://storage.azure.com/",
                "header": "secret",
            }
        ]
    finally:
        await runner.cleanup()


def jwt(audience: str) -> str:
    claims = {
        "aud": audience,
        "iss": "https://sts.windows.net/72f988bf-0000-4000-8000-2d7cd011db47/",
        "iat": int(time.time()),
        "nbf": int(time.time()) - 60,
        "exp": int(time.time()) + 3600,
    }
    parts = [{"alg": "none", "typ": "JWT"}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(one).encode()).decode() for one in parts]
    return ".".join(one.rstrip("=") for one in [*encoded, base64.b64encode(b"x").decode()])
