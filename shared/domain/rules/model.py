"""The rules file as types: what a team can say about its backups, in one reviewable file.

These structs are the file's format (schema.json is generated from them) and, decoded, what
selection and placement read. Lists of words may be written as a single word. Everything has a
safe default except what only the team can know: tiers, vaults, rules and the default.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.domain.findings import Severity
from shared.domain.model import OsType
from shared.domain.rules.declared import DeclaredPolicy, DeclaredVault, NewVaults, Redundancy

Words = tuple[str, ...]
Word = Annotated[str, Meta(min_length=1)]
Listed = tuple[Word, ...]  # with min_length=1: an empty list could mean all VMs, or none
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=80,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$",
        description="A short name, shown to people.",
    ),
]

Minutes = Annotated[int, Meta(ge=0, le=10080)]
Hours = Annotated[int, Meta(ge=1, le=720)]


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of the file's structs: unknown keys are mistakes, values never change."""


class TagTest(Struct, frozen=True, kw_only=True):
    """A test of one tag beyond plain values."""

    present: Annotated[
        bool | None, Meta(description="true: the tag must exist; false: it must not.")
    ] = None
    any_of: Annotated[
        Words, Meta(min_length=1, description="One of these values; * and ? are globs.")
    ] = ()
    none_of: Annotated[
        Words, Meta(min_length=1, description="None of these values; absent is fine.")
    ] = ()


TagTests = dict[str, str | Annotated[Words, Meta(min_length=1)] | TagTest]


class Selector(Struct, frozen=True, kw_only=True):
    """Which VMs: every given condition must hold (AND); a list means one of (OR)."""

    tags: Annotated[
        TagTests, Meta(min_length=1, description="Tag name to value, values (globs) or a test.")
    ] = {}
    subscriptions: Annotated[Listed, Meta(min_length=1, description="Subscription ids.")] = ()
    groups: Annotated[Listed, Meta(min_length=1, description="Resource group names (globs).")] = ()
    names: Annotated[Listed, Meta(min_length=1, description="VM names (globs).")] = ()
    regions: Annotated[
        Listed, Meta(min_length=1, description="Azure regions, in any spelling.")
    ] = ()
    os: Annotated[tuple[OsType, ...], Meta(min_length=1, description="Windows, Linux.")] = ()
    sizes: Annotated[Listed, Meta(min_length=1, description="VM sizes (globs).")] = ()
    publishers: Annotated[Listed, Meta(min_length=1, description="Image publishers (globs).")] = ()
    all: Annotated[tuple[Selector, ...], Meta(min_length=1, description="All of these hold.")] = ()
    any: Annotated[
        tuple[Selector, ...], Meta(min_length=1, description="At least one of these holds.")
    ] = ()
    none: Annotated[
        tuple[Selector, ...], Meta(min_length=1, description="None of these holds.")
    ] = ()


class Inherit(StrEnum):
    """Where a tag may come from if the VM does not carry it."""

    GROUP = "resource-group"
    SUBSCRIPTION = "subscription"


class WantedKind(StrEnum):
    STANDARD = "standard"
    ENHANCED = "enhanced"


class TrustedLaunch(StrEnum):
    """What a Trusted Launch VM gets (facts §3.3)."""

    PREFER = "prefer-enhanced"  # the tier's Enhanced policy, else its Standard one with a remark
    REQUIRE = "require-enhanced"  # the tier's Enhanced policy, else POLICY_KIND
    ALLOW = "allow-standard"  # like any other VM


class Choice(StrEnum):
    ENROLL = "enroll"
    IGNORE = "ignore"


class UnknownValue(StrEnum):
    BLOCK = "block"
    DEFAULT = "default"  # the default tier, and the owner is told


class SharedDisks(StrEnum):
    BLOCK = "block"
    EXCLUDE = "exclude"  # leave them out by LUN; needs an Enhanced policy (facts §3.2)


class FirstBackup(Struct, frozen=True, kw_only=True):
    """Start a first backup if the schedule is further away than this."""

    further_than_hours: Annotated[int, Meta(ge=1, le=168)]


class FirstBackupSwitch(StrEnum):
    NEVER = "never"
    ALWAYS = "always"


class Consents(Struct, frozen=True, kw_only=True):
    """What the service may do by itself that a person would otherwise be asked about."""

    resume_stopped: Annotated[
        bool | None, Meta(description="Resume protection that somebody stopped.")
    ] = None
    undelete: Annotated[
        bool | None, Meta(description="Undelete a soft-deleted item and resume it.")
    ] = None
    standard_to_enhanced: Annotated[
        bool | None, Meta(description="Move from a Standard to an Enhanced policy: no way back.")
    ] = None


class Switches(Struct, frozen=True, kw_only=True):
    """How VMs of a rule are treated. What a rule leaves out comes from the file's `options`."""

    first_backup: FirstBackupSwitch | FirstBackup | None = None
    network_check: Annotated[
        bool | None, Meta(description="Read network security groups and routes (advisory).")
    ] = None
    pre_validate: Annotated[
        bool | None, Meta(description="Ask Azure's own validation too; costs one ARM write.")
    ] = None
    grace_minutes: Annotated[
        Minutes | None,
        Meta(description="How long a passing state is waited for before the try."),
    ] = None
    minimum_age_minutes: Annotated[
        Minutes | None, Meta(description="Leave VMs alone until they are this old.")
    ] = None
    deadline_hours: Annotated[
        Hours | None,
        Meta(description="First recovery point: at most this after its schedule."),
    ] = None
    scale_set_instances: Annotated[
        Choice | None, Meta(description="Instances of flexible scale sets.")
    ] = None
    spot_vms: Choice | None = None
    policy_kind: Annotated[
        WantedKind | None, Meta(description="Preferred kind for VMs that may have either.")
    ] = None
    trusted_launch: TrustedLaunch | None = None
    shared_disks: SharedDisks | None = None
    consents: Consents | None = None
    tell: Annotated[
        Words | None, Meta(description="Advisory finding codes that are worth a notice.")
    ] = None


class Rule(Struct, frozen=True, kw_only=True):
    """One rule. The first whose selector matches decides; order is the only priority."""

    name: Name
    when: Selector = Selector()
    ignore: Annotated[
        str, Meta(max_length=300, description="Leave these VMs alone, for this reason.")
    ] = ""
    vaults: Annotated[Words, Meta(description="Vault sets, first choice first.")] = ()
    tier: Annotated[str, Meta(description="This tier, whatever the tag says.")] = ""
    default_tier: Annotated[str, Meta(description="Tier of VMs without the tag.")] = ""
    options: Switches = Switches()
    notices: Annotated[str, Meta(description="Name of a notice route.")] = ""


class DefaultRule(Struct, frozen=True, kw_only=True):
    """What happens to VMs that no rule matches."""

    ignore: Annotated[str, Meta(max_length=300)] = ""
    vaults: Words = ()
    tier: str = ""
    default_tier: str = ""
    options: Switches = Switches()
    notices: str = ""


class NoDefault(StrEnum):
    NOTHING = "nothing"  # finding NO_RULE


class Tier(Struct, frozen=True, kw_only=True):
    """The policies of one tier, per kind: twins. Several names are a spread group."""

    standard: Annotated[Words, Meta(description="Standard policies.")] = ()
    enhanced: Annotated[Words, Meta(description="Enhanced policies.")] = ()
    aliases: Annotated[Words, Meta(description="Other tag values that mean this tier.")] = ()


class Tiers(Struct, frozen=True, kw_only=True):
    """Tag value to tier to policies."""

    tag: Annotated[str, Meta(min_length=1, max_length=512, description="Tag that names the tier.")]
    names: Annotated[dict[str, Tier], Meta(min_length=1)]
    default: Annotated[str, Meta(description="Tier of VMs without the tag; none: blocked.")] = ""
    unknown_value: UnknownValue = UnknownValue.BLOCK


class Preference(StrEnum):
    """How candidates are ordered; the last tie is broken by a hash of the VM's id."""

    LISTED = "listed"  # order of `ids`; tagged vaults after them
    SAME_SUBSCRIPTION = "same-subscription"
    REDUNDANCY = "redundancy"  # the wanted one first
    IMMUTABLE = "immutable"
    ROOM = "room"  # emptiest first, in tenths of the limit


class Subscriptions(StrEnum):
    ANY = "any"
    SAME = "same"  # only vaults of the VM's own subscription


class VaultSet(Struct, frozen=True, kw_only=True):
    """Candidate vaults: named by id or found by tag, always in the VM's own region."""

    ids: Annotated[
        Words,
        Meta(description="Vault ids. Vaults with private endpoints are used only if named here."),
    ] = ()
    tags: Annotated[TagTests, Meta(description="Every vault whose tags pass.")] = {}
    same_tag: Annotated[
        Words, Meta(description="Tags whose value on the vault must equal the VM's.")
    ] = ()
    subscriptions: Subscriptions = Subscriptions.ANY
    redundancy: Redundancy | None = None
    prefer: tuple[Preference, ...] = (
        Preference.LISTED,
        Preference.REDUNDANCY,
        Preference.SAME_SUBSCRIPTION,
    )
    spill: Annotated[
        bool, Meta(description="Take the next candidate when the first is full for the day.")
    ] = True


class RuleExclusion(Struct, frozen=True, kw_only=True):
    """VMs that are deliberately not backed up: who says so, why, and until when."""

    name: Name
    when: Selector
    owner: Annotated[str, Meta(min_length=3, max_length=200)]
    reason: Annotated[str, Meta(min_length=5, max_length=500)]
    expires: Annotated[date, Meta(description="Last day of the exclusion (UTC).")]


class TagExclusion(Struct, frozen=True, kw_only=True):
    """A tag by which owners may exclude their own VM, for a while."""

    tag: Annotated[str, Meta(min_length=1, max_length=512)]
    max_days: Annotated[int, Meta(ge=1, le=366)]
    values: Annotated[Words, Meta(description="Values that exclude (globs); none: any.")] = ()
    when: Selector = Selector()


class Route(Struct, frozen=True, kw_only=True):
    """Who hears of a VM: `owner`, `mail:ADDRESS`, `teams:CHANNEL`, `topic`.

    With `causes` or `severity` it is for VMs with such a finding, and without `when` for all of
    them; it goes before a route that says nothing of causes.
    """

    name: Name
    to: Annotated[Words, Meta(min_length=1)]
    when: Selector = Selector()
    causes: Annotated[Words, Meta(description="Codes of findings; * and ? are globs.")] = ()
    severity: tuple[Severity, ...] = ()
    language: str = ""

    @property
    def by_cause(self) -> bool:
        """Tell whether what is found decides, too."""
        return bool(self.causes or self.severity)


class Notices(Struct, frozen=True, kw_only=True):
    """The first route for what was found; else the one that the VM's rule names; else the first,
    in order, whose `when` chooses the VM.
    """

    routes: tuple[Route, ...] = ()
    fallback: Annotated[Words, Meta(description="Who hears if nobody else can be found.")] = ()


class Declared(Struct, frozen=True, kw_only=True):
    """Policies and vaults as code: `ops policies ensure` compares and applies them."""

    policies: tuple[DeclaredPolicy, ...] = ()
    vaults: tuple[DeclaredVault, ...] = ()


class RulesFile(Struct, frozen=True, kw_only=True):
    """The whole file."""

    version: Annotated[int, Meta(ge=1, le=1, description="Format of this file.")]
    tiers: Tiers
    vaults: Annotated[dict[str, VaultSet], Meta(min_length=1)]
    default: NoDefault | DefaultRule
    rules: tuple[Rule, ...] = ()
    inherit_tags: Annotated[
        tuple[Inherit, ...], Meta(description="Where missing tags are looked for, in order.")
    ] = (Inherit.GROUP, Inherit.SUBSCRIPTION)
    options: Switches = Switches()
    exclusions: tuple[RuleExclusion, ...] = ()
    tag_exclusions: tuple[TagExclusion, ...] = ()
    notices: Notices = Notices()
    declared: Declared = Declared()
    new_vaults: NewVaults = NewVaults()
