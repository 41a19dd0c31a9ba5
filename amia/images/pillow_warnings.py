"""Suppress warnings of Pillow: their causes are checked, refused with a reason, or harmless."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["silence_pillow"]

_lock = threading.Lock()
_active = 0
_filters = warnings.catch_warnings()
_logger = logging.getLogger("PIL.TiffImagePlugin")
"""The only logger to which Pillow logs errors. Without a logging configuration they appear on the terminal."""


@contextmanager
def silence_pillow() -> Iterator[None]:
    """Suppress warnings and logged errors of Pillow's modules while any thread is inside the block.

    `warnings.catch_warnings` alone restores the wrong filters if threads leave in another order than they entered.
    Here the first thread to enter sets the filter, and the last one to leave removes it.
    """
    global _active, _filters
    with _lock:
        if _active == 0:
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
            _logger.addFilter(_reject)
        _active += 1
    try:
        yield
    finally:
        with _lock:
            _active -= 1
            if _active == 0:
                _logger.removeFilter(_reject)
                _filters.__exit__(None, None, None)


def _reject(record: logging.LogRecord) -> bool:
    return False
