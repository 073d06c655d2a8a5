"""What an instance and its parent tell each other: one JSON object a line, over two pipes.

An instance writes with a plain blocking write, so that what it said before a SIGKILL has been
said: the kernel keeps it for the parent.
"""

import os
from datetime import datetime

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Anything said over the channel."""


class Setup(Message, frozen=True, kw_only=True):
    """Parent: what this instance is to load and who it is."""

    app: str
    instance: str
    control: str
    clock_url: str = ""
    keys: "Keys"
    probe: bool = False
    kill_at: str = ""


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """Access keys of the app: ``master`` passes everything, ``host`` any function."""

    master: str
    host: str
    system: dict[str, str]


class Stop(Message, frozen=True, kw_only=True):
    """Parent: finish what runs, within so many real seconds, then leave."""

    grace: float


class Aim(Message, frozen=True, kw_only=True):
    """Parent: kill yourself there from now on; "" is nowhere. A probe must be running."""

    kill_at: str = ""


class Granted(Message, frozen=True, kw_only=True):
    """Parent: the lock is yours until you die."""

    lock: str


class Ready(Message, frozen=True, kw_only=True):
    """Instance: indexed and listening."""

    port: int
    functions: list["Listed"]
    unknown_settings: list[str]
    inert_settings: list[str]


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    trigger: str
    disabled: bool = False
    route: str = ""


class Failed(Message, frozen=True, kw_only=True):
    """Instance: the app cannot be loaded; the process ends with this sentence."""

    reason: str


class WantsLock(Message, frozen=True, kw_only=True):
    lock: str


class Began(Message, frozen=True, kw_only=True):
    invocation: str
    function: str
    cause: str
    at: datetime
    deadline_real: float
    trace: str = ""
    message_id: str = ""
    dequeue_count: int = 0


class Ended(Message, frozen=True, kw_only=True):
    invocation: str
    ok: bool
    at: datetime
    milliseconds: float
    error: str = ""
    awaits: list[str] | None = None


class Held(Message, frozen=True, kw_only=True):
    """Instance: a queue message is hidden for me until then (again after each renewal)."""

    queue: str
    connection: str
    message_id: str
    receipt: str
    until: datetime


class LetGo(Message, frozen=True, kw_only=True):
    """Instance: that message is mine no more: deleted, released, poisoned, or left hidden."""

    queue: str
    message_id: str
    left_hidden: bool = False


class Logged(Message, frozen=True, kw_only=True):
    """Instance: a log record of the app, relayed as the worker relays it to its host."""

    level: str
    logger: str
    text: str
    invocation: str = ""
    at: datetime


class KilledItself(Message, frozen=True, kw_only=True):
    """Instance: the ordered kill point is reached; the SIGKILL follows."""

    function: str
    after_awaits: int
    place: str


type FromInstance = (
    Ready | Failed | WantsLock | Began | Ended | Held | LetGo | Logged | KilledItself
)
type FromParent = Setup | Stop | Aim | Granted

_from_instance: msgspec.json.Decoder[FromInstance] = msgspec.json.Decoder(FromInstance)
_from_parent: msgspec.json.Decoder[FromParent] = msgspec.json.Decoder(FromParent)
_encoder = msgspec.json.Encoder()


def line(message: Message) -> bytes:
    return _encoder.encode(message) + b"\n"


def heard_from_instance(text: bytes) -> FromInstance:
    return _from_instance.decode(text)


def heard_from_parent(text: bytes) -> FromParent:
    return _from_parent.decode(text)


class Voice:
    """The instance's end: says a message in one blocking write."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def say(self, message: Message) -> None:
        rest = memoryview(line(message))
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BrokenPipeError:
                return  # the parent is gone, and this process ends with it
