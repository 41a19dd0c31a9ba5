"""The micro-batch by memory, on a simulated GPU that counts bytes as its script says."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from amia.synthesis import autobatch as memory
from amia.synthesis.autobatch import MAX_BATCH, MEMORY_RESERVE, MemoryProfile, measure_memory, propose_batch_size
from amia.synthesis.generator import Generator
from amia.synthesis.settings import GeneratorSettings
from tests.helpers.shortage import hold_at_most

GB = 10**9


@given(st.integers(1, 200 * GB), st.integers(0, 50 * GB), st.integers(1, 20 * GB))
def test_what_is_proposed_fits_and_twice_as_many_would_not(room: int, model: int, each: int) -> None:
    size = propose_batch_size(MemoryProfile(room, model + each, model + 2 * each))
    assert size in {1, 2, 4, 8, 16, 32}
    assume(abs(model + 2 * size * each - MEMORY_RESERVE * room) > 1)  # floating point may fall to either side
    assert size == 1 or model + size * each <= MEMORY_RESERVE * room + 1
    assert size == MAX_BATCH or model + 2 * size * each > MEMORY_RESERVE * room


def test_where_nothing_grew_nothing_is_promised() -> None:
    assert propose_batch_size(MemoryProfile(24 * GB, 3 * GB, 3 * GB)) == 1


@given(st.integers(1, 100 * GB), st.floats(0, 1))
def test_two_that_do_not_fit_are_one(room: int, part: float) -> None:
    assert propose_batch_size(MemoryProfile(room, int(part * room), room)) == 1


@pytest.mark.simulated("gpu")
@pytest.mark.parametrize(
    ("share", "free", "room"),
    [(1.0, 20 * GB, 20 * GB), (0.5, 20 * GB, 12 * GB), (0.5, 9 * GB, 9 * GB), (2, 24 * GB, 24 * GB)],
)
def test_an_actor_has_its_share_of_what_is_free(sd: Path, share: float, free: int, room: int) -> None:
    peaks, drawn = iter([3 * GB, 4 * GB]), list[str]()
    found = measure_memory(
        GeneratorSettings(model=str(sd), device="cpu"),
        32,
        share,
        free=lambda device: (free, 24 * GB),
        restart=lambda device: drawn.append("restart"),
        peak=lambda device: next(peaks),
    )
    assert found == MemoryProfile(room, 3 * GB, 4 * GB)
    assert drawn == ["restart"] * 2


@pytest.mark.simulated("gpu")
def test_two_that_do_not_fit_take_all_the_room(sd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Generator.load

    def short(*given: Any, **named: Any) -> Generator:
        generator = load(*given, **named)
        hold_at_most(1, generator._pipeline.unet)
        return generator

    monkeypatch.setattr(memory.Generator, "load", short)
    found = measure_memory(
        GeneratorSettings(model=str(sd), device="cpu"),
        32,
        1.0,
        free=lambda device: (8 * GB, 8 * GB),
        restart=lambda device: None,
        peak=lambda device: 5 * GB,
    )
    assert found == MemoryProfile(8 * GB, 5 * GB, 8 * GB)
