"""Peak memory of the processes that this process starts."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

__all__ = ["PeakMemory", "watch_memory"]

INTERVAL_S = 1.0


@dataclass
class PeakMemory:
    """Highest values seen, in bytes. Pages that processes share count once (PSS)."""

    together: int = 0
    """All processes at one moment."""
    driver: int = 0
    """Largest direct child process: it starts the others."""
    largest_actor: int = 0
    """Largest process of Ray that runs an actor."""

    def update(self) -> None:
        """Measure all descendants of this process."""
        this_process, total = psutil.Process(), 0
        for process in this_process.children(recursive=True):
            try:
                size, name, parent = process.memory_full_info().pss, " ".join(process.cmdline()[:1]), process.ppid()
            except psutil.Error:
                continue  # it has ended since
            total += size
            if parent == this_process.pid:
                self.driver = max(self.driver, size)
            elif name.startswith("ray::"):
                self.largest_actor = max(self.largest_actor, size)
        self.together = max(self.together, total)


@contextmanager
def watch_memory() -> Iterator[PeakMemory]:
    """Measure every second while the block runs."""
    peak, stop = PeakMemory(), threading.Event()

    def watch() -> None:
        while not stop.wait(INTERVAL_S):
            peak.update()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()
