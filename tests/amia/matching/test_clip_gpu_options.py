"""GPU options of the encoder, applied on the CPU: compiled, channels last. Embeddings stay the same."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from amia import accelerator
from amia.accelerator import GpuOptions
from amia.matching.clip import ClipEncoder
from amia.matching.settings import ClipSettings
from tests.helpers.simulated_oom import limit_batch_size

TEXTS = ["Paris at night", "Paris", "", "💞 ⚾", "Beyoncé"]
IMAGES = [Image.fromarray(np.random.default_rng(row).integers(0, 255, (20 + row, 60, 3), np.uint8)) for row in range(5)]


def load(folder: Path, gpu_options: GpuOptions | None = None, **overrides: Any) -> ClipEncoder:
    settings = ClipSettings(model=str(folder), micro_batch=4, **overrides)
    return ClipEncoder.load(settings, local_files_only=True, gpu_options=gpu_options)


def max_difference(a: ClipEncoder, b: ClipEncoder) -> float:
    return max(
        float(np.abs(a.encode_texts(TEXTS) - b.encode_texts(TEXTS)).max()),
        float(np.abs(a.encode_images(IMAGES) - b.encode_images(IMAGES)).max()),
    )


def test_channels_last_is_close(clip: Path) -> None:
    encoder = load(clip, GpuOptions(channels_last=True))
    weights = [weight for weight in encoder._model.vision_model.parameters() if weight.dim() == 4]
    assert [weight.is_contiguous(memory_format=torch.channels_last) for weight in weights] == [True]
    assert max_difference(encoder, load(clip)) < 1e-5


@pytest.mark.simulated("compiler")
def test_compiled_pads_batches(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "BACKEND", "aot_eager")
    torch.compiler.reset()
    stats = torch._dynamo.utils.counters["stats"]
    before = stats["unique_graphs"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's tracer warns about its own internals
        encoder = load(clip, compile=True)
        after = stats["unique_graphs"]
        assert after >= before + 2, "load compiles"
        assert max_difference(encoder, load(clip)) < 1e-5
    assert stats["unique_graphs"] == after, "the short last batch is padded"
    assert (encoder.uncompiled, encoder.num_oom_reduced) == ({}, 0)


@pytest.mark.simulated("compiler")
def test_falls_back_if_compilation_fails(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing_backend(graph: object, inputs: object) -> Callable[..., Any]:
        raise RuntimeError("no Triton here")

    monkeypatch.setattr(accelerator, "BACKEND", failing_backend)
    torch.compiler.reset()
    encoder = load(clip, compile=True)
    assert set(encoder.uncompiled) == {"text_model", "vision_model"}
    assert max_difference(encoder, load(clip)) < 1e-5


def test_uncompiled_does_not_pad(clip: Path) -> None:
    encoder = load(clip)
    batch_sizes = limit_batch_size(10, encoder._model.vision_model)
    encoder.encode_images(IMAGES)
    assert batch_sizes == [4, 1]
