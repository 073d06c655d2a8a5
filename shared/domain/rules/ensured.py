"""Declared policies and vaults of a rules file, held against Azure's limits and the tiers."""

from __future__ import annotations

import re

from shared.domain.policycode import check as policy_limits
from shared.domain.rules.declared import Kind
from shared.domain.rules.decode import Path
from shared.domain.rules.model import RulesFile
from shared.domain.rules.saying import Found, Say, is_guid, known
from shared.domain.spelling import plain

VAULT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,49}")  # facts §1.12, row S2
_VAULT_HINT = "2-50 letters, digits, hyphens; starts with a letter"


def declared_problems(content: RulesFile, say: Say) -> Found:
    """Hold declared policies and vaults against Azure's limits and against the tiers."""
    seen: set[str] = set()
    for at, policy in enumerate(content.declared.policies):
        path: Path = ("declared", "policies", at)
        for where, message, hint, level in policy_limits.problems(policy):
            yield say((*path, *where), f"{'.'.join(where)}: {message}", hint, level)
        if plain(policy.name) in seen:
            yield say((*path, "name"), f"a second policy is called {policy.name!r}")
        seen.add(plain(policy.name))
        for number, name in enumerate(policy.vaults):
            yield from known((*path, "vaults", number), "vault set", name, content.vaults, say)
        for name, tier in content.tiers.names.items():
            other = tier.enhanced if policy.kind is Kind.STANDARD else tier.standard
            if plain(policy.name) in map(plain, other):
                yield say(
                    (*path, "kind"),
                    f"policy {policy.name} is declared {policy.kind.value}, tier {name} has it as"
                    " the other kind",
                )
    yield from _vaults(content, say)


def _vaults(content: RulesFile, say: Say) -> Found:
    for at, vault in enumerate(content.declared.vaults):
        where: Path = ("declared", "vaults", at)
        if not VAULT_NAME.fullmatch(vault.name):
            yield say((*where, "name"), f"{vault.name[:60]!r} is no vault name", _VAULT_HINT)
        if not is_guid(vault.subscription):
            yield say(
                (*where, "subscription"), f"{vault.subscription[:60]!r} is no subscription id"
            )
    new = content.new_vaults
    if not VAULT_NAME.fullmatch(new.name.replace("{region}", "germanywestcentral")):
        yield say(("new_vaults", "name"), f"{new.name[:60]!r} makes no vault name", _VAULT_HINT)
    if new.subscription and not is_guid(new.subscription):
        yield say(
            ("new_vaults", "subscription"), f"{new.subscription[:60]!r} is no subscription id"
        )
