"""What a GPU does otherwise, done on the CPU: compiled, channels last, each text once. The images stay the same."""

import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from amia import accelerator as compiling
from amia.accelerator import GpuOptions
from amia.synthesis.diffusion import parts_of
from amia.synthesis.generator import GeneratedImage, Generator
from amia.synthesis.prompt_cache import PromptCache
from amia.synthesis.settings import GeneratorSettings
from tests.helpers.shortage import hold_at_most

PROMPTS = ["a bridge at night", "cup", "Paris 💞", "cup", "word " * 200, "cup", "a bridge at night"]
SEEDS = [11, 12, 13, 14, 15, 16, 17]


def load(folder: Path, tuning: GpuOptions | None = None, **settings: Any) -> Generator:
    asked = GeneratorSettings(model=str(folder), **{"micro_batch": 4, **settings})
    return Generator.load(asked, 32, local_files_only=True, tuning=tuning)


def apart(some: list[GeneratedImage], others: list[GeneratedImage]) -> int:
    """Largest difference in gray levels."""
    pairs = zip(some, others, strict=True)
    return max(int(np.abs(one.pixels.astype(int) - other.pixels).max()) for one, other in pairs)


def rows_of(module: torch.nn.Module) -> list[int]:
    """Rows that a module is called with from now on."""
    return hold_at_most(10**9, module)


@pytest.fixture(params=["sd", "sdxl"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture
def ahead_of_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Graphs as for a GPU, without the kernels that take a minute to write."""
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")
    torch.compiler.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's tracer about its own internals
        yield


def test_channels_last_moves_no_gray_level_by_more_than_one(folder: Path) -> None:
    tuned = load(folder, GpuOptions(channels_last=True))
    weight = tuned._pipeline.unet.conv_in.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert apart(tuned.generate(PROMPTS, SEEDS), load(folder).generate(PROMPTS, SEEDS)) <= 1


@pytest.mark.promise(29)
def test_each_text_is_encoded_once_and_the_pictures_are_the_same(folder: Path) -> None:
    tuned = load(folder, GpuOptions(distinct=True))
    rows = rows_of(tuned._pipeline.text_encoder)
    drawn = tuned.generate(PROMPTS, SEEDS)
    assert rows == [4], "four distinct texts, one micro-batch of them"
    assert apart(drawn, load(folder).generate(PROMPTS, SEEDS)) <= 1
    assert not np.array_equal(drawn[1].pixels, drawn[3].pixels), "one text, two seeds"


def test_texts_beyond_a_micro_batch_are_encoded_when_they_are_wanted(sd: Path) -> None:
    tuned = load(sd, GpuOptions(distinct=True), micro_batch=2)
    rows = rows_of(tuned._pipeline.text_encoder)
    tuned.generate(PROMPTS, SEEDS)
    assert rows == [2, 2]
    tuned.generate(["cup"], [1])
    assert rows == [2, 2, 1], "nothing is kept from call to call"


def test_guidance_and_unknown_pipelines_read_their_prompts_themselves(sd: Path) -> None:
    pipeline = load(sd)._pipeline
    assert PromptCache(pipeline, PROMPTS, 0.0).inputs(PROMPTS[:1], 1, full=False).keys() == {"prompt_embeds"}
    assert PromptCache(pipeline, PROMPTS, 2.0).inputs(PROMPTS[:1], 1, full=False) == {}
    assert PromptCache(SimpleNamespace(), PROMPTS, 0.0).inputs(PROMPTS[:1], 1, full=False) == {}
    guided = [load(sd, tuning, guidance=2.0).generate(PROMPTS, SEEDS) for tuning in (None, GpuOptions(distinct=True))]
    assert apart(*guided) == 0


@pytest.mark.simulated("compiler")
@pytest.mark.promise(29)
@pytest.mark.usefixtures("ahead_of_time")
def test_compiled_it_draws_the_same_in_passes_of_one_shape(folder: Path) -> None:
    every = GpuOptions(compiled=True, channels_last=True, distinct=True)
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    tuned = load(folder, every)
    assert tuned.eager == {}
    assert set(parts_of(tuned._pipeline)) >= {"text_encoder", "unet", "decoder"}
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert graphs >= before + 3, "made in load"
    drawn = tuned.generate(PROMPTS, SEEDS)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs, "the short last pass is filled up"
    assert [one.seed for one in drawn] == SEEDS
    assert apart(drawn, load(folder).generate(PROMPTS, SEEDS)) <= 1


@pytest.mark.simulated("compiler")
@pytest.mark.promise(29)
def test_a_compiler_that_is_not_there_costs_no_picture(
    sd: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def none(graph: object, inputs: object) -> Callable[..., Any]:
        raise RuntimeError("no Triton here")

    monkeypatch.setattr(compiling, "BACKEND", none)
    torch.compiler.reset()
    tuned = load(sd, compile=True)
    assert set(tuned.eager) == {"text_encoder", "unet", "decoder"}
    assert apart(tuned.generate(PROMPTS, SEEDS), load(sd).generate(PROMPTS, SEEDS)) <= 1
    assert capfd.readouterr() == ("", "")


def test_files_are_those_of_the_pixels_and_errors_are_the_encoders(sd: Path) -> None:
    generator = load(sd)
    pixels = [one.pixels for one in generator.generate(PROMPTS, SEEDS)]
    encoded = generator.generate(PROMPTS, SEEDS, lambda place, drawn: bytes([place]) + drawn.tobytes())
    assert [one.file for one in encoded] == [bytes([place]) + each.tobytes() for place, each in enumerate(pixels)]
    assert all(one.pixels is None for one in encoded)

    def broken(place: int, drawn: np.ndarray) -> bytes:
        if place == 5:
            raise OSError(f"no room for {place}")
        return b""

    with pytest.raises(OSError, match="no room for 5"):
        generator.generate(PROMPTS, SEEDS, broken)


def test_encoding_runs_while_the_next_micro_batch_is_drawn(sd: Path) -> None:
    """The encoder of the first image waits for the second micro-batch to begin: in turns it would wait in vain."""
    generator, second = load(sd, micro_batch=1), threading.Event()
    passes: list[int] = []

    def look(*_: Any) -> None:
        passes.append(1)
        if len(passes) == 2:
            second.set()

    generator._pipeline.unet.register_forward_pre_hook(look)
    seen = generator.generate(PROMPTS[:2], SEEDS[:2], lambda place, _: bytes([place, second.wait(20)]))
    assert [one.file for one in seen] == [b"\x00\x01", b"\x01\x01"]


def test_half_precision_is_shaded_in_float32(sd: Path) -> None:
    half = load(sd, dtype="bfloat16")
    latents = torch.zeros(1, 4, 16, 16, dtype=torch.bfloat16)
    with torch.inference_mode():
        assert half._pipeline.vae.decode(latents, return_dict=False)[0].dtype is torch.float32
    assert apart(half.generate(PROMPTS, SEEDS), load(sd).generate(PROMPTS, SEEDS)) < 40


def test_fused_attention_keeps_logits_that_overflow_float16() -> None:
    queries = torch.full((1, 1, 8, 64), 200.0, dtype=torch.float16)
    assert not (queries @ queries.mT).isfinite().all()
    assert torch.nn.functional.scaled_dot_product_attention(queries, queries, queries).isfinite().all()
