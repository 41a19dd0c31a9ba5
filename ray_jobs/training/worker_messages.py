"""Messages from training workers to the driver: one line per epoch, and errors that the user can fix."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ray.util.queue import Empty, Queue

from amia.errors import AmiaError
from amia.mner.training.trainer import EpochReport

__all__ = ["WorkerReporter", "relay_messages"]


class WorkerReporter:
    """The worker's end of the queue. It travels to the worker by pickle. Without a queue it discards all messages."""

    def __init__(self, queue: Queue | None = None) -> None:
        self._queue = queue

    def log(self, line: str) -> None:
        """Send a line of text."""
        self._send(line)

    def report_epoch(self, report: EpochReport) -> None:
        """Send a line with the losses, scores and speed of an epoch."""
        losses = ", ".join(f"{name} {value:.3f}" for name, value in report.loss.items())
        scores = f"P {report.precision:.4f} R {report.recall:.4f} F1 {report.f1:.4f}{'*' if report.best else ' '}"
        speed = f"{report.posts_per_s:,.0f} posts/s, {report.waited:.0%} of the time waiting for them"
        self.log(f"epoch {report.epoch:>3}  loss {losses}  validation {scores} {speed}")

    def report_error(self, error: AmiaError) -> None:
        """Send an error that a retry does not fix."""
        self._send(error)

    def _send(self, message: str | AmiaError) -> None:
        if self._queue is not None:
            self._queue.put(message)


@contextmanager
def relay_messages(queue: Queue, log: Callable[[str], None]) -> Iterator[None]:
    """Pass lines from the workers to `log` while the block runs, then shut the queue down.

    Raises the first error that a worker reported. It takes precedence over an AmiaError of the block, which is its
    consequence.
    """
    errors: list[AmiaError] = []
    block_ended = threading.Event()

    def listen() -> None:
        while not (block_ended.is_set() and queue.empty()):
            try:
                message = queue.get(timeout=0.5)
            except Empty:
                continue
            if isinstance(message, AmiaError):
                errors.append(message)
            else:
                log(message)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    block_error: AmiaError | None = None
    try:
        yield
    except AmiaError as error:
        block_error = error
    finally:
        block_ended.set()
        listener.join(timeout=10)
        queue.shutdown()
    if errors:
        raise errors[0] from block_error
    if block_error is not None:
        raise block_error
