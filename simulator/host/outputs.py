"""Queue outputs, with the quirks of the real binding, bound after the function succeeded.

A ``str`` that reads as a JSON array becomes one message per element, one that reads as an object
is written again, indented; ``bytes`` pass untouched. The queue is made when storage first says
404. An output that fails makes the invocation fail.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from azure_functions_runtime.bindings.datumdef import Datum

from simulator.host.connections import expand
from simulator.host.storage import Storage, StorageFault
from simulator.host.worker import Binder, Binding, Function, Outcome


@dataclass(slots=True, kw_only=True)
class QueueOutputs(Binder):
    """Binds queue outputs; ``wake`` tells the queue's own listener that there is work."""

    settings: Mapping[str, str]
    storage: Callable[[str], Storage]
    base64: bool
    wake: Callable[[str], None]

    async def __call__(self, function: Function, outcome: Outcome) -> Outcome:
        values = dict(outcome.outputs)
        for binding in function.outputs:
            if binding.type != "queue":
                continue
            value = outcome.returned if binding.name == "$return" else values.get(binding.name)
            if value is None or value.value is None:
                continue
            try:
                await self._send(binding, value)
            except (StorageFault, TypeError) as fault:
                return replace(outcome, ok=False, error=f"output {binding.name}: {fault}")
        return outcome

    async def _send(self, binding: Binding, value: Datum) -> None:
        queue = expand(binding.text("queueName"), self.settings)
        storage = self.storage(binding.text("connection"))
        for body in messages(value):
            await put_making_queue(storage, queue, encode(body) if self.base64 else body.decode())
        self.wake(queue)


async def put_making_queue(storage: Storage, queue: str, text: str) -> None:
    """Add a message; make the queue if storage says that it is not there."""
    try:
        await storage.put(queue, text)
    except StorageFault as fault:
        if fault.status != 404:
            raise
        await storage.create_queue(queue)
        await storage.put(queue, text)


def messages(value: Datum) -> list[bytes]:
    """Tell which messages an output value becomes."""
    match value.type, value.value:
        case "bytes", bytes(content):
            return [content]
        case "string" | "json", str(text):
            return _from_text(text)
        case kind, other:
            raise TypeError(f"a queue output cannot be {kind} {type(other).__name__}")


def encode(body: bytes) -> str:
    return base64.b64encode(body).decode()


def _from_text(text: str) -> list[bytes]:
    if text.strip()[:1] not in {"[", "{"}:
        return [text.encode()]
    try:
        parsed = json.loads(text)
    except ValueError:
        return [text.encode()]
    elements = parsed if isinstance(parsed, list) else [parsed]
    return [_element(element).encode() for element in elements]


def _element(element: object) -> str:
    return element if isinstance(element, str) else json.dumps(element, indent=2)
