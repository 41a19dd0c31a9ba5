"""Overlap work with background threads, with a bound on how much is in flight."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from types import TracebackType
from typing import Generic, Self, TypeVar

__all__ = ["BackgroundWorker", "prefetch", "prefetch_map"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int, ahead: int | None = None
) -> Iterator[Result]:
    """Yield `map(function, items)` in order, computing results ahead of the consumer.

    At most `ahead` results (default: `threads - 1`) are computed or waiting while the consumer works on one. An
    exception of `function` is raised in place of its result.
    """
    ahead = threads - 1 if ahead is None else ahead
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, "prefetch") as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def prefetch(items: Iterator[Item], ahead: int = 2) -> Iterator[Item]:
    """Yield `items` in order; one thread advances the iterator up to `ahead` items before they are needed."""
    end = object()
    with closing(
        # The sentinel has another type than the items.
        prefetch_map(lambda _: next(items, end), itertools.repeat(None), threads=1, ahead=ahead)  # type: ignore[type-var]
    ) as results:
        for item in results:
            if item is end:
                return
            yield item  # type: ignore[misc]  # everything but `end` comes from `items`


class BackgroundWorker(Generic[Result]):
    """One thread that finishes a batch while the caller computes the next one.

    `submit` blocks until the previous batch has finished. So at most two batches are in memory, and results are
    produced in the order of the batches.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "background")
        self._previous: Future[Result] | None = None

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Start `work` in the thread. Raises the exception of the previous batch, if it failed."""
        previous, self._previous = self._previous, None
        if previous is not None:
            previous.result()
        self._previous = self._pool.submit(work)
        return self._previous

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)
