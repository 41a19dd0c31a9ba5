"""Memory that runs out: the same items again, half as many at a time; each comes out once, in order."""

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
    """Squares numbers, as many at once as it has room for (or as many as it has right now, if that changes)."""

    def __init__(self, *room: int) -> None:
        self.room, self.asked = list(room), list[Sequence[int]]()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.asked.append(items)
        if len(items) > (self.room.pop(0) if len(self.room) > 1 else self.room[0]):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [item * item for item in items]


@pytest.mark.promise(12)
@given(st.lists(st.integers()), st.integers(1, 40), st.lists(st.integers(1, 40), min_size=1))
def test_every_item_comes_out_once_in_order_whatever_the_room(items: list[int], most: int, room: list[int]) -> None:
    batches, device = OomSafeBatcher(most), Device(*room)
    assert batches.run(device, items) == [item * item for item in items]
    assert all(0 < len(some) <= most for some in device.asked)
    assert batches.split <= len(items)
    assert (batches.split > 0) == (len(device.asked) > -(-len(items) // most))


def test_without_a_shortage_the_passes_are_those_asked_for() -> None:
    batches, device = OomSafeBatcher(4), Device(100)
    batches.run(device, list(range(10)))
    assert device.asked == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert (batches.size, batches.split) == (4, 0)


def test_the_same_items_are_tried_again_and_the_rest_stay_small() -> None:
    batches, device = OomSafeBatcher(8), Device(3)
    batches.run(device, list(range(12)))
    assert device.asked == [list(range(8)), list(range(4)), *([start, start + 1] for start in range(0, 12, 2))]
    assert (batches.size, batches.split) == (2, 12)


def test_items_before_the_shortage_are_not_counted() -> None:
    batches, device = OomSafeBatcher(4), Device(4, 4, 2)
    batches.run(device, list(range(12)))
    assert batches.split == 4


def test_an_item_that_does_not_fit_by_itself_is_one_failure_or_an_error() -> None:
    def device(items: Sequence[int]) -> list[int]:
        if 5 in items:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return list(items)

    assert OomSafeBatcher(4).run(device, list(range(8)), alone=lambda item: -item) == [0, 1, 2, 3, 4, -5, 6, 7]
    with pytest.raises(ClusterError, match="not even one post fits the memory"):
        OomSafeBatcher(4).run(device, list(range(8)))


@pytest.mark.parametrize("error", [ValueError("a bug"), RuntimeError("shape mismatch"), torch.AcceleratorError("gone")])
def test_other_errors_are_not_tried_again(error: Exception) -> None:
    asked = []

    def broken(items: Sequence[int]) -> list[int]:
        asked.append(items)
        raise error

    with pytest.raises(type(error)):
        OomSafeBatcher(4).run(broken, list(range(8)))
    assert len(asked) == 1


def test_what_the_attempt_held_is_let_go_before_the_next() -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def device(items: Sequence[int]) -> list[int]:
        assert not [each for each in held if each() is not None], "the failed attempt's tensors still take the memory"
        activations = torch.zeros(len(items))
        held.append(weakref.ref(activations))
        if len(items) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [0] * len(activations)

    assert OomSafeBatcher(8).run(device, list(range(8))) == [0] * 8


@pytest.mark.promise(12)
def test_a_machine_that_is_really_short_of_memory() -> None:
    """No simulation: a process that may not take more than 600 MB on top of what it has, and 32 MB an item."""
    code = """
import resource, torch
from pathlib import Path
from amia.utils.oom import OomSafeBatcher
now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 600_000_000, -1))
batches = OomSafeBatcher(64)
done = batches.run(lambda some: torch.zeros(len(some), 8_000_000).sum(1).tolist(), list(range(64)))
assert done == [0.0] * 64
print(batches.size)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 1 <= int(done.stdout) <= 16


def test_how_libraries_say_it() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"))
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))
