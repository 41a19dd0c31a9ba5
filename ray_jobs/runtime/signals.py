"""Handling of SIGTERM, which schedulers send about 30 seconds before they take a machine away.

During an execution the actors start no further shards, and the command exits once the shards in progress are published.
If that takes longer than the grace period, and everywhere else, work in progress is discarded: nothing is ever
partially published, and the same command resumes where it stopped.
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
    "SIGTERM_EXIT_CODE",
    "Stopped",
    "drain_on_sigterm",
    "exit_on_sigterm",
    "handle_sigterm",
    "keep_sigterm_handler",
]

GRACE_S = 25.0
"""Seconds after the signal; schedulers commonly allow 30 s, and the exit itself takes some."""
SIGTERM_EXIT_CODE = 128 + signal.SIGTERM
"""Exit code as shells report it."""

Arguments = ParamSpec("Arguments")


class Stopped(BaseException):
    """The command was stopped by SIGTERM."""

    def __init__(self) -> None:
        super().__init__("stopped: published files stay, start the same command again to resume")


class _State:
    """State of this process, since signals belong to a process."""

    is_stopping = False
    """Whether the signal has arrived."""
    drain: Callable[[], None] | None = None
    """Asks the actors to finish; None if there is nothing to wait for."""


def _handle(number: int, frame: FrameType | None) -> None:
    _State.is_stopping = True
    if _State.drain is None:
        raise KeyboardInterrupt  # the only exception that interrupts a wait inside Ray
    # In a thread: the main thread may be inside Ray and hold any of its locks.
    threading.Thread(target=_State.drain, daemon=True).start()
    _State.drain = None
    signal.signal(signal.SIGALRM, _handle)
    signal.setitimer(signal.ITIMER_REAL, GRACE_S)


@contextmanager
def handle_sigterm() -> Iterator[None]:
    """Let SIGTERM end commands wrapped by `exit_on_sigterm`: at once, or when the shards in progress are published."""
    _State.is_stopping = False
    previous_handler = signal.signal(signal.SIGTERM, _handle)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGTERM, previous_handler)


def exit_on_sigterm(command: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Wrap a command so that it raises `Stopped` if it ends because of SIGTERM."""

    @functools.wraps(command)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except BaseException:  # also KeyboardInterrupt, raised by the handler, and any exception that Ray turns it into
            if _State.is_stopping:
                raise Stopped from None
            raise

    return wrapper


@contextmanager
def keep_sigterm_handler() -> Iterator[None]:
    """Restore our handler after a block that replaces it, as `ray.init` does. No effect if ours is not installed."""
    is_installed = signal.getsignal(signal.SIGTERM) is _handle
    yield
    if is_installed:
        signal.signal(signal.SIGTERM, _handle)


@contextmanager
def drain_on_sigterm(drain: Callable[[], None]) -> Iterator[None]:
    """Let SIGTERM call `drain`, which makes the block end soon with its work in order; then raise `Stopped`."""
    _State.drain = drain
    try:
        yield
    finally:
        _State.drain = None
    if _State.is_stopping:
        raise Stopped
