"""Which values of a tag the rules speak of, so that a misspelled one can be noticed (row F23)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from shared.domain.rules.model import RulesFile, Selector, TagTest
from shared.domain.rules.selectors import is_glob, matcher
from shared.domain.spelling import Slips, plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Known values of one tag. ``fits`` covers globs and plain values alike."""

    tag: str
    values: tuple[str, ...]
    fits: Callable[[str], bool] = field(compare=False, repr=False)
    slips: Slips = field(compare=False, repr=False)
    free: bool = False  # some rule only asks whether the tag is there: any value is fine

    def suspicion(self, value: str) -> str:
        """Give the known value this one is a slip of, or ""; other values are nobody's mistake."""
        if self.free or not self.values or self.fits(value):
            return ""
        return self.slips.of(value)


def selectors(content: RulesFile) -> Iterator[tuple[tuple[str | int, ...], Selector]]:
    """Walk every selector of the file with its path, nested ones included."""
    tops: list[tuple[tuple[str | int, ...], Selector]] = [
        (("rules", at, "when"), rule.when) for at, rule in enumerate(content.rules)
    ]
    tops += [(("exclusions", at, "when"), one.when) for at, one in enumerate(content.exclusions)]
    tops += [
        (("tag_exclusions", at, "when"), one.when) for at, one in enumerate(content.tag_exclusions)
    ]
    tops += [
        (("notices", "routes", at, "when"), one.when)
        for at, one in enumerate(content.notices.routes)
    ]
    while tops:
        path, selector = tops.pop()
        yield path, selector
        for name in ("all", "any", "none"):
            inner: tuple[Selector, ...] = getattr(selector, name)
            tops += [((*path, name, at), one) for at, one in enumerate(inner)]


def values_of(test: str | tuple[str, ...] | TagTest) -> tuple[str, ...]:
    """Give every value a tag test mentions."""
    match test:
        case str():
            return (test,)
        case TagTest():
            return (*test.any_of, *test.none_of)
        case _:
            return test


def vocabularies(content: RulesFile) -> Mapping[str, Vocabulary]:
    """Collect the words per tag over all selectors; the tier tag has its own table."""
    words: dict[str, dict[str, str]] = defaultdict(dict)
    free: set[str] = set()
    names: dict[str, str] = {}
    for _, selector in selectors(content):
        for name, test in selector.tags.items():
            key = plain(name)
            names.setdefault(key, name)
            words[key].update((plain(value), value) for value in values_of(test))
            if isinstance(test, TagTest) and test.present and not test.any_of:
                free.add(key)
    return {key: _vocabulary(names[key], found, key in free) for key, found in words.items()}


def _vocabulary(tag: str, words: Mapping[str, str], free: bool) -> Vocabulary:
    values = tuple(value for value in words.values() if not is_glob(value))
    return Vocabulary(
        tag=tag,
        values=values,
        fits=matcher(tuple(words.values())),
        slips=Slips(values),
        free=free,
    )
