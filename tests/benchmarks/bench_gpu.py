"""Effect of each GPU optimization of amia: one command, one table for the README.

    python -m tests.benchmarks.bench_gpu                                    on a machine with a GPU
    python -m tests.benchmarks.bench_gpu --generator stabilityai/sd-turbo   with real weights
    python -m tests.benchmarks.bench_gpu --device cpu --quick               check that it runs; the numbers mean nothing

Models have the shapes of SD-Turbo and ViT-B/16 with random weights, which cost the same as real ones. Each row adds one
optimization to the row before. Then follow micro-batches with all optimizations, until memory runs out, and the
micro-batch that `amia augment` would choose. Writes gpu.md and gpu.json to `--out`.

- `a second`: images or posts per second, median of the rounds without first calls, from prompts to JPEG files (posts:
  from images in memory to vectors)
- `peak GB`: of tensors on the GPU, including the model
- `set-up`: seconds to load and compile
- `apart`: mean difference in gray levels (posts: 1 - cosine) to the first row, which is plain float32
- `failed`: images that are NaN, black or blank
"""

import argparse
import gc
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers.utils import logging as transformers_logging

from amia import accelerator
from amia.accelerator import GpuOptions
from amia.images import encode_jpeg
from amia.matching.clip import ClipEncoder
from amia.matching.settings import ClipSettings
from amia.synthesis.autobatch import measure_memory, propose_batch_size
from amia.synthesis.generator import Generator
from amia.synthesis.settings import GeneratorSettings
from tests.benchmarks.environment import machine, versions

QUALITY = 95
ALL_OPTIONS = GpuOptions(compiled=True, channels_last=True, dedupe_prompts=True)
VARIANTS = (
    ("float32", "float32", GpuOptions()),
    ("half", "auto", GpuOptions()),
    ("+ channels last", "auto", GpuOptions(channels_last=True)),
    ("+ each text once", "auto", GpuOptions(channels_last=True, dedupe_prompts=True)),
    ("+ compiled", "auto", ALL_OPTIONS),
    ("the same in float16", "float16", ALL_OPTIONS),
)
"""Name, precision and GPU options."""


@dataclass
class Row:
    """One line of the table."""

    model: str
    way: str
    micro_batch: int
    a_second: float | None = None
    peak_gb: float | None = None
    setup_s: float | None = None
    apart: float | None = None
    failed: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Work:
    """Models and amount of work."""

    device: torch.device
    generator: str
    encoder: str
    size: int
    num_images: int
    posts: int
    rounds: int
    sweep: Sequence[int]

    @property
    def prompts(self) -> list[str]:
        """Return prompts, a tenth of them repeated like retweets."""
        return [
            f"photograph number {number - number % 10 // 9} of a street in Paris" for number in range(self.num_images)
        ]

    @property
    def images(self) -> list[Image.Image]:
        """Return random images of the size of a photograph."""
        rng = np.random.default_rng(0)
        return [Image.fromarray(rng.integers(0, 255, (320, 320, 3), np.uint8)) for _ in range(self.posts)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--generator", help="a name at the hub or a folder, instead of random weights")
    parser.add_argument("--encoder", help="the same for the CLIP model")
    parser.add_argument("--quick", action="store_true", help="small models, little work, a simulated compiler")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    args = parser.parse_args()
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no GPU; use --device cpu --quick to check that the script runs")
    if device.type != "cuda" and not args.quick:
        parser.error(f"device {device.type} requires --quick: the optimizations are for GPUs")
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    if args.quick:
        accelerator.BACKEND = "aot_eager"
    with TemporaryDirectory(prefix="amia-bench-") as scratch:
        work = _create_work(args, device, Path(scratch))
        rows = [*_generator_rows(work), *_sweep(work), *_encoder_rows(work)]
    measurements = {
        "machine": machine(),
        "versions": versions(),
        "quick": args.quick,
        "rows": [asdict(row) for row in rows],
    }
    table = _format_table(rows, measurements)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "gpu.json").write_text(json.dumps(measurements, indent=1))
    (args.out / "gpu.md").write_text(table + "\n")
    print(table)


def _create_work(args: argparse.Namespace, device: torch.device, scratch: Path) -> Work:
    from tests.benchmarks.embed import save_vit_b_16  # imported late, after the logging of their libraries is set up
    from tests.benchmarks.synthesize import save_turbo

    size, thinner = (64, 8) if args.quick else (512, 1)
    if args.generator is None:
        save_turbo(scratch / "turbo", size, thinner)
    if args.encoder is None:
        save_vit_b_16(scratch / "clip")
    return Work(
        device=device,
        generator=args.generator or str(scratch / "turbo"),
        encoder=args.encoder or str(scratch / "clip"),
        size=size,
        num_images=6 if args.quick else 256,
        posts=6 if args.quick else 2048,
        rounds=1 if args.quick else 3,
        sweep=(1, 2) if args.quick else (1, 2, 4, 8, 16, 32, 64),
    )


def _generator_rows(work: Work) -> Iterator[Row]:
    reference: list[np.ndarray | None] = []
    batch = 4 if work.num_images < 8 else 8
    for way, dtype, options in VARIANTS:
        row = Row("generator", way, batch)
        images = _measure_generator(work, row, dtype, options, encode_in_background=True)
        reference = reference or images
        row.apart = _mean_difference(reference, images)
        yield _log_row(row)
    row = Row("generator", "compiled, images encoded afterwards", batch)
    _measure_generator(work, row, "auto", ALL_OPTIONS, encode_in_background=False)
    yield _log_row(row)


def _sweep(work: Work) -> Iterator[Row]:
    if work.device.type == "cuda":
        settings = GeneratorSettings(model=work.generator, device=str(work.device))
        memory = measure_memory(settings, work.size, 1.0)
        yield _log_row(Row("generator", "proposed", propose_batch_size(memory), note=json.dumps(asdict(memory))))
    for batch in work.sweep:
        row = Row("generator", "everything", batch)
        _measure_generator(work, row, "auto", ALL_OPTIONS, encode_in_background=True)
        yield _log_row(row)
        if row.note.startswith("memory"):
            return


def _measure_generator(
    work: Work, row: Row, dtype: Any, options: GpuOptions, *, encode_in_background: bool
) -> list[np.ndarray | None]:
    """Fill in the row, and return the images of another pass, which is not measured."""
    settings = GeneratorSettings(
        model=work.generator, device=str(work.device), dtype=dtype, micro_batch=row.micro_batch, redraws=0
    )
    seeds = list(range(work.num_images))
    with _load_model(work, row, lambda: Generator.load(settings, work.size, gpu_options=options)) as generator:

        def encode(_: int, pixels: np.ndarray) -> bytes:
            return encode_jpeg(pixels, QUALITY, source="synthesized")

        def generate() -> None:
            images = generator.generate(work.prompts, seeds, encode if encode_in_background else None)
            if not encode_in_background:
                for image in images:
                    if image.pixels is not None:
                        encode(0, image.pixels)

        _measure(work, row, generate, work.num_images)
        images = generator.generate(work.prompts, seeds)
        row.failed = sum(image.failure is not None for image in images)
        _set_note(row, generator.uncompiled, generator.num_oom_reduced)
        return [image.pixels for image in images]


def _encoder_rows(work: Work) -> Iterator[Row]:
    reference: np.ndarray | None = None
    for way, dtype, options in VARIANTS:
        if "text" in way or "float16" in way:  # these do not apply to the encoder, whose half precision is float16
            continue
        row = Row("encoder", way, min(64, work.posts))
        vectors = _measure_encoder(work, row, dtype, options)
        reference = vectors if reference is None else reference
        row.apart = float(1 - (reference * vectors).sum(axis=1).min())
        yield _log_row(row)


def _measure_encoder(work: Work, row: Row, dtype: Any, options: GpuOptions) -> np.ndarray:
    """Fill in the row, and return the vectors of the images."""
    texts, images = [f"a street in Paris, number {number}" for number in range(work.posts)], work.images
    settings = ClipSettings(model=work.encoder, device=str(work.device), dtype=dtype, micro_batch=row.micro_batch)
    with _load_model(work, row, lambda: ClipEncoder.load(settings, gpu_options=options)) as encoder:

        def encode() -> None:
            encoder.encode_texts(texts)
            encoder.encode_images(images)

        _measure(work, row, encode, work.posts)
        vectors: np.ndarray = encoder.encode_images(images)
        _set_note(row, encoder.uncompiled, encoder.num_oom_reduced)
        return vectors


@contextmanager
def _load_model(work: Work, row: Row, load: Callable[[], Any]) -> Iterator[Any]:
    """Load a model, measure the time, and release the memory of the previous one first."""
    torch.compiler.reset()
    gc.collect()
    if work.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(work.device)
    start = perf_counter()
    model = load()
    row.setup_s = perf_counter() - start
    yield model


def _measure(work: Work, row: Row, call: Callable[[], object], count: int) -> None:
    call()
    times = []
    for _ in range(work.rounds):
        start = perf_counter()
        call()  # returns after the results were copied to the main memory
        times.append(perf_counter() - start)
    row.a_second = count / statistics.median(times)
    if work.device.type == "cuda":
        row.peak_gb = torch.cuda.max_memory_allocated(work.device) / 1e9


def _set_note(row: Row, uncompiled: dict[str, str], num_oom_reduced: int) -> None:
    if num_oom_reduced:
        row.note = "memory ran out: smaller micro-batches"
    elif uncompiled:
        row.note = "not compiled: " + "; ".join(f"{part} ({reason})" for part, reason in uncompiled.items())


def _mean_difference(first: Sequence[np.ndarray | None], second: Sequence[np.ndarray | None]) -> float | None:
    """Return the mean difference in gray levels of images that did not fail on either side."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    return float(np.mean([np.abs(a.astype(np.float32) - b).mean() for a, b in pairs])) if pairs else None


def _log_row(row: Row) -> Row:
    rate = "" if row.a_second is None else f"{row.a_second:.3g} a second"
    print(f"  {row.model}, {row.way}, micro-batch {row.micro_batch}: {rate} {row.note}", file=sys.stderr, flush=True)
    return row


def _format_table(rows: Sequence[Row], measurements: dict[str, Any]) -> str:
    machine_info = measurements["machine"]
    lines = [
        f"Machine: {', '.join(machine_info['gpus']) or 'no GPU'}; {machine_info['cpu']}, "
        f"{machine_info['cores']} cores; torch {measurements['versions']['torch']}, "
        f"diffusers {measurements['versions']['diffusers']}",
        "",
    ]
    lines += [
        "**Quick check with small models and a simulated compiler. The numbers mean nothing.**",
        "",
    ] * (measurements["quick"])
    lines += [
        "| model | way | micro-batch | a second | peak GB | set-up | apart | failed | note |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        apart = "" if row.apart is None else f"{row.apart:.2g}"
        figures = [f"{value:.3g}" if value is not None else "" for value in (row.a_second, row.peak_gb, row.setup_s)]
        failed = "" if row.failed is None else str(row.failed)
        cells = [row.model, row.way, str(row.micro_batch), *figures, apart, failed, row.note.replace("|", "/")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
