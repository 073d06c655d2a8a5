"""Foreign names inside commands stay one literal word."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.quoting import one_line, printable, ps, sh
from shared.domain.remedies.tags import set_tag
from tests.unit.domain.worlds import vm


@given(st.text(max_size=60))
def test_bash_reads_one_word_that_is_the_printable_text(text) -> None:
    assert shlex.split(sh(text)) == [printable(text)]


@pytest.mark.parametrize(
    "text, quoted",
    [
        ("plain", "'plain'"),
        ("it's", "'it''s'"),
        ("\u2019; reboot; \u2018", "'\u2019\u2019; reboot; \u2018\u2018'"),
        ("$(x)", "'$(x)'"),
        ("a\nb", "'ab'"),
    ],
)
def test_powershell_reads_one_literal_word(text, quoted) -> None:
    assert ps(text) == quoted


@given(st.text(max_size=60))
def test_powershells_quotes_are_always_balanced(text) -> None:
    quotes = "'\u2018\u2019\u201a\u201b"
    assert sum(ps(text).count(one) for one in quotes) % 2 == 0


@given(st.text(max_size=400))
def test_one_line_is_one_line_of_limited_length(text) -> None:
    line = one_line(text, 50)
    assert len(line) <= 50
    assert line.splitlines() in ([], [line])


def test_a_tag_with_a_quote_and_a_new_line_cannot_leave_its_command() -> None:
    remedy = set_tag(vm(), "x'; rm -rf ~; '", "a\nreboot", ())
    words = shlex.split(remedy.az)
    assert words[-1] == "x'; rm -rf ~; '=areboot"
    assert "\n" not in remedy.az + remedy.powershell
