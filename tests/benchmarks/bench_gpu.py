"""What each thing that amia does for a GPU gains there: one command, one table for the README.

    python -m tests.benchmarks.bench_gpu                                    on a machine with a GPU
    python -m tests.benchmarks.bench_gpu --generator stabilityai/sd-turbo   with real weights
    python -m tests.benchmarks.bench_gpu --device cpu --quick               does it run? Its figures are none

Random weights of SD-Turbo's and ViT-B/16's shapes stand for the real ones: they cost the same. A row is one way of
running a model, each adding to the row before; then micro-batches with all of it, until memory runs out, and what
`amia augment` would propose. Leaves gpu.md and gpu.json in `--out`.

- `a second`: images or posts, median of the rounds, from prompts to JPEG files (posts: from images in memory to
  vectors), first calls left out
- `peak GB`: of tensors on the GPU, the model included
- `set-up`: seconds to load, and to compile where that is done
- `apart`: mean gray levels (posts: 1 - cosine) from the first row, which is float32 and plain
- `failed`: images that were NaN, black or blank
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

from amia import accelerator as compiling
from amia.accelerator import GpuOptions
from amia.images import encode_jpeg
from amia.matching.clip import ClipEncoder
from amia.matching.settings import ClipSettings
from amia.synthesis.autobatch import measure_memory, propose_batch_size
from amia.synthesis.generator import Generator
from amia.synthesis.settings import GeneratorSettings
from tests.benchmarks.facts import machine, versions

QUALITY = 95
EVERYTHING = GpuOptions(compiled=True, channels_last=True, distinct=True)
WAYS = (
    ("float32", "float32", GpuOptions()),
    ("half", "auto", GpuOptions()),
    ("+ channels last", "auto", GpuOptions(channels_last=True)),
    ("+ each text once", "auto", GpuOptions(channels_last=True, distinct=True)),
    ("+ compiled", "auto", EVERYTHING),
    ("the same in float16", "float16", EVERYTHING),
)
"""Name, precision, tuning."""


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
    """How much of it."""

    device: torch.device
    generator: str
    encoder: str
    size: int
    pictures: int
    posts: int
    rounds: int
    sweep: Sequence[int]

    @property
    def prompts(self) -> list[str]:
        """A tenth of the texts stand there twice, as retweets do."""
        return [
            f"photograph number {number - number % 10 // 9} of a street in Paris" for number in range(self.pictures)
        ]

    @property
    def images(self) -> list[Image.Image]:
        """Noise of a photograph's size."""
        chance = np.random.default_rng(0)
        return [Image.fromarray(chance.integers(0, 255, (320, 320, 3), np.uint8)) for _ in range(self.posts)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--generator", help="a name at the hub or a folder, instead of random weights")
    parser.add_argument("--encoder", help="likewise")
    parser.add_argument("--quick", action="store_true", help="small models, little work, a simulated compiler")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error(
            "torch sees no GPU here, and nothing else is worth measuring; --device cpu --quick tries the script"
        )
    if device.type != "cuda" and not chosen.quick:
        parser.error(f"a {device.type} is tried with --quick only: none of this is meant for it")
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    if chosen.quick:
        compiling.BACKEND = "aot_eager"
    with TemporaryDirectory(prefix="amia-bench-") as scratch:
        work = _work(chosen, device, Path(scratch))
        rows = [*_generator_rows(work), *_sweep(work), *_encoder_rows(work)]
    whole = {"machine": machine(), "versions": versions(), "quick": chosen.quick, "rows": [asdict(row) for row in rows]}
    table = _table(rows, whole)
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "gpu.json").write_text(json.dumps(whole, indent=1))
    (chosen.out / "gpu.md").write_text(table + "\n")
    print(table)


def _work(chosen: argparse.Namespace, device: torch.device, scratch: Path) -> Work:
    from tests.benchmarks.embed import save_vit_b_16  # here, where the libraries that they load are quiet already
    from tests.benchmarks.synthesize import save_turbo

    size, thinner = (64, 8) if chosen.quick else (512, 1)
    if chosen.generator is None:
        save_turbo(scratch / "turbo", size, thinner)
    if chosen.encoder is None:
        save_vit_b_16(scratch / "clip")
    return Work(
        device=device,
        generator=chosen.generator or str(scratch / "turbo"),
        encoder=chosen.encoder or str(scratch / "clip"),
        size=size,
        pictures=6 if chosen.quick else 256,
        posts=6 if chosen.quick else 2048,
        rounds=1 if chosen.quick else 3,
        sweep=(1, 2) if chosen.quick else (1, 2, 4, 8, 16, 32, 64),
    )


def _generator_rows(work: Work) -> Iterator[Row]:
    first: list[np.ndarray | None] = []
    batch = 4 if work.pictures < 8 else 8
    for way, dtype, tuning in WAYS:
        row = Row("generator", way, batch)
        pictures = _drawn(work, row, dtype, tuning, behind=True)
        first = first or pictures
        row.apart = _levels(first, pictures)
        yield _told(row)
    row = Row("generator", "compiled, files made afterwards", batch)
    _drawn(work, row, "auto", EVERYTHING, behind=False)
    yield _told(row)


def _sweep(work: Work) -> Iterator[Row]:
    if work.device.type == "cuda":
        settings = GeneratorSettings(model=work.generator, device=str(work.device))
        memory = measure_memory(settings, work.size, 1.0)
        yield _told(Row("generator", "proposed", propose_batch_size(memory), note=json.dumps(asdict(memory))))
    for batch in work.sweep:
        row = Row("generator", "everything", batch)
        _drawn(work, row, "auto", EVERYTHING, behind=True)
        yield _told(row)
        if row.note.startswith("memory"):
            return


def _drawn(work: Work, row: Row, dtype: Any, tuning: GpuOptions, *, behind: bool) -> list[np.ndarray | None]:
    """Fill in the row; the images of one more pass, not measured."""
    settings = GeneratorSettings(
        model=work.generator, device=str(work.device), dtype=dtype, micro_batch=row.micro_batch, redraws=0
    )
    seeds = list(range(work.pictures))
    with _loaded(work, row, lambda: Generator.load(settings, work.size, tuning=tuning)) as generator:

        def encoded(_: int, pixels: np.ndarray) -> bytes:
            return encode_jpeg(pixels, QUALITY, source="synthesized")

        def draw() -> None:
            drawn = generator.generate(work.prompts, seeds, encoded if behind else None)
            if not behind:
                for one in drawn:
                    if one.pixels is not None:
                        encoded(0, one.pixels)

        _measured(work, row, draw, work.pictures)
        drawn = generator.generate(work.prompts, seeds)
        row.failed = sum(one.failure is not None for one in drawn)
        _explained(row, generator.eager, generator.halved)
        return [one.pixels for one in drawn]


def _encoder_rows(work: Work) -> Iterator[Row]:
    first: np.ndarray | None = None
    for way, dtype, tuning in WAYS:
        if "text" in way or "float16" in way:  # nothing of the encoder's; half is float16 anyway
            continue
        row = Row("encoder", way, min(64, work.posts))
        vectors = _encoded(work, row, dtype, tuning)
        first = vectors if first is None else first
        row.apart = float(1 - (first * vectors).sum(axis=1).min())
        yield _told(row)


def _encoded(work: Work, row: Row, dtype: Any, tuning: GpuOptions) -> np.ndarray:
    """Fill in the row; the images' vectors."""
    texts, images = [f"a street in Paris, number {number}" for number in range(work.posts)], work.images
    settings = ClipSettings(model=work.encoder, device=str(work.device), dtype=dtype, micro_batch=row.micro_batch)
    with _loaded(work, row, lambda: ClipEncoder.load(settings, tuning=tuning)) as encoder:

        def encode() -> None:
            encoder.encode_texts(texts)
            encoder.encode_images(images)

        _measured(work, row, encode, work.posts)
        vectors: np.ndarray = encoder.encode_images(images)
        _explained(row, encoder.eager, encoder.halved)
        return vectors


@contextmanager
def _loaded(work: Work, row: Row, load: Callable[[], Any]) -> Iterator[Any]:
    """A model with the seconds that it took, and none of the one before."""
    torch.compiler.reset()
    gc.collect()
    if work.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(work.device)
    begun = perf_counter()
    model = load()
    row.setup_s = perf_counter() - begun
    yield model


def _measured(work: Work, row: Row, once: Callable[[], object], count: int) -> None:
    once()
    times = []
    for _ in range(work.rounds):
        begun = perf_counter()
        once()  # ends when all of it is in the machine's memory
        times.append(perf_counter() - begun)
    row.a_second = count / statistics.median(times)
    if work.device.type == "cuda":
        row.peak_gb = torch.cuda.max_memory_allocated(work.device) / 1e9


def _explained(row: Row, eager: dict[str, str], halved: int) -> None:
    if halved:
        row.note = "memory ran out: smaller micro-batches"
    elif eager:
        row.note = "not compiled: " + "; ".join(f"{part} ({reason})" for part, reason in eager.items())


def _levels(first: Sequence[np.ndarray | None], others: Sequence[np.ndarray | None]) -> float | None:
    """Mean gray levels between images that neither failed."""
    pairs = [(one, other) for one, other in zip(first, others, strict=True) if one is not None and other is not None]
    return float(np.mean([np.abs(one.astype(np.float32) - other).mean() for one, other in pairs])) if pairs else None


def _told(row: Row) -> Row:
    rate = "" if row.a_second is None else f"{row.a_second:.3g} a second"
    print(f"  {row.model}, {row.way}, micro-batch {row.micro_batch}: {rate} {row.note}", file=sys.stderr, flush=True)
    return row


def _table(rows: Sequence[Row], whole: dict[str, Any]) -> str:
    facts = whole["machine"]
    lines = [
        f"Machine: {', '.join(facts['gpus']) or 'no GPU'}; {facts['cpu']}, {facts['cores']} cores; "
        f"torch {whole['versions']['torch']}, diffusers {whole['versions']['diffusers']}",
        "",
    ]
    lines += [
        "**A look at whether it runs: small models, a simulated compiler. No figure here means anything.**",
        "",
    ] * (whole["quick"])
    lines += [
        "| model | way | micro-batch | a second | peak GB | set-up | apart | failed | note |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        apart = "" if row.apart is None else f"{row.apart:.2g}"
        figures = [f"{each:.3g}" if each is not None else "" for each in (row.a_second, row.peak_gb, row.setup_s)]
        failed = "" if row.failed is None else str(row.failed)
        cells = [row.model, row.way, str(row.micro_batch), *figures, apart, failed, row.note.replace("|", "/")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
