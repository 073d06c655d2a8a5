"""A view as an Adaptive Card 1.4 inside the message that a Teams Workflows webhook takes (facts §9.1).

Every word from outside stands in a text run: runs know no Markdown, so nothing has to be escaped
and commands can be pasted as they are. A card that is too large is shortened in a fixed order
(`shrinking.STEPS`) and says so.
"""

from __future__ import annotations

import json
from typing import Any

from shared.notices.shrinking import STEPS
from shared.notices.view import FindingView, Group, RemedyView, View
from shared.notices.words import Words

LARGEST = 20_000  # bytes of the whole message; Teams takes 28 KB, a client measured 21 (facts §9.1)

Block = dict[str, Any]


def message(view: View, words: Words, *, largest: int = LARGEST) -> tuple[bytes, tuple[str, ...]]:
    """Give the JSON to post, and what was left out of it in words."""
    shortened: list[str] = []
    body = _encoded(view, words, shortened)
    for name, step in STEPS:
        if len(body) <= largest:
            break
        smaller = step(view)
        if smaller != view:
            view = smaller
            shortened.append(words.say(f"shortened.{name}"))
            body = _encoded(view, words, shortened)
    return body, tuple(shortened)


def card(view: View, words: Words, shortened: list[str]) -> Block:
    """Lay out the card."""
    body: list[Block] = [
        _container("good" if view.good else "attention", [_title(view.headline)]),
        _text(view.lead),
    ]
    body += [_finding(finding, words) for finding in view.findings]
    body += [_group(group, words) for group in view.groups]
    if view.next_step:
        body.append(_labelled(words.say("label.next"), view.next_step))
    if view.facts:
        body.append(_facts(view))
    if view.acting:
        body.append(_text(view.acting, subtle=True))
    notice = f"{words.say('label.notice')} {view.notice}"
    if shortened:
        body.append(_text(words.say("foot.shortened", what="; ".join(shortened)), subtle=True))
    body.append(_text(" · ".join(filter(None, (notice, view.letter))), subtle=True))
    made: Block = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "lang": view.language,
        "speak": f"{view.headline}. {view.lead}",
        "fallbackText": f"{view.headline}. {view.lead}",
        "msteams": {"width": "Full"},
        "body": body,
        "actions": [
            {"type": "Action.OpenUrl", "title": one.text, "url": one.url} for one in view.links
        ],
    }
    return {key: value for key, value in made.items() if value}


def _encoded(view: View, words: Words, shortened: list[str]) -> bytes:
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card(view, words, shortened),
    }
    posted = {"type": "message", "attachments": [attachment]}
    return json.dumps(posted, ensure_ascii=False, separators=(",", ":")).encode()


def _run(text: str, **style: Any) -> Block:
    return {"type": "TextRun", "text": text, **style}


def _rich(*runs: Block, **style: Any) -> Block:
    return {"type": "RichTextBlock", "inlines": list(runs), **style}


def _title(text: str) -> Block:
    return _rich(_run(text, weight="Bolder", size="Medium"))


def _text(text: str, *, subtle: bool = False) -> Block:
    style = {"isSubtle": True, "size": "Small"} if subtle else {}
    return _rich(_run(text, **style))


def _labelled(label: str, text: str) -> Block:
    return _rich(_run(f"{label}: ", weight="Bolder"), _run(text))


def _container(style: str, items: list[Block]) -> Block:
    return {"type": "Container", "style": style, "bleed": True, "items": items}


def _finding(finding: FindingView, words: Words) -> Block:
    items = [
        _rich(_run(f"{finding.severity}: ", weight="Bolder"), _run(finding.text)),
    ]
    if finding.evidence:
        items.append(_labelled(words.say("label.evidence"), finding.evidence))
    if finding.remedies:
        items.append(_rich(_run(f"{words.say('label.remedy')}:", weight="Bolder")))
    for number, remedy in enumerate(finding.remedies, 1):
        items.append(
            _rich(_run(f"{number}. {remedy.text}"), spacing="Small")
            if not remedy.link
            else _rich(
                _run(f"{number}. {remedy.text} "),
                _run(
                    words.say("link.learn"),
                    selectAction={"type": "Action.OpenUrl", "url": remedy.link},
                ),
                spacing="Small",
            )
        )
        items += _commands(remedy, words)
    if finding.source:
        code = f"{finding.code} · {words.say('label.source')}: {finding.source}"
    else:
        code = finding.code
    items.append(_text(code, subtle=True))
    return {"type": "Container", "separator": True, "items": items}


def _commands(remedy: RemedyView, words: Words) -> list[Block]:
    """Give the commands to paste, each under the name of its shell."""
    return [
        block
        for label, command in ((remedy.shell, remedy.az), ("label.powershell", remedy.powershell))
        if command
        for block in (
            _text(words.say(label), subtle=True),
            _rich(_run(command, fontType="Monospace"), spacing="None"),
        )
    ]


def _group(group: Group, words: Words) -> Block:
    items = [_rich(_run(f"{group.title} ", weight="Bolder"), _run(f"({group.count})"))]
    if group.finding and group.finding.evidence:
        items.append(_labelled(words.say("label.evidence"), group.finding.evidence))
    if group.finding and group.finding.remedies:
        first = group.finding.remedies[0]
        items.append(_labelled(words.say("label.remedy"), first.text))
        items += _commands(first, words)
    for one in group.members:
        run = _run(one.name, weight="Bolder")
        if one.url:
            run["selectAction"] = {"type": "Action.OpenUrl", "url": one.url}
        runs = [run, _run(f": {one.detail}")] if one.detail else [run]
        items.append(_rich(*runs, spacing="None"))
    return {"type": "Container", "separator": True, "items": items}


def _facts(view: View) -> Block:
    """Facts as a column of labelled runs: a FactSet would read its values as Markdown."""
    items = [_rich(_run(f"{name}: ", isSubtle=True), _run(value)) for name, value in view.facts]
    for item in items[1:]:
        item["spacing"] = "None"
    return {"type": "Container", "separator": True, "items": items}
