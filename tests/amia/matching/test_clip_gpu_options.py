"""What a GPU does otherwise with the encoder, done on the CPU: compiled, channels last. Vectors stay the same."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from amia import accelerator as compiling
from amia.accelerator import GpuOptions
from amia.matching.clip import ClipEncoder
from amia.matching.settings import ClipSettings
from tests.helpers.shortage import hold_at_most

TEXTS = ["Paris at night", "Paris", "", "💞 ⚾", "Beyoncé"]
PICTURES = [
    Image.fromarray(np.random.default_rng(row).integers(0, 255, (20 + row, 60, 3), np.uint8)) for row in range(5)
]


def load(folder: Path, tuning: GpuOptions | None = None, **settings: Any) -> ClipEncoder:
    asked = ClipSettings(model=str(folder), micro_batch=4, **settings)
    return ClipEncoder.load(asked, local_files_only=True, tuning=tuning)


def apart(one: ClipEncoder, other: ClipEncoder) -> float:
    return max(
        float(np.abs(one.encode_texts(TEXTS) - other.encode_texts(TEXTS)).max()),
        float(np.abs(one.encode_images(PICTURES) - other.encode_images(PICTURES)).max()),
    )


def test_channels_last_moves_last_bits_only(clip: Path) -> None:
    tuned = load(clip, GpuOptions(channels_last=True))
    weights = [each for each in tuned._model.vision_model.parameters() if each.dim() == 4]
    assert [each.is_contiguous(memory_format=torch.channels_last) for each in weights] == [True]
    assert apart(tuned, load(clip)) < 1e-5


@pytest.mark.simulated("compiler")
def test_compiled_every_pass_has_one_shape(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")
    torch.compiler.reset()
    stats = torch._dynamo.utils.counters["stats"]
    before = stats["unique_graphs"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's tracer about its own internals
        tuned = load(clip, compile=True)
        after = stats["unique_graphs"]
        assert after >= before + 2, "made in load"
        assert apart(tuned, load(clip)) < 1e-5
    assert stats["unique_graphs"] == after, "the short last pass is filled up"
    assert (tuned.eager, tuned.halved) == ({}, 0)


@pytest.mark.simulated("compiler")
def test_a_tower_that_cannot_be_compiled_runs_as_it_is(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(graph: object, inputs: object) -> Callable[..., Any]:
        raise RuntimeError("no Triton here")

    monkeypatch.setattr(compiling, "BACKEND", none)
    torch.compiler.reset()
    tuned = load(clip, compile=True)
    assert set(tuned.eager) == {"text_model", "vision_model"}
    assert apart(tuned, load(clip)) < 1e-5


def test_uncompiled_no_pass_is_filled_up(clip: Path) -> None:
    plain = load(clip)
    asked = hold_at_most(10, plain._model.vision_model)
    plain.encode_images(PICTURES)
    assert asked == [4, 1]
