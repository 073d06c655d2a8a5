"""Selectors compiled to tests: fast to ask of thousands of VMs, able to say why one failed.

A VM is looked at through `Traits`, in the plain spelling that comparisons use.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from shared.domain.ids import ArmId
from shared.domain.model import Snapshot, Tags, Vm, region_of
from shared.domain.rules.model import Inherit, Selector, TagTest, TagTests, Words
from shared.domain.spelling import plain

_GLOB = frozenset("*?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """One effective tag: as written, and where it comes from (vm, resource-group, ...)."""

    name: str
    value: str
    origin: str = "vm"

    @property
    def whence(self) -> str:
        """Say where an inherited tag comes from, to follow its value."""
        return "" if self.origin == "vm" else f" of the {self.origin.replace('-', ' ')}"


type EffectiveTags = dict[str, Tag]  # plain name -> tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What selectors may look at, in plain spelling."""

    tags: dict[str, str]
    subscription: str
    group: str
    name: str
    region: str
    os: str
    size: str
    publisher: str


def effective_tags(snapshot: Snapshot, inherit: tuple[Inherit, ...]) -> EffectiveTags:
    """Merge the VM's own tags with those it inherits; its own always win (row F24)."""
    found: EffectiveTags = {}
    sources: list[tuple[str, Tags | None]] = [("vm", snapshot.vm.tags if snapshot.vm else None)]
    for source in inherit:
        match source:
            case Inherit.GROUP:
                sources.append((source.value, snapshot.group_tags))
            case Inherit.SUBSCRIPTION:
                sources.append((source.value, snapshot.subscription_tags))
    for origin, tags in sources:
        for name, value in (tags or {}).items():
            key = plain(name)
            if key not in found:
                found[key] = Tag(name=name.strip(), value=value.strip(), origin=origin)
    return found


def traits_of(vm: ArmId, body: Vm | None, tags: EffectiveTags) -> Traits:
    """Give what selectors see of one VM."""
    return Traits(
        tags={key: plain(tag.value) for key, tag in tags.items()},
        subscription=vm.subscription.lower(),
        group=vm.group.casefold(),
        name=vm.name.casefold(),
        region=region_of(body.location) if body else "",
        os=(body.os or "").casefold() if body else "",
        size=body.size.casefold() if body else "",
        publisher=body.image.publisher.casefold() if body else "",
    )


@dataclass(frozen=True, slots=True)
class Condition:
    """One test, and how to say that it failed."""

    test: Callable[[Traits], bool]
    why_not: Callable[[Traits], str]


def compiled(selector: Selector) -> Condition:
    """Compile a selector; an empty one matches everything."""
    parts = [
        _words("subscription", selector.subscriptions, lambda t: t.subscription),
        _words("resource group", selector.groups, lambda t: t.group),
        _words("name", selector.names, lambda t: t.name),
        _words("region", tuple(map(region_of, selector.regions)), lambda t: t.region),
        _words("operating system", tuple(map(str, selector.os)), lambda t: t.os),
        _words("size", selector.sizes, lambda t: t.size),
        _words("publisher", selector.publishers, lambda t: t.publisher),
        *tag_conditions(selector.tags),
        *(compiled(inner) for inner in selector.all),
    ]
    if selector.any:
        parts.append(_any([compiled(inner) for inner in selector.any]))
    parts.extend(_not(compiled(inner)) for inner in selector.none)
    return _all([part for part in parts if part is not None])


def tag_conditions(tests: TagTests) -> list[Condition]:
    """Compile the tests of a ``tags`` mapping."""
    return [_tag(name, test) for name, test in tests.items()]


def matcher(words: Words) -> Callable[[str], bool]:
    """Compile words and globs to one test of a plain text."""
    plains = [plain(word) for word in words]
    exact = frozenset(word for word in plains if not _GLOB & set(word))
    globs = [word for word in plains if _GLOB & set(word)]
    if not globs:
        return exact.__contains__
    pattern = re.compile("|".join(fnmatch.translate(word.replace("[", "[[]")) for word in globs))
    if not exact:
        return lambda text: pattern.match(text) is not None
    return lambda text: text in exact or pattern.match(text) is not None


def is_glob(word: str) -> bool:
    return bool(_GLOB & set(word))


def _words(what: str, words: Words, of: Callable[[Traits], str]) -> Condition | None:
    if not words:
        return None
    fits = matcher(words)
    return Condition(
        lambda traits: fits(of(traits)),
        lambda traits: f"{what} is {of(traits) or 'unknown'}, not {_or(words)}",
    )


def _tag(name: str, test: str | Words | TagTest) -> Condition:
    key = plain(name)
    if not isinstance(test, TagTest):
        return _tag_words(name, key, (test,) if isinstance(test, str) else test)
    parts = []
    if test.present is True:
        parts.append(Condition(lambda t: key in t.tags, lambda _: f"there is no tag {name}"))
    if test.present is False:
        parts.append(Condition(lambda t: key not in t.tags, lambda _: f"there is a tag {name}"))
    if test.any_of:
        parts.append(_tag_words(name, key, test.any_of))
    if test.none_of:
        refused = matcher(test.none_of)
        parts.append(
            Condition(
                lambda t: key not in t.tags or not refused(t.tags[key]),
                lambda t: f"tag {name} is {t.tags.get(key, '')!r}",
            )
        )
    return _all(parts)


def _tag_words(name: str, key: str, words: Words) -> Condition:
    fits = matcher(words)
    if len(words) == 1 and not is_glob(words[0]):
        wanted = plain(words[0])
        test: Callable[[Traits], bool] = lambda t: t.tags.get(key) == wanted  # noqa: E731
    else:
        test = lambda t: (value := t.tags.get(key)) is not None and fits(value)  # noqa: E731

    def why_not(traits: Traits) -> str:
        value = traits.tags.get(key)
        if value is None:
            return f"there is no tag {name}"
        return f"tag {name} is {value!r}, not {_or(words)}"

    return Condition(test, why_not)


def _all(parts: list[Condition]) -> Condition:
    if not parts:
        return Condition(lambda _: True, lambda _: "")
    if len(parts) == 1:
        return parts[0]
    tests = tuple(part.test for part in parts)

    def test(traits: Traits) -> bool:
        for one in tests:  # noqa: SIM110 a generator costs more than the test itself
            if not one(traits):
                return False
        return True

    def why_not(traits: Traits) -> str:
        return "; ".join(part.why_not(traits) for part in parts if not part.test(traits))

    return Condition(test, why_not)


def _any(parts: list[Condition]) -> Condition:
    return Condition(
        lambda traits: any(part.test(traits) for part in parts),
        lambda traits: "none of: " + " | ".join(part.why_not(traits) for part in parts),
    )


def _not(part: Condition) -> Condition:
    return Condition(lambda traits: not part.test(traits), lambda _: "an excepted condition holds")


def _or(words: Iterable[str]) -> str:
    return " or ".join(words)
