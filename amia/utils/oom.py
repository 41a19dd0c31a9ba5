"""Retry smaller micro-batches after running out of memory.

The result of a post depends on its neighbors in a micro-batch only in the last bits of floating point. So a smaller
micro-batch gives the same result: theta within 1e-3, pixels within one gray level (both are tested).

accelerate has a similar test for out-of-memory errors, but it misses MemoryError and the allocation failures of cuBLAS
and cuDNN, and it counts operations that cuDNN does not support. Therefore it is not used here.
"""

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from amia.errors import ClusterError

__all__ = ["OomSafeBatcher", "is_out_of_memory"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_OOM_MESSAGES = (
    "DefaultCPUAllocator: can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""Messages of plain RuntimeErrors: the CPU allocator, and libraries that allocate GPU memory on their own."""


class OomSafeBatcher:
    """Runs a function on micro-batches of at most `max_size` items, and halves the size when memory runs out."""

    def __init__(self, max_size: int) -> None:
        self.size = max_size
        """Items per micro-batch from now on."""
        self.num_reduced = 0
        """Items so far that were processed in micro-batches smaller than requested."""
        self._max_size = max_size

    def run(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        items: Sequence[Item],
        on_single_failure: Callable[[Item], Result] | None = None,
    ) -> list[Result]:
        """Return one result per item, in order.

        `on_single_failure` gives the result of an item that does not fit into memory alone. Without it such an item
        raises ClusterError.
        """
        done: list[Result] = []
        while len(done) < len(items):
            batch = items[len(done) : len(done) + self.size]
            results = _try(work, batch)
            if results is None and len(batch) > 1:
                self.size = len(batch) // 2
                continue
            if results is None:
                if on_single_failure is None:
                    raise ClusterError(
                        "a single post does not fit into the memory of the model's device: run fewer actors on it "
                        "(raise pools.*.gpus or pools.*.cpus), or use a device with more memory, or a smaller model"
                    )
                results = [on_single_failure(batch[0])]
            done += results
            self.num_reduced += len(batch) if self.size < self._max_size else 0
        return done


def is_out_of_memory(error: BaseException) -> bool:
    """Check whether an error means that the memory of a GPU or of the machine has run out."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        message in str(error) for message in _OOM_MESSAGES
    )


def _try(work: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item]) -> Sequence[Result] | None:
    """Return the results, or None after running out of memory, with the memory of the attempt released."""
    try:
        return work(items)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # The error and its traceback, which hold the tensors of the attempt, are freed by now. Reference cycles may hold
    # more GPU memory.
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
    return None
