"""Lint: what is wrong with rules once the estate and the calendar are known (row F27).

`rules.parse` judges the file by itself; here it is held against vaults, policies and regions that
exist, and against today. Every problem keeps its line and column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from shared.domain.catalogue import CATALOGUE
from shared.domain.daylight import next_change
from shared.domain.ids import ArmId
from shared.domain.model import Policy, PolicyKind, Vault, region_of
from shared.domain.rules import Rules
from shared.domain.rules.decode import Path
from shared.domain.rules.model import VaultSet
from shared.domain.rules.selectors import Traits, matcher, tag_conditions
from shared.domain.rules.vocabulary import selectors
from shared.domain.spelling import did_you_mean, plain
from shared.errors import Problem

ENDING_SOON = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What exists; a file is held against an empty list of vaults too."""

    vaults: tuple[Vault, ...]
    policies: Mapping[str, tuple[Policy, ...]] = field(default_factory=dict)  # vault key ->
    vms: Mapping[str, int] = field(default_factory=dict)  # region -> VMs that live there


def lint(rules: Rules, now: datetime, known: Known | None = None) -> tuple[Problem, ...]:
    """Give the file's own warnings and everything the estate and the date add, in file order."""
    found = [*rules.warnings, *_exclusions(rules, now.astimezone(UTC).date()), *_clocks(rules, now)]
    found += _causes(rules)
    if known is not None:
        found += [*_vaults(rules, known), *_policies(rules, known)]
    if known is not None and known.vms:
        found += [*_regions(rules, known), *_uncovered(rules, known)]
    return tuple(sorted(found, key=lambda one: (one.line, one.column)))


def _say(rules: Rules, path: Path, message: str, hint: str = "", level: str = "warning") -> Problem:
    while path and path not in rules.marks:
        path = path[:-1]
    line, column = rules.marks.get(path, (0, 0))
    return Problem(
        file=rules.file, line=line, column=column, message=message, hint=hint, level=level
    )


def _exclusions(rules: Rules, today: date) -> Iterator[Problem]:
    for at, one in enumerate(rules.content.exclusions):
        path: Path = ("exclusions", at, "expires")
        if one.expires < today:
            hint = "remove it, or renew it with a reason"
            yield _say(rules, path, f"exclusion {one.name} has ended; its VMs are enrolled", hint)
        elif one.expires - today <= ENDING_SOON:
            days = (one.expires - today).days
            yield _say(rules, path, f"exclusion {one.name} ends in {days} days", one.owner)


def _causes(rules: Rules) -> Iterator[Problem]:
    """Say which causes of a route no finding has: nobody would ever hear by it."""
    codes = [plain(code) for code in CATALOGUE]
    for at, route in enumerate(rules.content.notices.routes):
        for number, cause in enumerate(route.causes):
            if not any(map(matcher((cause,)), codes)):
                yield _say(
                    rules,
                    ("notices", "routes", at, "causes", number),
                    f"route {route.name!r}: no finding is called {cause[:60]!r}",
                    "docs/checks.md lists them all",
                )


def _clocks(rules: Rules, now: datetime) -> Iterator[Problem]:
    for at, policy in enumerate(rules.content.declared.policies):
        change = next_change(policy.time_zone, now.date())
        if change is not None and change.on - now.date() <= ENDING_SOON:
            minutes = abs(change.minutes)
            way = "later" if change.minutes > 0 else "earlier"
            yield _say(
                rules,
                ("declared", "policies", at, "time_zone"),
                f"from {change.on} policy {policy.name} starts {minutes} minutes {way} by the"
                " wall clock",
                "change its schedule by hand if that matters",
            )


def members(vaults: VaultSet, known: Sequence[Vault]) -> tuple[Vault, ...]:
    """Give the vaults of a set, whatever the VM: named, or tagged as the set asks."""
    ids = {text.strip().strip("/").lower() for text in vaults.ids}
    found = []
    for vault in known:
        tags = {plain(name): plain(value) for name, value in vault.tags.items()}
        seen = Traits(
            tags=tags, subscription="", group="", name="", region="", os="", size="", publisher=""
        )
        tagged = bool(vaults.tags or vaults.same_tag) and (
            all(condition.test(seen) for condition in tag_conditions(vaults.tags))
            and all(plain(name) in tags for name in vaults.same_tag)
        )
        if vault.id.key.strip("/") in ids or (tagged and not vault.private_endpoints):
            found.append(vault)
    return tuple(found)


def _vaults(rules: Rules, known: Known) -> Iterator[Problem]:
    keys = {vault.id.key for vault in known.vaults}
    for name, vaults in rules.content.vaults.items():
        for at, text in enumerate(vaults.ids):
            if ArmId.parse(text).key not in keys:
                wanted = ArmId.parse(text).name
                hint = did_you_mean(wanted, [vault.name for vault in known.vaults])
                path: Path = ("vaults", name, "ids", at)
                yield _say(rules, path, f"there is no vault {wanted}", hint, "error")
        if not vaults.ids and not members(vaults, known.vaults):
            yield _say(rules, ("vaults", name), f"no vault fits vault set {name}")


def _policies(rules: Rules, known: Known) -> Iterator[Problem]:
    """Every policy of a tier must exist, with its kind, in every vault of a set in use."""
    vaults = {v.id.key: v for s in rules.content.vaults.values() for v in members(s, known.vaults)}
    for key, vault in vaults.items():
        there = {plain(policy.name): policy for policy in known.policies.get(key, ())}
        for name, tier in rules.content.tiers.names.items():
            for field_name, kind in (
                ("standard", PolicyKind.STANDARD),
                ("enhanced", PolicyKind.ENHANCED),
            ):
                for at, wanted in enumerate(getattr(tier, field_name)):
                    path: Path = ("tiers", "names", name, field_name, at)
                    found = there.get(plain(wanted))
                    if found is None:
                        message = f"vault {vault.name} has no policy {wanted}"
                        hint = did_you_mean(wanted, [policy.name for policy in there.values()])
                        yield _say(rules, path, message, hint)
                    elif found.kind is not kind:
                        message = f"{wanted} in vault {vault.name} is an {found.kind.value} policy"
                        yield _say(rules, path, message, f"move it to {found.kind.value.lower()}")


def _regions(rules: Rules, known: Known) -> Iterator[Problem]:
    regions = {region_of(region) for region in known.vms}
    regions |= {region_of(vault.location) for vault in known.vaults}
    for path, selector in selectors(rules.content):
        for at, region in enumerate(selector.regions):
            if region_of(region) not in regions:
                hint = did_you_mean(region_of(region), regions)
                where: Path = (*path, "regions", at)
                yield _say(rules, where, f"nothing of ours is in region {region}", hint)


def _uncovered(rules: Rules, known: Known) -> Iterator[Problem]:
    """Count the VMs of regions for which no set that some rule uses has a vault (row S1)."""
    living: Counter[str] = Counter()
    for region, count in known.vms.items():
        living[region_of(region)] += count
    in_use = (*rules.rules, *([rules.default] if rules.default is not None else []))
    for sets in dict.fromkeys(
        tuple(name for name, _ in one.vaults) for one in in_use if not one.rule.ignore
    ):
        covered = {
            region_of(vault.location)
            for name in sets
            for vault in members(rules.content.vaults[name], known.vaults)
        }
        if missing := sorted(region for region in living if region not in covered):
            counted = ", ".join(
                f"{region} ({living[region]} VM{'s' * (living[region] != 1)})" for region in missing
            )
            names = " and ".join(sets)
            yield _say(rules, ("vaults", sets[0]), f"no vault of {names} lies in {counted}")
