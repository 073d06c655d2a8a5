"""The tenant's keys: read once, read again when Entra rolls them, and never on anybody's order."""

from __future__ import annotations

import pytest

from shared.adapters.signing_keys import AT_MOST, DAY, EntraSigningKeys
from shared.errors import AzureFault
from shared.web.auth import Caller, Refusal, Role, admitted
from shared.web.http import Request
from tests.fakes.wire import TENANT, Answer, Wire, clients_on, settings_for
from tests.unit.web import entra

PATH = rf"/{TENANT}/discovery/v2\.0/keys$"
OLD, NEW = entra.published(entra.KEY, "k1"), entra.published(entra.FOREIGN, "k2")


class Tenant:
    """Publishes keys, and a clock that passes when it is told to."""

    def __init__(self, *answers: Answer) -> None:
        self.wire, self.seconds = Wire(), 0.0
        self.wire.on("GET", PATH, *answers)
        settings = settings_for()
        self.keys = EntraSigningKeys(clients_on(self.wire), settings, lambda: self.seconds)

    @property
    def asked(self) -> int:
        return len(self.wire.sent)


def keys(*published: object) -> Answer:
    return Answer(200, {"keys": list(published)})


async def test_keys_are_asked_for_once_a_day_without_a_token():
    tenant = Tenant(keys(OLD))
    for _ in range(5):
        assert (await tenant.keys.key("k1")).key_id == "k1"
    assert tenant.asked == 1
    tenant.seconds += DAY
    await tenant.keys.key("k1")

    assert tenant.asked == 2
    assert tenant.wire.sent[0].url.startswith("https://login.microsoftonline.com/")
    assert "authorization" not in {name.lower() for name in tenant.wire.sent[0].headers}


async def test_a_key_that_was_rolled_in_is_found_and_one_rolled_out_is_forgotten():
    tenant = Tenant(keys(OLD), keys(NEW))
    await tenant.keys.key("k1")
    tenant.seconds += AT_MOST

    assert (await tenant.keys.key("k2")).key_id == "k2"
    assert await tenant.keys.key("k1") is None


async def test_made_up_key_ids_make_us_ask_at_most_once_in_five_minutes():
    tenant = Tenant(keys(OLD))
    for number in range(50):
        assert await tenant.keys.key(f"made-up-{number}") is None
        tenant.seconds += 1

    assert tenant.asked == 1


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(Answer(503), id="down"),
        pytest.param(Answer(200, "<html>"), id="no JSON"),
        pytest.param(Answer(200, {"keys": []}), id="no keys"),
        pytest.param(
            Answer(200, {"keys": ["k1", {"kty": "EC", "kid": "k1"}]}), id="no key of ours"
        ),
        pytest.param(Answer(200, ["k1"]), id="another shape"),
    ],
)
async def test_while_nobody_publishes_keys_those_we_know_stay_good(broken):
    tenant = Tenant(keys(OLD), broken)
    await tenant.keys.key("k1")
    tenant.seconds += DAY
    assert (await tenant.keys.key("k1")).key_id == "k1"

    with pytest.raises(AzureFault) as caught:
        await Tenant(broken).keys.key("k1")
    assert caught.value.operation == "signing-keys"


async def test_a_key_that_cannot_be_read_spoils_no_other():
    tenant = Tenant(keys({"kty": "RSA", "kid": "bad", "n": "?", "e": "?"}, OLD))

    assert await tenant.keys.key("bad") is None
    assert (await tenant.keys.key("k1")).key_id == "k1"


@pytest.mark.parametrize(
    "kid, key, good",
    [
        pytest.param("k1", entra.KEY, True, id="signed by the tenant"),
        pytest.param("k1", entra.FOREIGN, False, id="signed by somebody else in its name"),
        pytest.param("k2", entra.FOREIGN, False, id="signed with a key nobody published"),
    ],
)
async def test_a_token_is_believed_only_if_a_published_key_signed_it(kid, key, good):
    settings = settings_for(AUTH_CLIENT_ID=entra.CLIENT, TENANT_ID=entra.TENANT)
    wire = Wire()
    wire.on("GET", r"/discovery/v2\.0/keys$", keys(OLD))
    given = entra.token(Role.READER.value, kid=kid, key=key)
    request = Request(
        method="GET",
        url="https://app/api/coverage",
        params={},
        headers={"authorization": f"Bearer {given}"},
        body=b"",
    )
    found = await admitted(
        request, Role.READER, settings, EntraSigningKeys(clients_on(wire), settings)
    )

    assert isinstance(found, Caller if good else Refusal)
