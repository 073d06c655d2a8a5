"""Owner from VM, then group, then subscription tags, then the fallback; tags are attacker text."""

from __future__ import annotations

import pytest

from shared.domain.deliveries import Target
from shared.domain.routing import Routing, is_mail, operators, routed, unreachable

ROUTING = Routing(operators=("ops@contoso.com",), mail=("acs", "smtp"), teams=("default", "Infra"))
BARE = Routing(mail=("smtp",))


def first(routes) -> list[str]:
    return [str(route[0]) for route in routes]


def find(tags=None, group=None, subscription=None, *, to=(), fallback=(), routing=ROUTING):
    return routed(
        to=to,
        tags=tags or {},
        group_tags=group or {},
        subscription_tags=subscription or {},
        fallback=fallback,
        routing=routing,
    )


@pytest.mark.parametrize(
    "found, recipients, source",
    [
        pytest.param(
            find({"owner": "a@x.org"}, {"owner": "b@x.org"}),
            ["acs:a@x.org"],
            "VM tag owner",
            id="vm",
        ),
        pytest.param(
            find({}, {"Contact": "b@x.org"}, {"owner": "c@x.org"}),
            ["acs:b@x.org"],
            "resource group tag Contact",
            id="group, any case",
        ),
        pytest.param(
            find({}, {}, {" OWNER ": "c@x.org"}),
            ["acs:c@x.org"],
            "subscription tag  OWNER ",
            id="subscription, stray blanks",
        ),
        pytest.param(
            find({"backup-owner": "a@x.org", "owner": "b@x.org"}),
            ["acs:b@x.org"],
            "VM tag owner",
            id="first name of the settings wins",
        ),
        pytest.param(
            find({"owner": "Kim Minsu"}, {"owner": "b@x.org"}),
            ["acs:b@x.org"],
            "resource group tag owner",
            id="a name is no address",
        ),
        pytest.param(
            find({"owner": "a@x.org; b@x.org, a@X.org"}),
            ["acs:a@x.org", "acs:b@x.org"],
            "VM tag owner",
            id="several, each once",
        ),
        pytest.param(
            find({"owner": "teams:infra"}), ["teams:Infra"], "VM tag owner", id="channel, any case"
        ),
        pytest.param(
            find(fallback=("mail:team@x.org",)),
            ["acs:team@x.org"],
            "fallback of the rules",
            id="fallback",
        ),
        pytest.param(find(), ["teams:default"], "default Teams channel", id="default channel"),
        pytest.param(
            find(routing=Routing(mail=("smtp",), operators=("o@x.org",))),
            ["smtp:o@x.org"],
            "operators",
            id="operators at last",
        ),
        pytest.param(
            find({"owner": "a@x.org"}, to=("owner", "teams:Infra")),
            ["acs:a@x.org", "teams:Infra"],
            "VM tag owner, rule",
            id="owner and channel",
        ),
        pytest.param(find(routing=BARE), [], "operators", id="nowhere at all"),
    ],
)
def test_recipients_are_found_in_order(found, recipients, source):
    assert first(found.routes) == recipients
    assert found.source == source


def test_a_route_ends_in_another_channel_than_it_begins():
    (route,) = find({"owner": "a@x.org"}).routes
    assert route == (
        Target("acs", "a@x.org"),
        Target("smtp", "a@x.org"),
        Target("teams", "default"),
        Target("acs", "ops@contoso.com"),
        Target("smtp", "ops@contoso.com"),
    )


def test_an_address_that_is_none_is_a_finding_with_its_evidence():
    found = find({"owner": "Kim <script>"}, {"owner": "b@x.org"})
    assert [f.code for f in found.findings] == ["OWNER_ADDRESS", "OWNER_ADDRESS"]
    assert found.findings[1].evidence == "VM tag owner = <script>"


def test_operators_without_an_address_are_the_default_channel():
    assert first(operators(Routing(teams=("default",)))) == ["teams:default"]
    assert operators(Routing()) == ()


def test_words_that_reach_nobody_are_named_for_lint():
    words = ("owner", "topic", "teams:Nope", "mail:a@x.org", "webhook:pager", "nobody")
    assert unreachable(words, ROUTING) == ("teams:Nope", "webhook:pager", "nobody")


@pytest.mark.parametrize(
    "text",
    ["a@x.org", "first.last+tag@sub.example.co.kr", "o'neil@x.org", "a" * 64 + "@x.org"],
)
def test_addresses_people_use_are_accepted(text):
    assert is_mail(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a@x",
        "@x.org",
        "a@",
        "a b@x.org",
        "a@x..org",
        "a@-x.org",
        ".a@x.org",
        "a.@x.org",
        "a@x.org\nBcc: b@x.org",
        "a@x.org\r\n",
        "a@[127.0.0.1]",
        '"a b"@x.org',
        "a@ex\u0430mple.org",
        "a@x.org,b@x.org",
        "<a@x.org>",
        "a" * 65 + "@x.org",
        "a@" + "x" * 250 + ".org",
        "=cmd|'/c calc'!A1@x.org ",
    ],
)
def test_texts_that_are_no_address_are_refused(text):
    assert not is_mail(text)


def test_a_huge_tag_costs_nothing_and_reaches_at_most_ten():
    found = find({"owner": " ".join(f"u{n}@x.org" for n in range(500)) + "x" * 10_000})
    assert len(found.routes) == 10


def test_in_observe_mode_only_the_operators_hear():
    sandbox = Routing(operators=("ops@contoso.com",), mail=("smtp",), sandbox=True)
    found = find({"owner": "owner@contoso.com"}, to=("mail:a@contoso.com",), routing=sandbox)

    assert "ops@contoso.com" in str(found.routes)
    assert "owner@contoso.com" not in str(found.routes)
