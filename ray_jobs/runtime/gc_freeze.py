"""What lasts as long as its process is not searched for garbage: not while it loads, not later, not at the end.

Libraries of models are a million objects. Python looks through them again and again while they are imported, and once
more when the process ends: together a third of what starting and ending an actor costs.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["freeze_gc_after"]


@contextmanager
def freeze_gc_after() -> Iterator[None]:
    """Whatever is made in the block, and before it, is taken to last."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
