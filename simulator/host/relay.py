"""Log records of the app on their way to the host, as the worker relays them.

Only level, logger and the formatted message travel: fields given as ``extra`` do not, which is
why an app that wants them exports by OpenTelemetry; then the worker says so and nothing is
relayed (facts §7.7).
"""

import logging
import os

from azure_functions_runtime import invocation_id_cv

from simulator.clock import SimClock
from simulator.host import channel

DEBUG_SWITCH = "PYTHON_ENABLE_DEBUG_LOGGING"


class Relay(logging.Handler):
    def __init__(self, voice: channel.Voice, clock: SimClock) -> None:
        super().__init__()
        self._voice = voice
        self._clock = clock

    def attach(self) -> None:
        """Relay what the root logger hears: INFO and up unless the worker's own switch says more."""
        root = logging.getLogger()
        debug = os.environ.get(DEBUG_SWITCH, "").lower() in {"1", "true"}
        root.setLevel(logging.DEBUG if debug else logging.INFO)
        root.addHandler(self)

    def detach(self) -> None:
        """Relay no more; the root keeps a handler, so that nothing configures a default one."""
        root = logging.getLogger()
        root.addHandler(logging.NullHandler())
        root.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._voice.say(
            channel.Logged(
                level=record.levelname,
                logger=record.name,
                text=self.format(record),
                invocation=str(invocation_id_cv.get() or ""),
                at=self._clock.now(),
            )
        )
