"""ARM resource ids, split into their words; equal whatever their case, shown as first written."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceId:
    """An ARM id in its parts; ``type`` is in the spelling of the id, e.g. ``Microsoft.X/a/b``.

    ``scope`` is what an extension resource hangs on (``""`` for everything else).
    """

    text: str
    subscription: str
    group: str
    provider: str
    type: str
    name: str
    parent: str
    scope: str

    @property
    def key(self) -> str:
        return self.text.lower()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Split an id; raise ValueError for text that is not one."""
        words = text.strip("/").split("/")
        if not text.startswith("/") or "" in words:
            raise ValueError(f"not a resource id: {text!r}")
        low = [word.lower() for word in words]
        subscription = words[1] if low[0] == "subscriptions" and len(words) > 1 else ""
        group = words[3] if subscription and len(words) > 3 and low[2] == "resourcegroups" else ""
        if "providers" not in low:
            return cls._container(text, words, subscription, group)
        at = len(low) - 1 - low[::-1].index("providers")
        tail = words[at + 1 :]
        if len(tail) < 2:
            raise ValueError(f"not a resource id: {text!r}")
        head = "/" + "/".join(words[:at]) if at else ""
        nested = len(tail) > 3
        return cls(
            text=text,
            subscription=subscription,
            group=group,
            provider=tail[0],
            type="/".join([tail[0], *tail[1::2]]),
            name=tail[-1] if len(tail) % 2 else "",
            parent=head + "/providers/" + "/".join(tail[:-2]) if nested else head,
            scope=head if "providers" in low[:at] or not group else "",
        )

    @classmethod
    def _container(cls, text: str, words: list[str], subscription: str, group: str) -> Self:
        match len(words):
            case 2 if subscription:
                kind, name, parent = "Microsoft.Resources/subscriptions", subscription, ""
            case 4 if group:
                kind, name = "Microsoft.Resources/subscriptions/resourceGroups", group
                parent = f"/subscriptions/{subscription}"
            case _:
                raise ValueError(f"not a resource id: {text!r}")
        return cls(
            text=text,
            subscription=subscription,
            group=group,
            provider="Microsoft.Resources",
            type=kind,
            name=name,
            parent=parent,
            scope="",
        )
