"""A thread that ends one batch's work while the next batch is computed."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

__all__ = ["BackgroundWorker", "prefetch"]

# MERGED FROM amia.utils.prefetch: The next batches are made in a thread while the model works on this one.
Result = TypeVar("Result")


class BackgroundWorker(Generic[Result]):
    """One thread, one batch in it and one being computed: who hands in another waits until the last is done.

    So results come in the order of the batches, and no more than two batches are in memory.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "behind")
        self._last: Future[Result] | None = None

    def put(self, work: Callable[[], Result]) -> Future[Result]:
        """Hand in a batch's last part. Raises what went wrong with the batch before."""
        last, self._last = self._last, None
        if last is not None:
            last.result()
        self._last = self._thread.submit(work)
        return self._last

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.shutdown(wait=True)


T = TypeVar("T")


def prefetch(items: Iterator[T], ahead: int = 2) -> Iterator[T]:
    """The same items in order, up to `ahead` of them made before they are asked for."""
    end = object()
    with ThreadPoolExecutor(1, "batches") as pool:
        waiting = [pool.submit(next, items, end) for _ in range(ahead)]
        while (item := waiting.pop(0).result()) is not end:
            waiting.append(pool.submit(next, items, end))
            yield item  # type: ignore[misc]  # whatever is not `end` came from `items`
