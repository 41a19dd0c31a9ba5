"""One line of Ray's that is wrong about us, kept off the terminal; every other line passes.

Ray's core prints, at ERROR and from C++, that an actor's constructor arguments lie in the object store and may be lost
before a restart (ray-project/ray#53727). Ray Data, which puts them there, holds them for as long as its actors live. No
setting turns the line off alone, so standard error goes through a filter that drops it by its words.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_false_alarm"]

ALARM = b"has constructor arguments in the object store and max_restarts > 0"


@contextmanager
def without_false_alarm() -> Iterator[None]:
    """Standard error of this process without that line, while the block runs."""
    kept = os.dup(2)
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(writing)
    pump = threading.Thread(target=_pump, args=(reading, kept), daemon=True)
    pump.start()
    try:
        yield
    finally:
        os.dup2(kept, 2)  # the pipe's last writer in this process: the pump sees its end
        pump.join(timeout=2)  # Ray's processes may hold the pipe a little longer
        os.close(kept)


def _pump(reading: int, writing: int) -> None:
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            if ALARM not in line:
                os.write(writing, line)
