"""GPU options of the generator, applied on the CPU: compiled, channels last, deduplicated prompts."""

import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from amia import accelerator
from amia.accelerator import GpuOptions
from amia.synthesis.diffusion import batch_modules
from amia.synthesis.generator import GeneratedImage, Generator
from amia.synthesis.prompt_cache import PromptCache
from amia.synthesis.settings import GeneratorSettings
from tests.helpers.simulated_oom import limit_batch_size

PROMPTS = ["a bridge at night", "cup", "Paris 💞", "cup", "word " * 200, "cup", "a bridge at night"]
SEEDS = [11, 12, 13, 14, 15, 16, 17]


def load(folder: Path, gpu_options: GpuOptions | None = None, **overrides: Any) -> Generator:
    settings = GeneratorSettings(model=str(folder), **{"micro_batch": 4, **overrides})
    return Generator.load(settings, 32, local_files_only=True, gpu_options=gpu_options)


def max_difference(images: list[GeneratedImage], others: list[GeneratedImage]) -> int:
    """Return the largest difference of pixels in gray levels."""
    pairs = zip(images, others, strict=True)
    return max(int(np.abs(image.pixels.astype(int) - other.pixels).max()) for image, other in pairs)


def record_batch_sizes(module: torch.nn.Module) -> list[int]:
    """Return a list that records the batch size of every call of a module from now on."""
    return limit_batch_size(10**9, module)


@pytest.fixture(params=["sd", "sdxl"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture
def aot_backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compile graphs as for a GPU, but without generating kernels, which takes a minute."""
    monkeypatch.setattr(accelerator, "BACKEND", "aot_eager")
    torch.compiler.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's tracer warns about its own internals
        yield


def test_channels_last_is_within_one_gray_level(folder: Path) -> None:
    generator = load(folder, GpuOptions(channels_last=True))
    weight = generator._pipeline.unet.conv_in.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert max_difference(generator.generate(PROMPTS, SEEDS), load(folder).generate(PROMPTS, SEEDS)) <= 1


@pytest.mark.promise(29)
def test_dedupe_prompts_encodes_each_once(folder: Path) -> None:
    generator = load(folder, GpuOptions(dedupe_prompts=True))
    batch_sizes = record_batch_sizes(generator._pipeline.text_encoder)
    images = generator.generate(PROMPTS, SEEDS)
    assert batch_sizes == [4], "four distinct texts, one micro-batch of them"
    assert max_difference(images, load(folder).generate(PROMPTS, SEEDS)) <= 1
    assert not np.array_equal(images[1].pixels, images[3].pixels), "one prompt, two seeds"


def test_encodes_prompts_lazily(sd: Path) -> None:
    generator = load(sd, GpuOptions(dedupe_prompts=True), micro_batch=2)
    batch_sizes = record_batch_sizes(generator._pipeline.text_encoder)
    generator.generate(PROMPTS, SEEDS)
    assert batch_sizes == [2, 2]
    generator.generate(["cup"], [1])
    assert batch_sizes == [2, 2, 1], "the cache is not kept between calls"


def test_no_cache_with_guidance_or_unknown_pipeline(sd: Path) -> None:
    pipeline = load(sd)._pipeline
    assert PromptCache(pipeline, PROMPTS, 0.0).embeddings(PROMPTS[:1], 1, pad=False).keys() == {"prompt_embeds"}
    assert PromptCache(pipeline, PROMPTS, 2.0).embeddings(PROMPTS[:1], 1, pad=False) == {}
    assert PromptCache(SimpleNamespace(), PROMPTS, 0.0).embeddings(PROMPTS[:1], 1, pad=False) == {}
    guided = [
        load(sd, options, guidance=2.0).generate(PROMPTS, SEEDS) for options in (None, GpuOptions(dedupe_prompts=True))
    ]
    assert max_difference(*guided) == 0


@pytest.mark.simulated("compiler")
@pytest.mark.promise(29)
@pytest.mark.usefixtures("aot_backend")
def test_compiled_pads_batches(folder: Path) -> None:
    options = GpuOptions(compiled=True, channels_last=True, dedupe_prompts=True)
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    generator = load(folder, options)
    assert generator.uncompiled == {}
    assert set(batch_modules(generator._pipeline)) >= {"text_encoder", "unet", "decoder"}
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert graphs >= before + 3, "load compiles"
    images = generator.generate(PROMPTS, SEEDS)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs, "the short last batch is padded"
    assert [image.seed for image in images] == SEEDS
    assert max_difference(images, load(folder).generate(PROMPTS, SEEDS)) <= 1


@pytest.mark.simulated("compiler")
@pytest.mark.promise(29)
def test_falls_back_if_compilation_fails(
    sd: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def failing_backend(graph: object, inputs: object) -> Callable[..., Any]:
        raise RuntimeError("no Triton here")

    monkeypatch.setattr(accelerator, "BACKEND", failing_backend)
    torch.compiler.reset()
    generator = load(sd, compile=True)
    assert set(generator.uncompiled) == {"text_encoder", "unet", "decoder"}
    assert max_difference(generator.generate(PROMPTS, SEEDS), load(sd).generate(PROMPTS, SEEDS)) <= 1
    assert capfd.readouterr() == ("", "")


def test_encode_gets_pixels_and_its_errors_are_raised(sd: Path) -> None:
    generator = load(sd)
    pixels = [image.pixels for image in generator.generate(PROMPTS, SEEDS)]
    encoded = generator.generate(PROMPTS, SEEDS, lambda index, image: bytes([index]) + image.tobytes())
    assert [image.file for image in encoded] == [bytes([index]) + array.tobytes() for index, array in enumerate(pixels)]
    assert all(image.pixels is None for image in encoded)

    def broken(index: int, image: np.ndarray) -> bytes:
        if index == 5:
            raise OSError(f"no room for {index}")
        return b""

    with pytest.raises(OSError, match="no room for 5"):
        generator.generate(PROMPTS, SEEDS, broken)


def test_encode_overlaps_next_micro_batch(sd: Path) -> None:
    """The encoder of the first image waits for the second micro-batch to start, which never happens in sequence."""
    generator, second_started = load(sd, micro_batch=1), threading.Event()
    calls: list[int] = []

    def on_forward(*_: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            second_started.set()

    generator._pipeline.unet.register_forward_pre_hook(on_forward)
    images = generator.generate(PROMPTS[:2], SEEDS[:2], lambda index, _: bytes([index, second_started.wait(20)]))
    assert [image.file for image in images] == [b"\x00\x01", b"\x01\x01"]


def test_half_precision_postprocesses_in_float32(sd: Path) -> None:
    half = load(sd, dtype="bfloat16")
    latents = torch.zeros(1, 4, 16, 16, dtype=torch.bfloat16)
    with torch.inference_mode():
        assert half._pipeline.vae.decode(latents, return_dict=False)[0].dtype is torch.float32
    assert max_difference(half.generate(PROMPTS, SEEDS), load(sd).generate(PROMPTS, SEEDS)) < 40


def test_fused_attention_does_not_overflow_float16() -> None:
    queries = torch.full((1, 1, 8, 64), 200.0, dtype=torch.float16)
    assert not (queries @ queries.mT).isfinite().all()
    assert torch.nn.functional.scaled_dot_product_attention(queries, queries, queries).isfinite().all()
