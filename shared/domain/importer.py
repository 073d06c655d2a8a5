"""Azure Policy assignments of the built-in backup definitions, as rules (row F27).

Four definitions deploy backup (facts §3.8); what they do is written as rules that lint clean, and
what has no equal here is said: their image lists, their management-group scopes, their vaults made
with random names. Assignments of other definitions are named and left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.domain.ids import ArmId
from shared.domain.model import PolicyKind, region_of
from shared.domain.policycode import check as policy_limits
from shared.domain.quoting import one_line
from shared.domain.rules.selectors import is_glob
from shared.domain.spelling import plain
from shared.errors import BadArmId


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One built-in definition."""

    words: str
    new_vault: bool = False
    audit: bool = False


DEFINITIONS: Mapping[str, Definition] = {
    "09ce66bc-1220-4153-8104-e3f51c936913": Definition(words="all VMs, existing vault"),
    "345fa903-145c-4fe1-8bcd-93ec2adccde8": Definition(words="tagged VMs, existing vault"),
    "98d0b9f8-fd90-49c9-88e2-d3baf3b0dd86": Definition(words="all VMs, new vault", new_vault=True),
    "83644c87-93dd-49fe-bf9f-6aff8fd0834e": Definition(
        words="tagged VMs, new vault", new_vault=True
    ),
    "013e242c-8828-4970-87b3-ab247555486d": Definition(words="audit only", audit=True),
}
_NARROWED = {"resourceSelectors": "resource selectors", "overrides": "overrides"}
_WORD = re.compile(r"[^A-Za-z0-9._-]+")
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The rules file as text, and what could not be translated, per assignment."""

    text: str
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Draft:
    """What has been collected so far."""

    tiers: dict[str, dict[str, str]] = field(default_factory=dict)
    vaults: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def imported(
    assignments: Iterable[Mapping[str, Any]],
    kinds: Mapping[str, PolicyKind] | None = None,
    tier_tag: str = "backup-tier",
) -> Imported:
    """Translate assignments as a GET returns them; ``kinds`` tells policies' kinds by id."""
    draft = _Draft()
    draft.notes.append(
        "exemptions are not part of assignments: write those that are still meant as exclusions"
    )
    seen: set[str] = set()
    for body in assignments:
        _assignment(draft, body, kinds or {}, seen)
    if not draft.tiers:
        draft.tiers["standard"] = {"standard": "DefaultPolicy"}
        draft.notes.append("no policy was found: tier standard with DefaultPolicy is a placeholder")
    if not draft.vaults:
        draft.vaults["central"] = {"tags": {"backup-vault": "central"}}
    lines = [
        "# Made from Azure Policy assignments; review it, then lint and simulate it.",
        *(f"# - {one_line(note, 300)}" for note in draft.notes),
        "version: 1",
        "inherit_tags: []  # the built-in definitions look at the VM's own tags alone",
        f"tiers: {_flow({'tag': tier_tag, 'names': draft.tiers})}",
        "vaults:",
        *(f"  {_flow(name)}: {_flow(one)}" for name, one in draft.vaults.items()),
        "rules:" if draft.rules else "rules: []",
        *(f"  - {_flow(rule)}" for rule in draft.rules),
        "default: nothing",
    ]
    return Imported(text="\n".join(lines) + "\n", notes=tuple(draft.notes))


def _flow(value: object) -> str:
    """Give a value in YAML's flow style, which JSON is."""
    return json.dumps(value, ensure_ascii=True)


def _assignment(
    draft: _Draft, body: Mapping[str, Any], kinds: Mapping[str, PolicyKind], seen: set[str]
) -> None:
    properties = body.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    title = one_line(str(properties.get("displayName") or body.get("name") or "assignment"), 60)
    name = _unique(_WORD.sub(" ", title).strip() or "assignment", seen)
    identity = str(properties.get("policyDefinitionId") or "").rstrip("/").rsplit("/", 1)[-1]
    definition = DEFINITIONS.get(identity.lower())
    if definition is None:
        draft.notes.append(f"{title}: not one of the built-in backup definitions; left out")
        return
    if definition.audit:
        draft.notes.append(f"{title}: only audits; the coverage page shows the same and more")
        return
    values = _parameters(properties)
    when, problem = _scope(str(properties.get("scope") or ""))
    if problem:
        draft.notes.append(f"{title}: {problem}")
    region = region_of(_text(values.get("vaultLocation")))
    if region:
        when["regions"] = region
    _tags(draft, title, values, when)
    _not_scopes(draft, title, properties, when)
    for key, what in _NARROWED.items():
        if properties.get(key):
            draft.notes.append(f"{title}: its {what} are not translated; the rule takes more VMs")
    if str(properties.get("enforcementMode") or "Default").lower() != "default":
        draft.notes.append(f"{title}: is not enforced today; its rule would enroll")
    if _text(values.get("effect")).lower() in {"disabled", "auditifnotexists"}:
        draft.notes.append(f"{title}: its effect does not deploy today; its rule would enroll")
    draft.notes.append(
        f"{title}: takes VMs of a list of marketplace images only; the rule takes every VM"
    )
    rule: dict[str, Any] = {"name": name, "when": when}
    rule |= _target(draft, title, definition, _text(values.get("backupPolicyId")), kinds)
    draft.rules.append(rule)


def _unique(name: str, seen: set[str]) -> str:
    base = (name if name[0].isalnum() else f"x {name}")[:70].strip()
    number, chosen = 2, base
    while chosen.casefold() in seen or chosen.casefold() == "default":
        chosen, number = f"{base} {number}", number + 1
    seen.add(chosen.casefold())
    return chosen


def _parameters(properties: Mapping[str, Any]) -> dict[str, Any]:
    given = properties.get("parameters")
    if not isinstance(given, Mapping):
        return {}
    return {
        str(name): one.get("value") if isinstance(one, Mapping) else one
        for name, one in given.items()
    }


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _words(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [one.strip() for one in values if isinstance(one, str) and one.strip()]


def _scope(scope: str) -> tuple[dict[str, Any], str]:
    """Give the selector of a scope, or say why there is none."""
    parts = [part for part in scope.strip("/").split("/") if part]
    lower = [part.lower() for part in parts]
    if len(parts) >= 2 and lower[0] == "subscriptions" and _GUID.fullmatch(lower[1]):
        when: dict[str, Any] = {"subscriptions": lower[1]}
        if len(parts) == 4 and lower[2] == "resourcegroups":
            when["groups"] = parts[3]
        elif len(parts) != 2:
            return when, f"scope {one_line(scope, 120)} is narrower than a resource group"
        return when, ""
    return {}, (
        f"scope {one_line(scope, 120) or '(none)'} is no subscription: the rule takes every"
        " subscription in scope of the service; name the right ones"
    )


def _tags(draft: _Draft, title: str, values: Mapping[str, Any], when: dict[str, Any]) -> None:
    wanted, name = _words(values.get("inclusionTagValue")), _text(values.get("inclusionTagName"))
    if name:
        when["tags"] = {name: wanted or {"present": True}}
        if not wanted:
            draft.notes.append(f"{title}: names no value of tag {name}; the rule takes any")
        _no_globs(draft, title, name, wanted)
    refused, name = _words(values.get("exclusionTagValue")), _text(values.get("exclusionTagName"))
    if name and refused:
        when.setdefault("tags", {})[name] = {"none_of": refused}
        _no_globs(draft, title, name, refused)
        draft.notes.append(
            f"{title}: tag {name} leaves VMs out for ever and without a reason; consider"
            " tag_exclusions, which end"
        )


def _no_globs(draft: _Draft, title: str, name: str, values: list[str]) -> None:
    if globs := [one for one in values if is_glob(one)]:
        words = one_line(", ".join(globs), 120)
        draft.notes.append(f"{title}: tag {name}: {words} is read as a glob here; check")


def _not_scopes(
    draft: _Draft, title: str, properties: Mapping[str, Any], when: dict[str, Any]
) -> None:
    for scope in _words(properties.get("notScopes")):
        left_out, problem = _scope(scope)
        if problem or not left_out:
            draft.notes.append(f"{title}: excluded scope {one_line(scope, 120)} is not translated")
        else:
            when.setdefault("none", []).append(left_out)


def _target(
    draft: _Draft,
    title: str,
    definition: Definition,
    policy_id: str,
    kinds: Mapping[str, PolicyKind],
) -> dict[str, Any]:
    """Give vault set and tier of an assignment."""
    if definition.new_vault or not policy_id:
        draft.notes.append(
            f"{title}: makes vaults of its own, one per region; tag those backup-vault=central, and"
            " say in the tier which policy they hold"
        )
        draft.vaults.setdefault("central", {"tags": {"backup-vault": "central"}})
        draft.tiers.setdefault("standard", {"standard": "DefaultPolicy"})
        return {"vaults": "central", "tier": "standard"}
    try:
        policy = ArmId.parse(policy_id)
        vault = policy.parent
    except BadArmId:
        vault = None
    if vault is None or not policy_limits.NAME.fullmatch(policy.name):
        draft.notes.append(f"{title}: {one_line(policy_id, 120)} is no policy id")
        return {}
    kind = kinds.get(policy.key)
    if kind is None:
        draft.notes.append(f"{title}: policy {policy.name} is taken to be a Standard one; check")
    key = (kind or PolicyKind.STANDARD).value.lower()
    tier = next((one for one in draft.tiers if plain(one) == plain(policy.name)), policy.name)
    draft.tiers.setdefault(tier, {key: policy.name})
    return {"vaults": _set_of(draft, vault), "tier": tier}


def _set_of(draft: _Draft, vault: ArmId) -> str:
    """Give the set that holds one vault; vaults of one name get sets of different ones."""
    for name, one in draft.vaults.items():
        if plain(str(one.get("ids"))) == plain(str(vault)):
            return name
    seen = set(map(plain, draft.vaults))
    names = (vault.name, f"{vault.name} of {vault.group}", f"{vault.name} of {vault}")
    name = next(one for one in names if plain(one) not in seen)
    draft.vaults[name] = {"ids": str(vault)}
    return name
