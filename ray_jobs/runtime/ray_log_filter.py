"""Filter for one misleading line of Ray's core on standard error. All other lines pass.

Ray's core prints at ERROR, from C++, that constructor arguments of an actor are in the object store and may be lost
before a restart (ray-project/ray#53727, still printed by Ray 2.60.0). Ray Data, which puts them there, keeps them as
long as its actors live. No setting disables this line alone, and a higher log level would also hide real errors.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_false_alarm"]

FALSE_ALARM = b"has constructor arguments in the object store and max_restarts > 0"


@contextmanager
def without_false_alarm() -> Iterator[None]:
    """Remove the line from standard error of this process while the block runs."""
    stderr_copy = os.dup(2)
    read_end, write_end = os.pipe()
    os.dup2(write_end, 2)
    os.close(write_end)
    thread = threading.Thread(target=_copy_lines, args=(read_end, stderr_copy), daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.dup2(stderr_copy, 2)  # closes the last write end in this process, which ends the thread
        thread.join(timeout=2)  # processes of Ray may keep the pipe open a little longer
        os.close(stderr_copy)


def _copy_lines(source: int, target: int) -> None:
    with os.fdopen(source, "rb") as lines:
        for line in lines:
            if FALSE_ALARM not in line:
                os.write(target, line)
