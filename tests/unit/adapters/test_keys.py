"""Keys of table rows: legal for any name, and different for different resources."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.keys import LONGEST, anywhere, in_subscription, instant, safe
from shared.domain.ids import ArmId, virtual_machine

SUB = "AAAAAAAA-0000-4000-8000-000000000001"
FORBIDDEN = set("/\\#?%'") | {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))}
text = st.text(st.characters(exclude_categories=()), max_size=300)
moments = st.timedeltas(timedelta(0), timedelta(days=300_000)).map(
    lambda passed: datetime(2000, 1, 1, tzinfo=UTC) + passed
)


@given(text)
def test_no_name_makes_an_illegal_key(name: str):
    assert not FORBIDDEN & set(safe(name))


@given(text, text)
def test_different_names_have_different_keys(one: str, other: str):
    assert (safe(one) == safe(other)) == (one == other)


def test_a_cut_name_differs_from_every_name_that_is_not_cut():
    cut = safe("x" * 300)
    assert safe(cut) != cut
    assert safe("x" * 301) != cut


@given(text)
def test_the_longest_key_we_build_fits_in_a_kibibyte(name: str):
    longest = f"{instant(datetime.now(UTC))}|{SUB}|{safe(name)}|{safe(name)}"
    assert len(longest.encode("utf-16-le")) <= 1024
    assert len(safe(name)) <= LONGEST


@pytest.mark.parametrize(
    "group, name, key",
    [
        pytest.param("rg-Web", "Web-01", "rg-web|web-01", id="plain names are themselves"),
        pytest.param("rg(1)_x.y", "vm", "rg(1)_x.y|vm", id="what a group may hold"),
        pytest.param("리소스그룹", "vm", "리소스그룹|vm", id="letters of any script"),
        pytest.param("rg", "a b|c", "rg|a=20b=7Cc", id="the rest is quoted"),
        pytest.param("rg", "a=20b", "rg|a=3D20b", id="a quote is quoted"),
    ],
)
def test_a_row_key_is_group_and_name_in_lower_case(group: str, name: str, key: str):
    vm = virtual_machine(SUB, group, name)
    assert in_subscription(vm) == key
    assert anywhere(vm) == f"{SUB.lower()}|{key}"
    assert anywhere(ArmId.parse(str(vm).upper())) == anywhere(vm)


@given(moments, moments)
def test_instants_sort_as_their_times_do(one: datetime, other: datetime):
    assert (instant(one) < instant(other)) == (one < other)


def test_an_instant_is_utc_whatever_the_zone():
    seoul = datetime(2026, 3, 2, 9, tzinfo=timezone(timedelta(hours=9)))
    assert instant(seoul) == "2026-03-02T00:00:00.000000Z"
