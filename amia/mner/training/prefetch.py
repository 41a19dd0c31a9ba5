"""The next batches are made in a thread while the model works on this one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["prefetched"]

T = TypeVar("T")


def prefetched(items: Iterator[T], ahead: int = 2) -> Iterator[T]:
    """The same items in order, up to `ahead` of them made before they are asked for."""
    end = object()
    with ThreadPoolExecutor(1, "batches") as pool:
        waiting = [pool.submit(next, items, end) for _ in range(ahead)]
        while (item := waiting.pop(0).result()) is not end:
            waiting.append(pool.submit(next, items, end))
            yield item  # type: ignore[misc]  # whatever is not `end` came from `items`
