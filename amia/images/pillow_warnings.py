"""Pillow's warnings kept from the person: what they warn of is checked, refused by name, or harmless."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["silence_pillow"]

_lock = threading.Lock()
_inside = 0
_filters = warnings.catch_warnings()
_log = logging.getLogger("PIL.TiffImagePlugin")
"""The only one to which Pillow logs errors, which land on the terminal of whoever has set up no logging."""


@contextmanager
def silence_pillow() -> Iterator[None]:
    """No warning and no logged error from Pillow's own modules while any thread is inside.

    `warnings.catch_warnings` alone restores the wrong filters when threads leave in another order than they came;
    here the first thread in sets the filter and the last one out takes it back.
    """
    global _inside, _filters
    with _lock:
        if _inside == 0:
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
            _log.addFilter(_nothing)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _log.removeFilter(_nothing)
                _filters.__exit__(None, None, None)


def _nothing(record: logging.LogRecord) -> bool:
    return False
