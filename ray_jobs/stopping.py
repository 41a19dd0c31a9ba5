"""SIGTERM, which schedulers send some 30 seconds before they take a machine away: finish what is in hand, then leave.

Where shards are being made, the actors are told to take up no more of them, and the command leaves when those in their
hands are published. Whatever takes longer than the grace, and everything elsewhere, is thrown away: nothing is ever
half published, and the same command goes on where it stopped.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["GRACE_S", "STOPPED", "Stopped", "finishing", "heeding_sigterm", "heeding_still"]

GRACE_S = 25.0
"""From the signal on; schedulers commonly allow 30 s, and leaving takes some."""
STOPPED = 128 + signal.SIGTERM
"""The exit code, as shells count it."""


class Stopped(BaseException):
    """The command was asked to leave."""

    def __init__(self) -> None:
        super().__init__("stopped: what is published stays, and the same command goes on from there")


_finish: Callable[[], None] | None = None
"""What tells those at work to finish; None where there is nothing to wait for."""


def _leave(number: int, frame: FrameType | None) -> None:
    global _finish
    if _finish is None:
        raise Stopped
    # Not here: the main thread may stand inside Ray, holding whatever lock.
    threading.Thread(target=_finish, daemon=True).start()
    _finish = None
    signal.signal(signal.SIGALRM, _leave)
    signal.setitimer(signal.ITIMER_REAL, GRACE_S)


@contextmanager
def heeding_sigterm() -> Iterator[None]:
    """Inside, SIGTERM raises Stopped in the main thread: at once, or when what is in hand is finished."""
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGTERM, before)


@contextmanager
def heeding_still() -> Iterator[None]:
    """Keeps our handler over a block that puts its own in its place, as `ray.init` does; else does nothing."""
    ours = signal.getsignal(signal.SIGTERM) is _leave
    yield
    if ours:
        signal.signal(signal.SIGTERM, _leave)


@contextmanager
def finishing(tell: Callable[[], None]) -> Iterator[None]:
    """A block that ends soon after `tell` is called, with its work in order; then Stopped is raised."""
    global _finish
    asked = threading.Event()

    def finish() -> None:
        asked.set()
        tell()

    _finish = finish
    try:
        yield
    finally:
        _finish = None
    if asked.is_set():
        raise Stopped
