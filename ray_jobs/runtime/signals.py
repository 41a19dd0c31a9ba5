"""SIGTERM, which schedulers send some 30 seconds before they take a machine away: finish what is in hand, then leave.

Where shards are being made, the actors are told to take up no more of them, and the command leaves when those in their
hands are published. Whatever takes longer than the grace, and everything elsewhere, is thrown away: nothing is ever
half published, and the same command goes on where it stopped.
"""

import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ParamSpec

__all__ = [
    "GRACE_S",
    "STOPPED",
    "Stopped",
    "drain_on_sigterm",
    "exit_on_sigterm",
    "handle_sigterm",
    "keep_sigterm_handler",
]

GRACE_S = 25.0
"""From the signal on; schedulers commonly allow 30 s, and leaving takes some."""
STOPPED = 128 + signal.SIGTERM
"""The exit code, as shells count it."""

Words = ParamSpec("Words")


class Stopped(BaseException):
    """The command was asked to leave."""

    def __init__(self) -> None:
        super().__init__("stopped: what is published stays, and the same command goes on from there")


class _State:
    """Of this process, since signals are the process's."""

    asked = False
    """Whether the signal has come."""
    finish: Callable[[], None] | None = None
    """What tells those at work to finish; None where there is nothing to wait for."""


def _leave(number: int, frame: FrameType | None) -> None:
    _State.asked = True
    if _State.finish is None:
        raise KeyboardInterrupt  # of all exceptions the one that gets out of a wait inside Ray
    # Not here: the main thread may stand inside Ray, holding whatever lock.
    threading.Thread(target=_State.finish, daemon=True).start()
    _State.finish = None
    signal.signal(signal.SIGALRM, _leave)
    signal.setitimer(signal.ITIMER_REAL, GRACE_S)


@contextmanager
def handle_sigterm() -> Iterator[None]:
    """Inside, SIGTERM ends what is `exit_on_sigterm`: at once, or when what is in hand is finished."""
    _State.asked = False
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGTERM, before)


def exit_on_sigterm(command: Callable[Words, None]) -> Callable[Words, None]:
    """A command that raises Stopped when it is ended by SIGTERM."""

    @functools.wraps(command)
    def heeding(*words: Words.args, **more: Words.kwargs) -> None:
        try:
            command(*words, **more)
        except BaseException:  # KeyboardInterrupt, too, which SIGTERM raises, and whatever Ray makes of it
            if _State.asked:
                raise Stopped from None
            raise

    return heeding


@contextmanager
def keep_sigterm_handler() -> Iterator[None]:
    """Keeps our handler over a block that puts its own in its place, as `ray.init` does; else does nothing."""
    ours = signal.getsignal(signal.SIGTERM) is _leave
    yield
    if ours:
        signal.signal(signal.SIGTERM, _leave)


@contextmanager
def drain_on_sigterm(tell: Callable[[], None]) -> Iterator[None]:
    """A block that ends soon after `tell` is called, with its work in order; then the command ends, too."""
    _State.finish = tell
    try:
        yield
    finally:
        _State.finish = None
    if _State.asked:
        raise Stopped
