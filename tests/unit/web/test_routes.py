"""Nobody gets anything without authentication, and nobody gets more than their role."""

from __future__ import annotations

import base64
import time
from types import SimpleNamespace

import pytest

import function_app
from shared.errors import BadRules
from shared.web import auth
from shared.web.auth import Caller, Refusal, Role
from shared.web.http import GUARDS, Request
from shared.web.routes import ROUTES, Route, respond
from tests.fakes.azure import fault
from tests.unit.domain import worlds
from tests.unit.web import entra
from tests.unit.web.counter import PASSWORD, Counter
from tests.usecases.house import House

VM = str(worlds.vm().id)
READER, OPERATOR = Role.READER.value, Role.OPERATOR.value
EACH_ROUTE = [pytest.param(one, id=f"{one.method} {one.path}") for one in ROUTES if not one.keyed]


def triggers() -> dict[str, SimpleNamespace]:
    """Every HTTP trigger of the app, by route."""
    found = {}
    for function in function_app.app.get_functions():
        trigger = function.get_trigger().get_dict_repr()
        if trigger["type"] == "httpTrigger":
            methods = {str(getattr(one, "value", one)) for one in trigger["methods"]}
            found[trigger["route"]] = SimpleNamespace(
                methods=methods, level=str(trigger["authLevel"]).rpartition(".")[2].lower()
            )
    return found


def counter() -> Counter:
    return Counter(keys=entra.Keys(), AUTH_CLIENT_ID=entra.CLIENT)


async def ask(page: Counter, route: Route, **headers: str):
    form = {"id": VM, "what": "retry"} if route.method == "POST" else None
    return await page.ask(f"/api/{route.path}?id={VM}&vm={VM}&what=retry", form=form, **headers)


# --- the table ----------------------------------------------------------------------------------


def test_every_http_trigger_leads_to_a_route_that_asks_for_a_role():
    found = triggers()
    paths = {one.path.partition("/")[0] for one in ROUTES} - {"vms"}

    assert set(found) == {"vms/enroll", "vms/explain", "coverage/{*rest}", "doctor", "health"}
    assert paths == {"coverage", "doctor"}
    assert {one.path for one in ROUTES if one.path.startswith("vms/")} == {
        "vms/enroll",
        "vms/explain",
    }
    assert {one.path for one in ROUTES if one.keyed} == {"vms/enroll", "vms/explain"}
    assert {path for path, one in found.items() if one.level == "function"} == {
        one.path for one in ROUTES if one.keyed
    }
    assert {one.level for one in found.values()} == {"anonymous", "function"}


@pytest.mark.parametrize("route", EACH_ROUTE)
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"authorization": "Bearer nonsense"}, id="nonsense"),
        pytest.param({"authorization": "Bearer "}, id="an empty token"),
        pytest.param({"authorization": "Negotiate abc"}, id="another scheme"),
        pytest.param({"authorization": "Basic b3A6"}, id="basic without a laptop"),
        pytest.param({"cookie": "coverage-session=9999999999.aa.bb"}, id="a made-up session"),
        pytest.param({"x_functions_key": "master"}, id="a key of the platform"),
        pytest.param(
            {
                "x_ms_client_principal": base64.b64encode(
                    b'{"claims":[{"typ":"roles","val":"Backup.Operator"}]}'
                ).decode(),
                "x_ms_client_principal_name": "admin@contoso.example",
                "x_ms_client_principal_id": "1",
            },
            id="a forged principal",
        ),
        pytest.param({"x_ms_token_aad_id_token": "forged"}, id="a forged platform token"),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
async def test_no_route_answers_without_authentication(route, headers, accept):
    page = counter()
    answer = await ask(page, route, accept=accept, **headers)

    assert answer.status == 401
    assert page.house.queues.sent == []
    assert page.house.ledger.calls == []


BAD_TOKENS = [
    pytest.param(lambda: entra.token(OPERATOR, key=entra.FOREIGN), id="signed by somebody else"),
    pytest.param(lambda: entra.token(OPERATOR, kid="k2"), id="an unknown key"),
    pytest.param(lambda: entra.token(OPERATOR, aud="00000003-0000"), id="for another app"),
    pytest.param(lambda: entra.token(OPERATOR, aud=None), id="for nobody"),
    pytest.param(
        lambda: entra.token(OPERATOR, iss=entra.ISSUER.replace("000001", "000002")),
        id="of another issuer",
    ),
    pytest.param(lambda: entra.token(OPERATOR, tid=worlds.SUB), id="of another tenant"),
    pytest.param(lambda: entra.token(OPERATOR, exp=int(time.time()) - 120), id="expired"),
    pytest.param(lambda: entra.token(OPERATOR, exp=None), id="without an end"),
    pytest.param(lambda: entra.token(OPERATOR, nbf=int(time.time()) + 600), id="not yet valid"),
    pytest.param(
        lambda: entra.token(OPERATOR, key="k" * 32, algorithm="HS256"), id="a shared secret"
    ),
    pytest.param(lambda: entra.token(OPERATOR, key=None, algorithm="none"), id="not signed"),
]


@pytest.mark.parametrize("made", BAD_TOKENS)
@pytest.mark.parametrize("where", ["authorization", "x_ms_token_aad_id_token"])
@pytest.mark.parametrize("route", EACH_ROUTE[:4])
async def test_a_token_that_is_not_ours_opens_nothing(made, where, route):
    given = made()
    value = f"Bearer {given}" if where == "authorization" else given
    answer = await ask(counter(), route, accept="application/json", **{where: value})

    assert answer.status == 401


@pytest.mark.parametrize("route", EACH_ROUTE)
@pytest.mark.parametrize(
    "roles, allowed",
    [
        pytest.param((), set(), id="no role"),
        pytest.param(("Backup.Admin", "operator"), set(), id="other roles"),
        pytest.param((READER,), {Role.READER}, id="reader"),
        pytest.param((OPERATOR,), {Role.READER, Role.OPERATOR}, id="operator"),
    ],
)
async def test_a_role_opens_what_it_may_and_nothing_more(route, roles, allowed):
    page = counter()
    page.house.region()
    page.house.machines.add(worlds.vm())
    answer = await ask(
        page, route, accept="application/json", authorization=f"Bearer {entra.token(*roles)}"
    )

    assert (answer.status == 403) == (route.role not in allowed)
    assert answer.status != 401
    if answer.status == 403:
        assert page.house.queues.sent == []


def test_reading_needs_the_reader_and_changing_the_operator():
    changing = {(one.method, one.path) for one in ROUTES if one.role is Role.OPERATOR}

    assert changing == {
        ("POST", "vms/enroll"),
        ("GET", "coverage/act"),
        ("POST", "coverage/act"),
        ("GET", "doctor"),
    }


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_route_nobody_knows_says_nothing_to_strangers(method):
    page = counter()
    request = Request(method=method, url="http://x/api/coverage/x", params={}, headers={}, body=b"")

    assert (await respond("coverage/x", request, page.desk)).status == 401


async def test_roles_given_as_text_are_no_roles():
    answer = await counter().ask(
        "/api/coverage", authorization=f"Bearer {entra.token(roles=OPERATOR)}"
    )

    assert answer.status == 403


# --- health is for everybody, and says nothing ---------------------------------------------------


async def test_health_answers_everybody_and_names_nothing():
    answer = await counter().ask("/api/health")

    assert (answer.status, answer.body) == (200, b'{"status":"healthy","swept":false}')


@pytest.mark.parametrize("broken", ["storage", "rules"])
async def test_health_says_when_something_is_broken_but_not_what(broken, monkeypatch):
    page = counter()
    if broken == "storage":
        page.house.ledger.on_call = lambda name: (_ for _ in ()).throw(fault("secret"))
    else:

        async def failing():
            raise BadRules(())

        monkeypatch.setattr(page.house.rules, "current", failing)
    answer = await page.ask("/api/health")

    assert (answer.status, answer.body) == (503, b'{"status":"unhealthy"}')


# --- headers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/api/coverage", "/api/coverage/sign-in", "/api/health", "/api/coverage/nothing",
     "/api/coverage/export.csv", "/api/coverage/vm?id=nonsense", "/api/vms/explain?vm=x"],
)  # fmt: skip
async def test_every_answer_is_guarded(path):
    page = Counter()
    await page.sign_in()
    answer = await page.ask(path)
    policy = answer.headers["Content-Security-Policy"]

    assert set(GUARDS) <= set(answer.headers)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script" not in policy
    assert "unsafe" not in policy


async def test_pages_hold_no_script_no_handler_and_no_inline_style():
    page = Counter()
    await page.sign_in()
    text = (await page.text("/api/coverage")).lower()

    assert "<script" not in text
    assert " style=" not in text
    assert " onclick" not in text
    assert "javascript:" not in text


async def test_a_refusal_is_guarded_too():
    answer = await counter().ask("/api/coverage", accept="application/json")

    assert set(GUARDS) <= set(answer.headers)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_over_tls_the_browser_is_told_to_stay_there():
    request = Request(method="GET", url="https://x/api/health", params={}, headers={}, body=b"")

    answer = await respond("health", request, counter().desk)

    assert "max-age" in answer.headers["Strict-Transport-Security"]


# --- the way in ----------------------------------------------------------------------------------


async def test_a_browser_is_shown_the_way_to_the_platforms_sign_in():
    answer = await counter().ask("/api/coverage?standing=blocked")

    assert answer.status == 401
    assert b"/.auth/login/aad?post_login_redirect_uri=%2Fapi%2Fcoverage%3Fstanding" in answer.body


async def test_a_token_from_the_platform_opens_the_page_once_it_is_validated():
    answer = await counter().ask("/api/coverage", x_ms_token_aad_id_token=entra.token(READER))

    assert answer.status == 200
    assert b"ann@contoso.example" in answer.body


async def test_tokens_of_an_app_are_named_by_the_app():
    page = counter()
    given = entra.token(OPERATOR, preferred_username=None, azp="my-pipeline")
    await page.ask(
        "/api/coverage/act",
        form={"id": VM, "what": "retry"},
        authorization=f"Bearer {given}",
    )
    (decision,) = await page.house.people.of(worlds.vm().id)

    assert decision.by.startswith("my-pipeline (77777777")


async def test_without_a_client_id_nobody_comes_in():
    page = Counter(keys=entra.Keys())
    answer = await page.ask(
        "/api/coverage", accept="application/json",
        authorization=f"Bearer {entra.token(OPERATOR)}",
    )  # fmt: skip

    assert answer.status == 401
    assert b"AUTH_CLIENT_ID" in answer.body


# --- a laptop ------------------------------------------------------------------------------------


async def test_a_laptop_asks_for_its_password_and_goes_back_where_one_came_from():
    page = Counter()
    first = await page.ask("/api/coverage?standing=blocked")
    form = await page.text(first.headers["Location"])
    answer = await page.ask(
        "/api/coverage/sign-in",
        form={"password": PASSWORD, "next": "/api/coverage?standing=blocked"},
    )

    assert first.status == 303
    assert "/api/coverage?standing=blocked" in form
    assert answer.headers["Location"] == "/api/coverage?standing=blocked"
    assert (await page.ask("/api/coverage")).status == 200


async def test_the_session_cookie_is_for_this_site_and_not_for_scripts():
    page = Counter()
    answer = await page.ask("/api/coverage/sign-in", form={"password": PASSWORD})
    parts = answer.headers["Set-Cookie"].split("; ")

    assert {"HttpOnly", "SameSite=Lax", "Path=/api"} <= set(parts)


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example/api/coverage", "/api/coverage\\@evil", "/elsewhere",
     "/api/coverage\nx", "javascript:alert(1)", "/api/coveragex", ""],
)  # fmt: skip
async def test_signing_in_leads_nowhere_but_to_us(target):
    page = Counter()
    answer = await page.ask("/api/coverage/sign-in", form={"password": PASSWORD, "next": target})

    assert answer.headers["Location"] == "/api/coverage"


async def test_a_wrong_password_gives_no_session():
    page = Counter()
    answer = await page.ask("/api/coverage/sign-in", form={"password": "guess"})

    assert answer.status == 401
    assert "Set-Cookie" not in answer.headers


async def test_a_session_ends():
    page = Counter()
    settings = page.house.settings
    cookie = auth.signed_in(
        PASSWORD, settings, secure=False, now=time.time() - auth.SESSION_SECONDS - 1
    )
    page.cookie = cookie.partition(";")[0]
    answer = await page.ask("/api/coverage", accept="application/json")

    assert answer.status == 401
    assert b"expired" in answer.body


@pytest.mark.parametrize("change", ["body", "signature", "password"])
async def test_a_session_that_was_touched_is_none(change):
    page = Counter()
    await page.sign_in()
    name, _, value = page.cookie.partition("=")
    expires, nonce, signature = value.split(".")
    match change:
        case "body":
            value = f"9{expires}.{nonce}.{signature}"
        case "signature":
            value = f"{expires}.{nonce}.{'0' * len(signature)}"
        case _:
            page.house = House(**{**_laptop(), "LOCAL_SIGN_IN": "changed since"})
    page.cookie = f"{name}={value}"

    assert (await page.ask("/api/coverage", accept="application/json")).status == 401


def _laptop() -> dict[str, str]:
    from tests.unit.web.counter import LAPTOP

    return LAPTOP


async def test_signing_out_ends_the_session():
    page = Counter()
    await page.sign_in()
    text = await page.text("/api/coverage")
    token = text.partition('name="csrf" value="')[2].partition('"')[0]
    answer = await page.ask("/api/coverage/sign-out", form={"csrf": token})

    assert answer.status == 303
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert (await page.ask("/api/coverage", accept="application/json")).status == 401


async def test_programs_on_a_laptop_use_the_password():
    given = base64.b64encode(f"ops:{PASSWORD}".encode()).decode()
    wrong = base64.b64encode(b"ops:guess").decode()
    page = Counter()

    assert (await page.ask("/api/coverage", authorization=f"Basic {given}")).status == 200
    assert (
        await page.ask("/api/coverage", authorization=f"Basic {wrong}", accept="application/json")
    ).status == 401
    assert (
        await page.ask("/api/coverage", authorization="Basic !", accept="application/json")
    ).status == 401


async def test_local_sign_in_does_not_exist_where_it_is_not_set():
    answer = await counter().ask(
        "/api/coverage/sign-in", form={"password": ""}, accept="application/json"
    )

    assert answer.status == 401


# --- forged changes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form, headers",
    [
        pytest.param({}, {}, id="no token"),
        pytest.param({"csrf": "0" * 64}, {}, id="a made-up token"),
        pytest.param({"csrf": "é"}, {}, id="a token that is no text of ours"),
        pytest.param({"csrf": "right"}, {"sec_fetch_site": "cross-site"}, id="from another site"),
    ],
)
async def test_a_change_that_no_form_of_ours_sent_is_refused(form, headers):
    page = Counter()
    await page.sign_in()
    caller = await auth.admitted(
        Request(method="GET", url="", params={}, headers={"cookie": page.cookie}, body=b""),
        Role.OPERATOR,
        page.house.settings,
        page.keys,
    )
    assert isinstance(caller, Caller)
    given = {name: caller.csrf if value == "right" else value for name, value in form.items()}
    answer = await page.ask(
        "/api/coverage/act", form={"id": VM, "what": "retry", **given}, **headers
    )

    assert answer.status == 403
    assert page.house.queues.sent == []
    assert await page.house.people.of(worlds.vm().id) == ()


async def test_a_token_of_another_session_is_refused():
    mine, theirs = Counter(), Counter()
    await mine.sign_in()
    await theirs.sign_in()
    text = await theirs.text("/api/coverage")
    token = text.partition('name="csrf" value="')[2].partition('"')[0]
    answer = await mine.ask("/api/coverage/act", form={"id": VM, "what": "retry", "csrf": token})

    assert answer.status == 403


async def test_a_token_handed_over_by_the_platform_needs_our_form_too():
    page = counter()
    answer = await page.ask(
        "/api/coverage/act",
        form={"id": VM, "what": "retry"},
        x_ms_token_aad_id_token=entra.token(OPERATOR),
    )

    assert answer.status == 403
    assert page.house.queues.sent == []


async def test_a_get_never_changes_anything():
    page = Counter()
    await page.sign_in()
    for what in ("retry", "enroll", "exclude", "revoke", "nonsense"):
        await page.ask(f"/api/coverage/act?what={what}&id={VM}&reason=because&csrf=x")

    assert page.house.queues.sent == []
    assert await page.house.people.of(worlds.vm().id) == ()


# --- what goes wrong -----------------------------------------------------------------------------


async def test_storage_that_does_not_answer_is_said_and_not_shown_as_nothing():
    page = Counter()
    await page.sign_in()
    page.house.ledger.on_call = lambda name: (_ for _ in ()).throw(fault())
    answer = await page.ask("/api/coverage")

    assert answer.status == 503
    assert b"does not answer" in answer.body


@pytest.mark.parametrize("vm", ["", "nonsense", "/subscriptions/x", VM + "/extensions/y"])
async def test_an_id_that_is_none_is_refused(vm):
    page = Counter()
    await page.sign_in()

    assert (await page.ask(f"/api/coverage/vm?id={vm}")).status == 400


def test_a_refusal_is_no_caller():
    assert not isinstance(Refusal(status=401, why=""), Caller)
