"""Owner from VM, then group, then subscription tags, then the fallback; tags are attacker text."""

from __future__ import annotations

import pytest

from shared.domain.deliveries import Target
from shared.domain.findings import Severity
from shared.domain.lint import lint
from shared.domain.routing import (
    Routing,
    declared_route,
    is_mail,
    operators,
    routed,
    unreachable,
)
from shared.domain.rules import parse
from shared.domain.rules.model import Route, Selector
from tests.fakes.azure import START
from tests.unit.domain import worlds
from tests.unit.notices.post import FakeRoutes, Post, finding

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


ROUTES = (
    Route(name="named", to=("mail:named@x.org",)),
    Route(name="web", to=("mail:web@x.org",), when=Selector(names=("web-*",))),
    Route(name="network", to=("teams:Infra",), causes=("network_*",)),
    Route(
        name="web policies",
        to=("mail:policies@x.org",),
        when=Selector(names=("web-*",)),
        causes=("POLICY_KIND",),
        severity=(Severity.NEEDS_ENHANCED,),
    ),
    Route(
        name="urgent", to=("mail:pager@x.org",), severity=(Severity.BLOCKER,), causes=("AGENT*",)
    ),
)
NETWORK, AGENT = finding("NETWORK_BLOCKED", Severity.ADVISORY), finding("AGENT_NOT_READY")
KIND = finding("POLICY_KIND", Severity.NEEDS_ENHANCED)


@pytest.mark.parametrize(
    "names, findings, route",
    [
        pytest.param((), [finding("OTHER")], None, id="no route is for it"),
        pytest.param(("named", "web"), [finding("OTHER")], "named", id="the rule's"),
        pytest.param(("web",), [finding("OTHER")], "web", id="the first that chooses the VM"),
        pytest.param(("named",), [finding("OTHER"), NETWORK], "network", id="by cause, any VM"),
        pytest.param((), [AGENT], "urgent", id="by cause and severity"),
        pytest.param(
            (), [finding("AGENT_NOT_READY", Severity.WAIT)], None, id="the cause, not so severe"
        ),
        pytest.param(("web", "web policies"), [KIND], "web policies", id="by cause, of its VMs"),
        pytest.param(("named",), [KIND], "named", id="by cause, of other VMs"),
        pytest.param(("web policies",), [AGENT, NETWORK], "network", id="the first of the file"),
        pytest.param(("web policies",), [finding("OTHER")], None, id="named, but not for this"),
    ],
)
def test_cause_and_severity_may_choose_the_route(names, findings, route):
    found = declared_route(ROUTES, names, findings)
    assert (found.name if found else None) == route


def test_a_cause_that_no_finding_has_is_told_by_lint():
    text = worlds.RULES + (
        "notices:\n  routes:\n"
        "    - {name: net, causes: ['NETWORK_*', NETWROK_BLOCKED], to: owner}\n"
    )
    (told,) = [str(one) for one in lint(parse(text, "r.yaml"), START) if "no finding" in str(one)]
    assert "route 'net': no finding is called 'NETWROK_BLOCKED'" in told


async def test_a_cause_reaches_who_can_do_something_about_it():
    routes = (Route(name="net", causes=("NETWORK_*",), to=("owner", "teams:default")),)
    post = Post(rules=FakeRoutes(routes=routes))
    await post.report("vm-1", finding("NETWORK_BLOCKED"))
    await post.report("vm-2", finding("AGENT_NOT_READY"))
    await post.play(120)
    assert {letter.stories[0].title for letter in post.mail.got} == {"vm-1", "vm-2"}
    assert {letter.stories[0].title for letter in post.teams.got} == {"vm-1"}
