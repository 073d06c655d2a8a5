"""Finds the route of a request: a trie of path words, literals in any case, captures as sent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from simulator.arm import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    route: Route
    params: Mapping[str, str]


class _Node:
    __slots__ = ("capture", "literals", "routes")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.capture: _Node | None = None
        self.routes: dict[str, Route] = {}

    def add(self, words: list[str], route: Route) -> None:
        node = self
        for word in words:
            if word.startswith("{"):
                node.capture = node.capture or _Node()
                node = node.capture
            else:
                node = node.literals.setdefault(word.lower(), _Node())
        if route.method in node.routes:
            raise ValueError(f"{route.method} {route.template} is routed twice")
        node.routes[route.method] = route

    def find(self, words: list[str], at: int, taken: tuple[str, ...]) -> "_Found | None":
        if at == len(words):
            return (self, taken) if self.routes else None
        literal = self.literals.get(words[at].lower())
        if literal is not None and (found := literal.find(words, at + 1, taken)):
            return found
        if self.capture is None:
            return None
        return self.capture.find(words, at + 1, (*taken, words[at]))


type _Found = tuple[_Node, tuple[str, ...]]


class Router:
    """Finds the route of a path: literals in any case, ``;`` equal to ``%3B``, ``/`` at the end or not."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._plain = _Node()
        self._extension = _Node()
        self.namespaces: set[str] = set()
        for route in routes:
            words = route.template.strip("/").split("/")
            if words[0] == "{scope}":
                self._extension.add(words[1:], route)
            else:
                self._plain.add(words, route)
            low = [word.lower() for word in words]
            if "providers" in low[:-1]:
                self.namespaces.add(low[low.index("providers") + 1])

    def match(self, method: str, path: str) -> Match | None:
        words = [unquote(word) for word in path.strip("/").split("/")]
        found = self._plain.find(words, 0, ())
        if found is None or method not in found[0].routes:
            found = self._below_scope(words) or found
        if found is None:
            return None
        node, taken = found
        route = node.routes.get(method)
        if route is None:
            return None
        return Match(route=route, params=dict(zip(route.captures, taken, strict=True)))

    def _below_scope(self, words: list[str]) -> _Found | None:
        low = [word.lower() for word in words]
        if "providers" not in low:
            return None
        at = len(low) - 1 - low[::-1].index("providers")
        head = "/" + "/".join(words[:at]) if at else ""
        found = self._extension.find(words, at, ())
        return (found[0], (head, *found[1])) if found else None
