"""When memory runs out in the middle of a micro-batch: the same posts again, half as many at a time.

A post's result does not depend on its neighbors but for the last bits of floating point, so a smaller micro-batch is
the same work: vectors within 1e-3 of theta, pixels within one gray level (both are tested).
"""

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from amia.errors import ClusterError

__all__ = ["OomSafeBatcher", "is_out_of_memory"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_SAID = ("DefaultCPUAllocator: can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""How plain RuntimeErrors of torch say it: the CPU's allocator, and libraries that allocate by themselves."""


class OomSafeBatcher:
    """Passes of at most `most` items, and of half as many from the first on that memory did not hold."""

    def __init__(self, most: int) -> None:
        self.size = most
        """Items in a pass from now on."""
        self.split = 0
        """Items so far that went through in smaller passes than asked."""
        self._most = most

    def run(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        items: Sequence[Item],
        alone: Callable[[Item], Result] | None = None,
    ) -> list[Result]:
        """One result an item, in order. `alone` gives that of an item which does not even fit by itself.

        Raises ClusterError for such an item where there is no `alone`.
        """
        done: list[Result] = []
        while len(done) < len(items):
            some = items[len(done) : len(done) + self.size]
            results = _tried(work, some)
            if results is None and len(some) > 1:
                self.size = len(some) // 2
                continue
            if results is None:
                if alone is None:
                    raise ClusterError(
                        "not even one post fits the memory of the model's device: put fewer actors on it (raise "
                        "pools.*.gpus or pools.*.cpus), or take a device with more memory, or a smaller model"
                    )
                results = [alone(some[0])]
            done += results
            self.split += len(some) if self.size < self._most else 0
        return done


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory has run out, of a GPU or of the machine."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(said in str(error) for said in _SAID)


def _tried(work: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item]) -> Sequence[Result] | None:
    """The results, or None where memory ran out; what the attempt held is given back."""
    try:
        return work(items)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # The error is gone by now, and its traceback, which held the attempt's tensors; cycles may hold more of a GPU's.
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
    return None
