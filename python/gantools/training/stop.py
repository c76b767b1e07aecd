"""Ctrl-C that lets the current step finish."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

# Two signals within this time are one, where torchrun repeats them.
ECHO_S = 5.0

_asked = threading.Event()


def ask() -> None:
    """Stop the training of this process as Ctrl-C does; for a thread beside it, where no signal reaches it."""
    _asked.set()


class StopSignal:
    """Within the `with` block the first SIGINT or SIGTERM only sets `requested`; a second one stops at once.

    Args:
        say: acknowledge the first one with a line on stderr.

    Outside the main thread Python allows no signal handlers: there only `ask` stops.
    """

    def __init__(self, say: bool = False) -> None:
        self.signalled, self.say = False, say
        self._at = 0.0
        self._before: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether to stop after the present step."""
        return self.signalled or _asked.is_set()

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        _asked.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # torchrun hands on the signal that the terminal has sent to all processes already.
        echo = "TORCHELASTIC_RUN_ID" in os.environ and time.monotonic() - self._at < ECHO_S
        if self.signalled and not echo:
            raise KeyboardInterrupt
        if not self.signalled and self.say:
            # Straight to the terminal: a handler may interrupt a print.
            os.write(2, b"\nstopping after this step; once more stops at once\n")
        self.signalled, self._at = True, time.monotonic()
