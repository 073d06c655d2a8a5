"""What really happened to the demo's VMs, read from Azure's side, the inboxes, and `explain`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from demo.machines import item_path, named_in, spoken_of
from simulator.estate import Estate

_BACKUP = "Microsoft.RecoveryServices/vaults/backup"
_VM_TYPE = "Microsoft.Compute/virtualMachines"
_NOTICE = "x-notice-id"
_CARD_NOTICE = re.compile(r"Notice ([0-9a-f]{16})")


class Reality:
    """Looks at a running estate. ``vms`` are those of the table: their ids by their labels."""

    def __init__(self, estate: Estate, vms: Mapping[str, str]) -> None:
        self._estate = estate
        self._vms = vms
        self._labels = {vm.lower(): label for label, vm in vms.items()}
        self._since = 0
        self._letters = 0
        self._posted = 0
        self._created: dict[str, datetime] = {}
        self._accepted: dict[str, datetime] = {}
        self._puts: Counter[str] = Counter()

    def news(self) -> Iterator[str]:
        """Give a line for everything that happened since the last look."""
        calls = self._estate.calls(since=self._since)
        self._since += len(calls)
        for call in calls:
            path, status = str(call["path"]), int(str(call["status"]))
            at = datetime.fromisoformat(str(call["at"]))
            name = self._labels.get(spoken_of(path), "")
            if not name or call["method"] not in {"PUT", "DELETE"}:
                continue
            if "/protectedItems/" in path:
                vault = path.split("/vaults/")[1].split("/", maxsplit=1)[0]
                self._puts[name] += 1
                if status == 202:
                    self._accepted.setdefault(name, at)
                yield f"{at:%H:%M:%S}  {name}  Azure Backup answers {status} in {vault}"
            elif call["method"] == "PUT" and _VM_TYPE.lower() in path.lower():
                word = "changed" if name in self._created else "created"
                self._created.setdefault(name, at)
                yield f"{at:%H:%M:%S}  {name}  {word}"
            elif _VM_TYPE.lower() in path.lower():
                yield f"{at:%H:%M:%S}  {name}  deleted"
        mails = self._mails()
        for mail in mails[self._letters :]:
            yield f"{mail['at']:%H:%M:%S}  mail to {', '.join(mail['to'])}: {mail['subject']}"
        self._letters = len(mails)
        cards = self._estate.inbox("teams")
        for card in cards[self._posted :]:
            told = ", ".join(
                label
                for label, vm in self._vms.items()
                if named_in(json.dumps(card["message"]), vm)
            )
            yield f"{self._estate.now():%H:%M:%S}  card in Teams about {told}"
        self._posted = len(cards)

    async def row(self, expected: Mapping[str, Any]) -> dict[str, Any]:
        """Compare one VM with what was expected of it."""
        name = str(expected["vm"])
        told = await self.explained(name)
        row = told.get("row") or {}
        state = str(told.get("state", ""))
        blockers = sorted(
            str(one["code"])
            for one in row.get("findings", [])
            if one["severity"] == "blocker" or one["code"] in expected["findings"]
        )
        heard = self._heard(name)
        differs = [
            *_differs("state", state in str(expected["state"]).split("|")),
            *_differs("findings", blockers == sorted(expected["findings"])),
            *_differs("notices", heard["notices"] == expected["notices"]),
            *_differs("resolved", heard["resolved"] == expected["resolved"]),
        ]
        if "puts" in expected:
            differs += _differs("puts", self._puts[name] == expected["puts"])
        if "policy" in expected:
            differs += _differs(
                "policy", str(row.get("policy", "")).endswith("/" + expected["policy"])
            )
            differs += _differs("recovery point", self._recovery_point(row))
        text = json.dumps(told, ensure_ascii=False)
        differs += [
            f"{shown} not shown" for shown in expected.get("shows", ()) if shown not in text
        ]
        actual = " ".join([state, *blockers])
        return {
            "vm": name,
            "story": expected["story"],
            "expected": " ".join([expected["state"], *expected["findings"]]),
            "actual": actual + (f"  ({'; '.join(differs)})" if differs else ""),
            "seconds": self._seconds(name),
            "notices": heard["notices"],
            "resolved": heard["resolved"],
            "puts": self._puts[name],
            "heard": f"{heard['notices']}"
            + (f", resolved {heard['resolved']}" if heard["resolved"] else ""),
            "ok": not differs,
        }

    def backup_reads(self) -> int:
        """Count the backup provider's reads so far, over all its paths."""
        return sum(
            call["method"] == "GET" and str(call["action"]).startswith(_BACKUP)
            for call in self._estate.calls()
        )

    def _mails(self) -> list[dict[str, Any]]:
        letters: list[dict[str, Any]] = []
        for kept in self._estate.inbox("mail"):
            message: Any = kept["message"]
            letters.append({**message, "at": datetime.fromisoformat(str(kept["at"]))})
        return letters

    def _cards(self) -> list[str]:
        return [
            json.dumps(kept["message"], ensure_ascii=False) for kept in self._estate.inbox("teams")
        ]

    def _seconds(self, name: str) -> int | str:
        """Give simulated seconds from the VM's first write to the first accepted PUT."""
        if name not in self._accepted or name not in self._created:
            return "-"
        return round((self._accepted[name] - self._created[name]).total_seconds())

    def _recovery_point(self, row: Mapping[str, Any]) -> bool:
        """Ask Azure itself: is there an item in that vault with a recovery point?"""
        path = item_path(str(row.get("vault")), str(row.get("vm", "")))
        reply = self._estate.arm("GET", path)
        body = reply.body if isinstance(reply.body, dict) else {}
        properties = body.get("properties")
        return isinstance(properties, dict) and properties.get("protectionState") == "Protected"

    def _heard(self, name: str) -> dict[str, int]:
        """Count different notices about a VM, and how many of them were resolved."""
        opened: set[str] = set()
        resolved: set[str] = set()
        vm = self._vms[name]
        for card in self._cards():
            if named_in(card, vm):
                found = _CARD_NOTICE.search(card)
                (resolved if "esolved" in card else opened).add(found[1] if found else card)
        for letter in self._mails():
            subject = str(letter["subject"])
            if not named_in(str(letter["text"]), vm):
                continue
            identity = letter["headers"].get(_NOTICE, subject)
            (resolved if "esolved" in subject else opened).add(identity)
        return {"notices": len(opened), "resolved": len(resolved)}

    async def explained(self, name: str) -> dict[str, Any]:
        """Ask the app about one VM."""
        ready = self._estate.ready()
        host: Any = ready["host"]
        url = f"{host['url']}/api/vms/explain"
        headers = {"x-functions-key": host["keys"]["master"]}
        async with self._estate.http.get(
            url, params={"vm": self._vms[name]}, headers=headers
        ) as answer:
            text = await answer.text()
            if answer.status != 200:
                return {"state": f"explain answered {answer.status}: {text[:200]}"}
            body: dict[str, Any] = json.loads(text)
            return body


def _differs(what: str, agrees: bool) -> list[str]:
    return [] if agrees else [what]
