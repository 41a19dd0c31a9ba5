"""The micro-batch by memory, on a simulated GPU with scripted memory statistics."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from amia.synthesis import autobatch
from amia.synthesis.autobatch import MAX_BATCH, MEMORY_RESERVE, MemoryProfile, measure_memory, propose_batch_size
from amia.synthesis.generator import Generator
from amia.synthesis.settings import GeneratorSettings
from tests.helpers.simulated_oom import limit_batch_size

GB = 10**9


@given(st.integers(1, 200 * GB), st.integers(0, 50 * GB), st.integers(1, 20 * GB))
def test_proposed_size_is_largest_that_fits(room: int, model: int, per_image: int) -> None:
    size = propose_batch_size(MemoryProfile(room, model + per_image, model + 2 * per_image))
    assert size in {1, 2, 4, 8, 16, 32}
    assume(abs(model + 2 * size * per_image - MEMORY_RESERVE * room) > 1)  # rounding may go either way
    assert size == 1 or model + size * per_image <= MEMORY_RESERVE * room + 1
    assert size == MAX_BATCH or model + 2 * size * per_image > MEMORY_RESERVE * room


def test_proposes_one_without_growth() -> None:
    assert propose_batch_size(MemoryProfile(24 * GB, 3 * GB, 3 * GB)) == 1


@given(st.integers(1, 100 * GB), st.floats(0, 1))
def test_proposes_one_if_two_do_not_fit(room: int, part: float) -> None:
    assert propose_batch_size(MemoryProfile(room, int(part * room), room)) == 1


@pytest.mark.simulated("gpu")
@pytest.mark.parametrize(
    ("share", "free", "room"),
    [(1.0, 20 * GB, 20 * GB), (0.5, 20 * GB, 12 * GB), (0.5, 9 * GB, 9 * GB), (2, 24 * GB, 24 * GB)],
)
def test_room_is_limited_by_share_and_free_memory(sd: Path, share: float, free: int, room: int) -> None:
    peaks, resets = iter([3 * GB, 4 * GB]), list[str]()
    memory = measure_memory(
        GeneratorSettings(model=str(sd), device="cpu"),
        32,
        share,
        mem_get_info=lambda device: (free, 24 * GB),
        reset_peak=lambda device: resets.append("reset"),
        max_memory_allocated=lambda device: next(peaks),
    )
    assert memory == MemoryProfile(room, 3 * GB, 4 * GB)
    assert resets == ["reset"] * 2


@pytest.mark.simulated("gpu")
def test_out_of_memory_counts_as_all_memory(sd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Generator.load

    def load_limited(*args: Any, **kwargs: Any) -> Generator:
        generator = load(*args, **kwargs)
        limit_batch_size(1, generator._pipeline.unet)
        return generator

    monkeypatch.setattr(autobatch.Generator, "load", load_limited)
    memory = measure_memory(
        GeneratorSettings(model=str(sd), device="cpu"),
        32,
        1.0,
        mem_get_info=lambda device: (8 * GB, 8 * GB),
        reset_peak=lambda device: None,
        max_memory_allocated=lambda device: 5 * GB,
    )
    assert memory == MemoryProfile(8 * GB, 5 * GB, 8 * GB)
