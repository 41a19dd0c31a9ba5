"""How much memory the processes that this one starts take, at their highest."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

__all__ = ["Watched", "watched"]

EVERY_S = 1.0


@dataclass
class Watched:
    """Highest values seen, in bytes; pages that processes share count once (PSS)."""

    together: int = 0
    """All processes at one moment."""
    driver: int = 0
    """A process started here that starts the others."""
    largest_actor: int = 0
    """Of Ray's processes that run actors."""

    def look(self) -> None:
        """Count all processes below this one."""
        mine, total = psutil.Process(), 0
        for process in mine.children(recursive=True):
            try:
                size, name, parent = process.memory_full_info().pss, " ".join(process.cmdline()[:1]), process.ppid()
            except psutil.Error:
                continue  # it has ended since
            total += size
            if parent == mine.pid:
                self.driver = max(self.driver, size)
            elif name.startswith("ray::"):
                self.largest_actor = max(self.largest_actor, size)
        self.together = max(self.together, total)


@contextmanager
def watched() -> Iterator[Watched]:
    """Looks every second while the block runs."""
    seen, stop = Watched(), threading.Event()

    def watch() -> None:
        while not stop.wait(EVERY_S):
            seen.look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
