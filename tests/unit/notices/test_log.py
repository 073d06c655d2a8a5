"""What a log line makes of attacker text: one line that can be written down, and nothing hidden."""

from __future__ import annotations

import json

import pytest

from shared import telemetry
from tests.unit.notices import letters


@pytest.mark.parametrize("name", letters.HOSTILE)
def test_attacker_text_is_one_visible_line_in_the_log(name, caplog):
    text = letters.HOSTILE[name]
    with caplog.at_level("INFO", logger="enrollment"):
        telemetry.wide("notice.attempt", title=text, remarks=f"phrase {text}")
    line = caplog.records[-1].getMessage()
    assert line.isprintable()
    assert line.encode()
    assert json.loads(line.removeprefix("notice.attempt "))["title"] == text
