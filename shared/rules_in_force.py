"""The rules in force: a broken new file changes nothing, and the operators are told once.

Called by the timer `sweep`, every minute. The last good copy stays in force meanwhile (DESIGN
§3.2); without any good copy nothing can be decided, which is told in the same way. What runs is
noted for the page, which then needs neither the rules' storage nor a parser.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared import telemetry
from shared.domain.rules import Rules
from shared.domain.sheets import IN_FORCE
from shared.errors import AzureFault, BadRules, Problem
from shared.ports import Ports

BROKEN = "RULES_BROKEN"
NO_RULES = "RULES_MISSING"
NOBODY = "RULES_ROUTE_NOBODY"
_SHOWN = 5  # problems in one notice


async def look_at_rules(ports: Ports) -> None:
    """Tell the operators what is wrong with the rules, and when it is no more."""
    said = await _looked_at(ports)
    await ports.ledger.note(IN_FORCE, said)


async def _looked_at(ports: Ports) -> str:
    """Tell the operators; give the page's words."""
    try:
        rules = await ports.rules.current()
    except BadRules as bad:
        await _wrong(ports, NO_RULES, "There are no good rules: no VM is enrolled.", bad.problems)
        return "there are none that can be used: nothing is decided"
    except AzureFault as fault:
        unread = Problem(file="rules", line=0, column=0, message=f"cannot be read: {fault}")
        await _wrong(ports, NO_RULES, "The rules cannot be read: no VM is enrolled.", (unread,))
        return f"cannot be read ({fault.code or fault.status}): nothing is decided"
    await ports.notices.operators_clear(NO_RULES, ports.clock.now())
    errors = tuple(one for one in ports.rules.problems if one.level == "error")
    await _wrong(
        ports,
        BROKEN,
        f"The newest rules file cannot be used; version {rules.version} stays in force until it is"
        " corrected.",
        errors,
    )
    await _wrong(
        ports,
        NOBODY,
        "The rules name recipients that no channel of this deployment reaches; notices for them go"
        " to the fallback. Correct the name, or set the channel up.",
        tuple(_to_nobody(ports, rules)),
    )
    newer = f"; a newer file is not used: {errors[0]}" if errors else ""
    return f"version {rules.version} runs{newer}"


def _to_nobody(ports: Ports, rules: Rules) -> Iterator[Problem]:
    notices = rules.content.notices
    named = [(f"route {route.name}", route.to) for route in notices.routes]
    for where, words in (*named, ("the fallback", notices.fallback)):
        for word in ports.notices.unreachable(words):
            yield Problem(
                file=rules.file, line=0, column=0, message=f"{where}: {word!r}", level="warning"
            )


async def _wrong(ports: Ports, code: str, text: str, problems: Sequence[Problem]) -> None:
    """Tell of problems, or that there are none (any more)."""
    now = ports.clock.now()
    if not problems:
        await ports.notices.operators_clear(code, now)
        return
    shown = "; ".join(str(one) for one in problems[:_SHOWN])
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    await ports.notices.tell_operators(code, text, shown + more, now)
    telemetry.wide("rules.wrong", code=code, problems=len(problems))
