"""Signals that ask a run to stop: it ends at once, or, while it trains, after the outer iteration.

The exit status is the one that shells and schedulers expect, 128 and the signal's number. A handler
notes the signal, or raises; checkpoints are written by the loop, at the end of an iteration.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGINT)


class Stopped(SystemExit):
    """A signal ended the run.

    Args:
        number: the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


class StopSignals:
    """What this process was asked by signals.

    Attributes:
        is_deferred: a signal is noted, and the training loop looks for it; else it ends the run at once.
        noted: the first signal that came while it was deferred; 0 for none.
    """

    def __init__(self) -> None:
        self.is_deferred, self.noted = False, 0

    def defer(self, is_deferred: bool) -> None:
        """Begin or cease to note signals; either way, none has come."""
        self.is_deferred, self.noted = is_deferred, 0

    def listen(self) -> None:
        """Handle all of them, but those that this process was started to ignore (by nohup, with `&`)."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in STOPS:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._take)

    def _take(self, number: int, frame: FrameType | None) -> None:
        is_impatient = number == signal.SIGINT == self.noted  # a second Ctrl-C
        if not self.is_deferred or is_impatient:
            raise Stopped(number)
        self.noted = self.noted or number


stop_signals = StopSignals()


@contextmanager
def stopping() -> Iterator[None]:
    """Heed the signals while a job runs.

    Afterwards they mean what they meant before; one that stopped the job is then handed on to whoever
    had a handler for it: a launcher that puts the job into its queue again, such as submitit.
    """
    before: dict[int, Any] = {number: signal.getsignal(number) for number in STOPS}
    stop_signals.defer(False)
    stop_signals.listen()
    try:
        yield
    except Stopped as stopped:
        restore(before)
        if callable(handler := before[stopped.number]) and handler != signal.default_int_handler:
            signal.raise_signal(stopped.number)
        raise
    finally:
        restore(before)


def restore(handlers: dict[int, Any]) -> None:
    """Set handlers as they were."""
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            signal.signal(number, handler)


def ignore_stops(worker: int = 0) -> None:
    """Leave it to the training process to end a worker: signals go to all processes of a group."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
