"""Which VM of a seed a row is about: by name, by `group/name` where names repeat, or by id."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from simulator.seeds import SeedError

_VM = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)/providers"
    r"/Microsoft\.Compute/virtualMachines/(?P<name>[^/]+)",
    re.IGNORECASE,
)
_ITEM = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/.*/protectedItems"
    r"/VM;iaasvmcontainerv2;(?P<group>[^/;]+);(?P<name>[^/;]+)",
    re.IGNORECASE,
)


class NoSuchVm(ValueError):
    """A row names no VM of the seed, or several; the message says which."""


def chosen(seed: Mapping[str, Any], wanted: Iterable[str]) -> dict[str, str]:
    """Give the id of every VM that is asked for, by the word it was asked for with.

    Raises:
        NoSuchVm: a word fits no VM of the seed, or more than one.
        SeedError: the seed is not made like one.

    """
    known = {one.lower(): one for one in _machines(seed)}
    found: dict[str, str] = {}
    for word in wanted:
        fits = [vm for key, vm in known.items() if _fits(word.lower(), key)]
        if len(fits) != 1:
            several = f"{len(fits)} VMs; write group/name or the id" if fits else "no VM"
            raise NoSuchVm(f"{word!r} names {several} of the seed")
        found[word] = fits[0]
    return found


def spoken_of(path: str) -> str:
    """Give the lower-case id of the VM that a request's path is about, itself or its backup."""
    bare = unquote(path.split("?", maxsplit=1)[0])
    match = _VM.fullmatch(bare) or _ITEM.fullmatch(bare)
    return _id(match["subscription"], match["group"], match["name"]).lower() if match else ""


def item_path(vault: str, vm: str) -> str:
    """Give the path of a VM's protected item in a vault."""
    match = _VM.fullmatch(vm)
    names = f"iaasvmcontainerv2;{match['group']};{match['name']}" if match else ""
    return (
        f"{vault}/backupFabrics/Azure/protectionContainers/IaasVMContainer%3B"
        f"{names.replace(';', '%3B')}/protectedItems/VM%3B{names.replace(';', '%3B')}"
    )


def named_in(text: str, vm: str) -> bool:
    """Tell whether a text holds this VM's id, plain or quoted, and not a longer one."""
    plain = unquote(text).lower()
    return re.search(rf"{re.escape(vm.lower())}(?![\w.-])", plain) is not None


def _machines(seed: Mapping[str, Any]) -> Iterator[str]:
    """Give the id of every VM that exists from the start or is written later."""
    for body in _objects(seed, "resources"):
        yield from _machine(body.get("id"))
    for entry in _objects(seed, "timeline"):
        for deed, member in (("put", "id"), ("request", "path")):
            done: object = entry.get(deed)
            if isinstance(done, dict):
                yield from _machine(done.get(member))


def _objects(seed: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    rows = seed.get(name, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SeedError(f"{name} is a list of objects")
    return rows


def _machine(resource: object) -> Iterator[str]:
    if match := _VM.fullmatch(str(resource).split("?", maxsplit=1)[0]):
        yield _id(match["subscription"], match["group"], match["name"])


def _fits(word: str, vm: str) -> bool:
    parts = vm.split("/")
    return word in {vm, parts[8], f"{parts[4]}/{parts[8]}"}


def _id(subscription: str, group: str, name: str) -> str:
    return (
        f"/subscriptions/{subscription}/resourceGroups/{group}"
        f"/providers/Microsoft.Compute/virtualMachines/{name}"
    )
