"""Retries with smaller micro-batches: each item is processed once, in order."""

import subprocess
import sys
import weakref
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amia.errors import ClusterError
from amia.utils.oom import OomSafeBatcher, is_out_of_memory


class Device:
    """Squares numbers, with memory for a limited number at once; the capacity may change between calls."""

    def __init__(self, *capacities: int) -> None:
        self.capacities, self.batches = list(capacities), list[Sequence[int]]()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(items)
        if len(items) > (self.capacities.pop(0) if len(self.capacities) > 1 else self.capacities[0]):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [item * item for item in items]


@pytest.mark.promise(12)
@given(st.lists(st.integers()), st.integers(1, 40), st.lists(st.integers(1, 40), min_size=1))
def test_results_do_not_depend_on_capacity(items: list[int], max_size: int, capacities: list[int]) -> None:
    batcher, device = OomSafeBatcher(max_size), Device(*capacities)
    assert batcher.run(device, items) == [item * item for item in items]
    assert all(0 < len(batch) <= max_size for batch in device.batches)
    assert batcher.num_reduced <= len(items)
    assert (batcher.num_reduced > 0) == (len(device.batches) > -(-len(items) // max_size))


def test_enough_memory_keeps_the_requested_size() -> None:
    batcher, device = OomSafeBatcher(4), Device(100)
    batcher.run(device, list(range(10)))
    assert device.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert (batcher.size, batcher.num_reduced) == (4, 0)


def test_failed_batch_is_halved_and_the_size_stays_small() -> None:
    batcher, device = OomSafeBatcher(8), Device(3)
    batcher.run(device, list(range(12)))
    assert device.batches == [list(range(8)), list(range(4)), *([start, start + 1] for start in range(0, 12, 2))]
    assert (batcher.size, batcher.num_reduced) == (2, 12)


def test_earlier_items_are_not_counted_as_reduced() -> None:
    batcher, device = OomSafeBatcher(4), Device(4, 4, 2)
    batcher.run(device, list(range(12)))
    assert batcher.num_reduced == 4


def test_single_item_that_does_not_fit() -> None:
    def device(items: Sequence[int]) -> list[int]:
        if 5 in items:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return list(items)

    results = OomSafeBatcher(4).run(device, list(range(8)), on_single_failure=lambda item: -item)
    assert results == [0, 1, 2, 3, 4, -5, 6, 7]
    with pytest.raises(ClusterError, match="a single post does not fit into the memory"):
        OomSafeBatcher(4).run(device, list(range(8)))


@pytest.mark.parametrize("error", [ValueError("a bug"), RuntimeError("shape mismatch"), torch.AcceleratorError("gone")])
def test_other_errors_are_not_retried(error: Exception) -> None:
    batches = []

    def fail(items: Sequence[int]) -> list[int]:
        batches.append(items)
        raise error

    with pytest.raises(type(error)):
        OomSafeBatcher(4).run(fail, list(range(8)))
    assert len(batches) == 1


def test_memory_of_failed_attempt_is_released() -> None:
    tensors: list[weakref.ref[torch.Tensor]] = []

    def device(items: Sequence[int]) -> list[int]:
        assert all(tensor() is None for tensor in tensors), "tensors of the failed attempt are still in memory"
        activations = torch.zeros(len(items))
        tensors.append(weakref.ref(activations))
        if len(items) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [0] * len(activations)

    assert OomSafeBatcher(8).run(device, list(range(8))) == [0] * 8


@pytest.mark.promise(12)
def test_real_shortage_of_memory() -> None:
    """Not simulated: the process may allocate 600 MB more, and each item takes 32 MB."""
    code = """
import resource, torch
from pathlib import Path
from amia.utils.oom import OomSafeBatcher
now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 600_000_000, -1))
batcher = OomSafeBatcher(64)
results = batcher.run(lambda batch: torch.zeros(len(batch), 8_000_000).sum(1).tolist(), list(range(64)))
assert results == [0.0] * 64
print(batcher.size)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert 1 <= int(process.stdout) <= 16


def test_recognizes_messages_of_libraries() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"))
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))
