"""What training workers tell while they work: a line an epoch, and errors that a person can act on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ray.util.queue import Empty, Queue

from amia import errors
from amia.errors import AmiaError, RunError
from amia.mner.training.trainer import EpochReport

__all__ = ["WorkerReporter", "relay_messages"]


class WorkerReporter:
    """A worker's end; travels to it."""

    def __init__(self, queue: Queue, name: str = "") -> None:
        self._queue, self._name = queue, name

    def say(self, line: str) -> None:
        """A line for the person."""
        self._queue.put({"said": f"{self._name}  {line}" if self._name else line})

    def epoch(self, told: EpochReport) -> None:
        """An epoch has ended."""
        losses = ", ".join(f"{name} {value:.3f}" for name, value in told.loss.items())
        scores = f"P {told.precision:.4f} R {told.recall:.4f} F1 {told.f1:.4f}{'*' if told.best else ' '}"
        speed = f"{told.posts_per_s:,.0f} posts/s, {told.waited:.0%} of the time waiting for them"
        self.say(f"epoch {told.epoch:>3}  loss {losses}  validation {scores} {speed}")

    def failed(self, error: AmiaError) -> None:
        """The work ends here, of something that trying again does not cure."""
        self._queue.put({"kind": type(error).__name__, "said": str(error), "name": self._name})


@contextmanager
def relay_messages(queue: Queue, say: Callable[[str], None]) -> Iterator[None]:
    """Says what is told while a block runs; the first error that was told is raised rather than what it led to."""
    failures: list[dict[str, str]] = []
    over = threading.Event()

    def listen() -> None:
        while not (over.is_set() and queue.empty()):
            try:
                told: dict[str, Any] = queue.get(timeout=0.5)
            except Empty:
                continue
            if "kind" in told:
                failures.append(told)
            else:
                say(told["said"])

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    broken: Exception | None = None
    try:
        yield
    except AmiaError as error:
        broken = error
    finally:
        over.set()
        listener.join(timeout=10)
        queue.shutdown()
    if failures:
        kind = getattr(errors, failures[0]["kind"], RunError)
        prefix = f"{failures[0]['name']}: " if failures[0]["name"] else ""
        raise (kind if kind.__init__ is AmiaError.__init__ else RunError)(prefix + failures[0]["said"]) from broken
    if broken is not None:
        raise broken
