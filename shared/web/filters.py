"""What of the coverage somebody wants to see: parsed from a query string, and written into one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from urllib.parse import urlencode

from shared.domain.coverage import Cell, Entry, doubted

_MOST = 200  # characters of a filter
_LONGEST_ID = 500
_AS_STORED = re.compile(r'[^"\\\x00-\x1f]*')  # JSON writes these as they are


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What is looked at; all of it lives in the URL."""

    standing: str = ""
    cause: str = ""
    subscription: str = ""
    region: str = ""
    vault: str = ""  # resource id
    policy: str = ""
    rule: str = ""
    tag: str = ""  # name, or name=value
    q: str = ""  # part of a name
    page: int = 1

    @classmethod
    def of(cls, params: Mapping[str, str]) -> Filters:
        """Read filters of a query string; what cannot be one is left out."""
        texts = {
            one.name: params.get(one.name, "").strip()[:_MOST]
            for one in fields(cls)
            if one.name != "page"
        }
        texts["vault"] = params.get("vault", "").strip()[:_LONGEST_ID]
        page = params.get("page", "1")
        number = int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1
        return cls(**texts, page=max(number, 1))

    def chosen(self) -> dict[str, str]:
        """Give the filters that are set, the page number aside."""
        names = [one.name for one in fields(self) if one.name != "page"]
        return {name: value for name in names if (value := getattr(self, name))}

    @property
    def by_entry(self) -> bool:
        """Tags and names are not in the cells: every entry must be looked at."""
        return bool(self.tag or self.q)

    @property
    def having(self) -> str:
        """A text, in lower case, that every entry found has in it as it is stored, or ""."""
        name, _, value = (part.strip() for part in self.tag.lower().partition("="))
        parts = (*self.q.lower().split("/"), value or name)
        return max((one for one in parts if _AS_STORED.fullmatch(one)), key=len, default="")

    def query(self, **changes: str) -> str:
        """Give the query string of these filters with some changed, from their first page."""
        changed = replace(self, page=1, **changes)
        return "?" + urlencode(changed.chosen())

    def onto(self, page: int) -> str:
        return "?" + urlencode({**self.chosen(), "page": str(page)})

    def keeps(self, cell: Cell | Entry, subscription: str, *, doubtful: bool) -> bool:
        """Tell whether a cell passes (tags and names aside)."""
        return (
            (not self.standing or doubted(cell.standing, doubtful=doubtful) == self.standing)
            and (not self.cause or self.cause in cell.causes)
            and (not self.subscription or subscription == self.subscription.lower())
            and (not self.region or cell.region == self.region)
            and (not self.vault or cell.vault.lower() == self.vault.lower())
            and (not self.policy or cell.policy == self.policy)
            and (not self.rule or cell.rule == self.rule)
        )

    def finds(self, entry: Entry) -> bool:
        """Tell whether an entry has the tag and the name that are looked for."""
        if self.q and self.q.lower() not in f"{entry.group}/{entry.name}".lower():
            return False
        if not self.tag:
            return True
        name, _, value = (part.strip() for part in self.tag.lower().partition("="))
        return any(
            key.lower() == name and value in {"", text.strip().lower()}
            for key, text in entry.tags.items()
        )
