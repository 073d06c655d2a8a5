"""What people read: golden files, both languages, sizes, and attacker text made harmless."""

from __future__ import annotations

import csv
import io
import itertools
import json
import string
import tomllib
from email import message_from_bytes, policy
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest

from shared.adapters.smtp import envelope
from shared.domain.catalogue import ENTRIES, Step
from shared.domain.deliveries import Kind
from shared.domain.findings import Remedy, Severity
from shared.errors import AzureFault
from shared.notices import card, mail, words
from shared.notices.escape import cell, clean, link
from shared.notices.view import view
from shared.notices.words import Words
from tests.unit.notices import letters
from tests.unit.notices.phrases import phrases
from tests.unit.notices.post import finding

SCHEMA = json.loads(
    (Path(__file__).parent / "schema" / "adaptive-card-1.5.json").read_text(encoding="utf-8")
)
VALIDATOR = jsonschema.Draft6Validator(SCHEMA)
NOT_IN_SCHEMA = {"msteams"}  # Teams' own extension of the card (facts §9.1)


def posted(letter) -> tuple[dict, tuple[str, ...]]:
    spoken = Words(letter.language)
    body, shortened = card.message(view(letter, spoken), spoken)
    return json.loads(body), shortened


def content(letter) -> dict:
    return posted(letter)[0]["attachments"][0]["content"]


def written(letter) -> mail.Mail:
    spoken = Words(letter.language)
    return mail.mail(view(letter, spoken), spoken)


def every(element: object):
    """Walk all objects of a card."""
    if isinstance(element, dict):
        yield element
        for value in element.values():
            yield from every(value)
    elif isinstance(element, list):
        for value in element:
            yield from every(value)


class Page(HTMLParser):
    """Tags, attributes and visible text of a mail's HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


# --- golden files --------------------------------------------------------------------------------


@pytest.mark.parametrize("language", words.LANGUAGES)
@pytest.mark.parametrize("name", letters.SAMPLES)
def test_cards_and_mails_read_as_reviewed(name, language, golden):
    letter = letters.SAMPLES[name](language)
    shown = json.dumps(posted(letter)[0], ensure_ascii=False, indent=1)
    golden(f"{name}.{language}.card.json", shown + "\n")
    mailed = written(letter)
    golden(f"{name}.{language}.txt", f"Subject: {mailed.subject}\n\n{mailed.text}")
    if language == "en":
        golden(f"{name}.{language}.html", mailed.html + "\n")


# --- cards ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", words.LANGUAGES)
@pytest.mark.parametrize("name", letters.SAMPLES)
def test_cards_validate_against_the_official_schema(name, language):
    made = content(letters.SAMPLES[name](language))
    plain = {key: value for key, value in made.items() if key not in NOT_IN_SCHEMA}
    errors = [f"{list(e.path)}: {e.message[:200]}" for e in VALIDATOR.iter_errors(plain)]
    assert errors == []


def test_the_schema_check_bites():
    made = content(letters.letter())
    del made["msteams"]
    made["body"].append({"type": "TextBlok", "text": "x"})
    assert not VALIDATOR.is_valid(made)


def test_a_card_uses_nothing_newer_than_its_version():
    known = SCHEMA["definitions"]
    for name, make in letters.SAMPLES.items():
        made = content(make("en"))
        assert made["version"] == "1.4"
        for element in every(made["body"] + made.get("actions", [])):
            definition = known.get(element.get("type", ""), {})
            assert definition.get("version", "1.0") <= "1.4", (name, element)
            for key in element:
                since = definition.get("properties", {}).get(key, {}).get("version", "1.0")
                assert since <= "1.4", (name, key)


def test_a_card_names_its_notice_and_its_letter():
    shown = json.dumps(content(letters.letter()))
    assert "4ea7a8af0a7fbf71" in shown
    assert "4ea7a8af0a7fbf71-1a" in shown


@pytest.mark.parametrize("number", [1, 100, 1000])
def test_a_card_that_is_too_large_is_shortened_in_order_and_says_so(number):
    letter = letters.digest(number)
    body, shortened = posted(letter)
    assert len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()) <= 20_000
    assert bool(shortened) == (number > 1)
    if shortened:
        assert "shortened" in json.dumps(body)
        assert f"{number} VMs" in json.dumps(body)  # the count stays true


def test_shortening_takes_the_least_useful_first():
    remedy = Remedy(text="t" * 500, az="az " + "a" * 1200, powershell="p" * 1900)
    many = tuple(
        finding(f"CAUSE_{n}", evidence="e" * 700, remedies=(remedy,) * 3) for n in range(6)
    )
    letter = letters.letter(letters.story(findings=many))
    spoken = Words("en")
    seen = view(letter, spoken)
    sizes = (200_000, 30_000, 20_000, 12_000, 8_000, 3_000, 1_500)
    steps = [card.message(seen, spoken, largest=size)[1] for size in sizes]
    assert steps[0] == ()
    for shorter, longer in itertools.pairwise(steps):
        assert longer[: len(shorter)] == shorter
    assert steps[-1][0] == "PowerShell commands left out"
    assert steps[-1][-1] == "details left out"


def test_a_digest_shows_a_command_only_if_it_is_the_same_for_all():
    def told(name: str, command: str):
        cause = finding(remedies=(Remedy(text="Do it.", az=command),))
        return letters.story(name, findings=(cause,))

    same = written(letters.letter(told("a", "az one"), told("b", "az one"))).text
    own = written(letters.letter(told("a", "az vm a"), told("b", "az vm b"))).text
    assert "az one" in same
    assert "Do it." in own
    assert "az vm" not in own


def test_remedies_are_at_most_three():
    many = tuple(Remedy(text=f"remedy {n}") for n in range(9))
    text = written(letters.letter(letters.story(findings=(finding(remedies=many),)))).text
    assert "remedy 2" in text
    assert "remedy 3" not in text


@pytest.mark.parametrize("kind", [Kind.OPENED, Kind.UPDATED])
@pytest.mark.parametrize("language", words.LANGUAGES)
def test_advice_alone_does_not_read_as_a_vm_without_backup(kind, language):
    advice = finding(severity=Severity.ADVISORY)
    only = letters.letter(letters.story(kind=kind, findings=(advice,)), language=language)
    mixed = letters.letter(
        letters.story(kind=kind, findings=(finding(), advice)), language=language
    )
    say = Words(language).say

    assert written(only).subject == say("headline.advice", name="vm-payroll-01")
    assert say("lead.advice") in " ".join(written(only).text.split())
    assert say("lead.advice") in json.dumps(content(only), ensure_ascii=False)
    assert written(mixed).subject == say(f"headline.{kind}", name="vm-payroll-01")


@pytest.mark.parametrize(
    "command, label",
    [("az vm start --ids x", "Azure CLI"), ("python -m ops decide x", "Operators' command line")],
)
def test_a_command_of_ours_is_not_called_azures(command, label):
    told = letters.letter(
        letters.story(findings=(finding(remedies=(Remedy(text="Do it.", az=command),)),))
    )
    labels = {"Azure CLI", "Operators' command line"}
    for text in (written(told).text, Page(written(told).html).text, json.dumps(content(told))):
        assert {one for one in labels if one in text} == {label}


# --- attacker text -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.OPENED, Kind.RESOLVED])
@pytest.mark.parametrize("name", letters.HOSTILE)
def test_attacker_text_is_harmless_in_a_card(name, kind):
    made = content(letters.hostile(letters.HOSTILE[name], kind=kind))
    plain = {key: value for key, value in made.items() if key not in NOT_IN_SCHEMA}
    assert VALIDATOR.is_valid(plain)
    for element in every(made):
        assert element.get("type") != "TextBlock"  # would read Markdown
        assert "facts" not in element  # so would a fact set
        if "url" in element:
            assert element["url"].startswith("https://")
        assert not {"entities", "mentioned"} & element.keys()
        for value in element.values():
            if isinstance(value, str):
                assert not set(value) & set("\u202e\u2066\u200f\x00\x1b\r")
                assert len(value) <= 2100


@pytest.mark.parametrize("kind", [Kind.OPENED, Kind.RESOLVED])
@pytest.mark.parametrize("name", letters.HOSTILE)
def test_attacker_text_is_harmless_in_html(name, kind):
    text = letters.HOSTILE[name]
    page = Page(written(letters.hostile(text, kind=kind)).html)
    assert not {"script", "img", "at", "iframe", "b"} & set(page.tags)
    for attribute, value in page.attributes:
        assert not attribute.startswith("on")
        if attribute in {"href", "src"}:
            assert str(value).startswith("https://")
    if name in {"script", "template", "entity", "markdown"}:
        assert text in page.text  # shown as it is, not swallowed


@pytest.mark.parametrize("name", letters.HOSTILE)
def test_attacker_text_cannot_leave_its_header_or_its_part(name):
    letter = letters.hostile(letters.HOSTILE[name])
    spoken = Words("en")
    seen = view(letter, spoken)
    raw = envelope(letter, seen, mail.mail(seen, spoken), "Backup <b@contoso.com>").as_bytes()
    parsed = message_from_bytes(raw, policy=policy.default)
    assert parsed["Bcc"] is None
    assert parsed.get_all("To") == ["default"]
    assert len(parsed["Subject"]) <= 160
    assert [part.get_content_type() for part in parsed.iter_parts()] == ["text/plain", "text/html"]
    assert max(len(line) for line in raw.splitlines()) <= 998


@pytest.mark.parametrize("name", letters.HOSTILE)
def test_attacker_text_is_no_formula_and_one_cell_in_csv(name):
    written_out = io.StringIO()
    csv.writer(written_out).writerow([cell(letters.HOSTILE[name]), "next"])
    (row,) = csv.reader(io.StringIO(written_out.getvalue()))
    assert row[1] == "next"
    assert not row[0].startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize("name", letters.HOSTILE)
def test_attacker_text_is_one_visible_line_of_bounded_length(name):
    shown = clean(letters.HOSTILE[name])
    assert len(shown) <= 500
    assert shown.isprintable()


def test_a_command_is_whole_or_absent_never_cut():
    cut = finding(remedies=(Remedy(text="t", az="az " + "x" * 3000),))
    assert (
        view(letters.letter(letters.story(findings=(cut,))), Words("en")).findings[0].remedies[0].az
        == ""
    )


@pytest.mark.parametrize(
    "text, kept",
    [
        ("https://portal.azure.com/#@t/resource/x", True),
        ("http://127.0.0.1:7071/api/coverage/vm?id=x", True),
        ("http://contoso.com/", False),
        ("javascript:alert(1)", False),
        ("https://user:pw@evil.example/", False),
        ("https://a b", False),
        ("https://x\nSet-Cookie: a", False),
        ("//evil.example", False),
        ("https://[::1", False),
        ("data:text/html,x", False),
        ("", False),
    ],
)
def test_only_safe_links_are_links(text, kept):
    assert bool(link(text)) is kept


# --- digests -------------------------------------------------------------------------------------


def test_a_digest_says_of_all_only_what_is_the_same_for_all():
    common = Remedy(text="Turn it off.", az="az off")
    told = [
        letters.story(
            name,
            findings=(
                finding(
                    evidence=f"seen on {name}",
                    remedies=(common, Remedy(text=f"Repair {name}."), Remedy(text="Ask.", az=name)),
                ),
            ),
        )
        for name in ("vm-a", "vm-b")
    ]
    (group,) = view(letters.letter(*told), Words("en")).groups
    assert [(one.text, one.az) for one in group.finding.remedies] == [
        ("Turn it off.", "az off"),
        ("Ask.", ""),
    ]
    assert group.finding.evidence == ""
    assert [one.detail for one in group.members] == ["seen on vm-a", "seen on vm-b"]


# --- languages -----------------------------------------------------------------------------------


def test_languages_have_the_same_texts():
    english = words.keys("en")
    for language in words.LANGUAGES:
        own = {key for key in words.keys(language) if not key.startswith("finding.")}
        assert own == english


def test_every_text_has_the_same_blanks_to_fill():
    def blanks(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    english, korean = Words("en"), Words("ko")
    for key in words.keys("en"):
        a, b = english.known(key, ""), korean.known(key, "")
        assert blanks(a) == blanks(b), key


def test_every_cause_that_may_be_told_is_said_in_korean_and_no_other():
    told = {entry.code for entry in ENTRIES if not entry.unseen and entry.step is not Step.RESTORE}
    said = {key.split(".")[1] for key in words.keys("ko") if key.startswith("finding.")}
    assert said == told


def test_every_sentence_a_notice_may_carry_is_said_in_korean_and_no_other():
    korean = words.TEXTS / "phrases.ko.toml"
    said = tomllib.loads(korean.read_text(encoding="utf-8"))
    ours = phrases()
    assert len(ours) > 200  # the walk through the code found them
    assert sorted(ours - said.keys()) == []
    assert sorted(said.keys() - ours) == []


def test_translated_sentences_have_the_same_values_and_no_english_left():
    said = tomllib.loads((words.TEXTS / "phrases.ko.toml").read_text(encoding="utf-8"))
    for english, korean in said.items():
        numbers = {int(name) for _, name, _, _ in string.Formatter().parse(korean) if name}
        assert numbers == set(range(english.count("{}"))), english
        assert any("가" <= letter <= "힣" for letter in korean), english


@pytest.mark.parametrize(
    "english, korean",
    [
        (
            "We look again by ourselves at 2026-11-21 09:00 UTC.",
            "2026-11-21 09:00 UTC에 저절로 다시 확인합니다.",
        ),
        (
            (
                "Create policy daily in vault rsv-1 (the second line writes a default policy to a file;"
                " change schedule and retention in it first)."
            ),
            (
                "자격 증명 모음 rsv-1에 정책 daily을(를) 만드세요. (둘째 줄의 명령이 기본 정책을 파일에"
                " 저장합니다. 일정과 보존 기간을 먼저 고치세요.)"
            ),
        ),
        (
            "Backup was not enabled: the policy is in use.",
            "백업이 등록되지 않았습니다: 정책이 사용 중입니다.",
        ),
        ("Set tag {0} to the value you want.", "태그 {0}에 원하는 값을 설정하세요."),
    ],
)
def test_sentences_are_translated_with_their_values_in_place(english, korean):
    spoken = Words("ko")
    assert spoken.phrase(english) == korean
    assert spoken.fell_back == set()
    assert Words("en").phrase(english) == english


def test_a_long_hostile_value_is_not_searched_for_sentences():
    hostile = "Set tag " + " to the value you want. Known values: " * 300
    assert Words("ko").phrase(hostile) == hostile


def test_a_missing_text_falls_back_to_english_and_is_reported():
    spoken = Words("ko")
    told = finding("NEVER_TRANSLATED", text="Only in English.")
    seen = view(letters.letter(letters.story(findings=(told,)), language="ko"), spoken)
    assert seen.findings[0].text == "Only in English."
    assert "finding.NEVER_TRANSLATED.text" in spoken.fell_back


def test_an_unknown_language_is_english_and_reported():
    spoken = Words("xx")
    assert spoken.language == "en"
    assert spoken.fell_back


def test_a_broken_template_is_a_fault_of_ours_for_the_operators(monkeypatch):
    import jinja2

    broken = jinja2.Environment(
        loader=jinja2.DictLoader({"mail.html": "{{ nothing.there }}", "mail.txt": ""}),
        undefined=jinja2.StrictUndefined,
    )
    monkeypatch.setattr(mail, "environment", lambda: broken)
    with pytest.raises(AzureFault) as caught:
        written(letters.letter())
    assert caught.value.code == "Template"
