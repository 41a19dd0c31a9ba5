"""mix: posts a second and core against what one would write with Pillow: decode both, blend floats, encode."""

import io
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from amia.images import ImageSettings, decode, encode_jpeg, resize_to_square
from amia.synthesis.generator import GeneratedImage
from amia.synthesis.settings import GeneratorSettings
from amia.text import make_prompt
from ray_jobs.settings.job import load_settings
from ray_jobs.stages.mix import Mix
from ray_jobs.stages.synthesize import Prompts, Synthesize, SynthesizedImages
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store
from tests.benchmarks.bench import Bench
from tests.benchmarks.harness import Side, compare
from tests.benchmarks.runs import demo_run, local_ray, one_actor, photograph

SIZE, POSTS = 512, 288
ARM, SHARE = "fixed-0.371", 0.371
"""A share that puts no blend of two gray levels half-way between two others, where the sides might round apart."""

Pictures = np.ndarray
"""uint8 `[n, 512, 512, 3]`."""


def run(bench: Bench) -> None:
    """Originals of the target size, and of twice it."""
    with bench.scratch() as scratch, local_ray():
        for times, aim in ((1, 1.1), (2, None)):
            settings = load_settings("demo", ["per_shard=24", f"image.size={SIZE}"])
            store, plan = demo_run(scratch / f"times-{times}", settings, POSTS // times, enlarged=times * SIZE)
            shards = plan.shards_of("train")
            _draw(store, plan, settings.image)
            work, undo = one_actor(mixing(store, plan, settings.image), shards)
            pairs = _files(store, shards)
            sides = compare(
                f"mix, originals of {times * SIZE} px",
                Side("amia, the stage: shards in, shards out", work, lambda _, s=store, n=shards: _stored(s, n), undo),
                Side(
                    "Pillow and NumPy, files in memory: decode (scaled where amia would), fit, blend floats, encode",
                    lambda pairs=pairs: [plain(*pair) for pair in pairs],
                    lambda files: np.stack([_pixels(file) for file in files]),
                ),
                pictures_alike,
                aim=aim,
                rounds=bench.rounds(5),
                slice_s=1.0,
                note=f"{len(pairs)} posts, {SIZE} px, quality {settings.image.quality}",
            )
            bench.add(sides.line)
            if times == 1:
                bench.rates["mix"] = {"posts_per_s": len(pairs) / sides.ours_s, "size": SIZE, "device": "cpu"}


def mixing(store: Store, plan: Plan, images: ImageSettings) -> Mix:
    """The stage with one arm that blends every post."""
    return Mix(
        store,
        [ARM],
        images=images,
        types=plan.types,
        mixture=None,
        seed=0,
        mean_theta=None,
        posts="bench",
        scores=None,
        synthesized="bench",
    )


def plain(original: bytes, synthesized: bytes) -> bytes:
    """Eq. 9 as one would write it down."""
    first = Image.open(io.BytesIO(original))
    first.draft("RGB", (2 * SIZE, 2 * SIZE))
    first = first.convert("RGB")
    if first.size != (SIZE, SIZE):
        first = first.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    second = Image.open(io.BytesIO(synthesized)).convert("RGB")
    blend = SHARE * np.asarray(first, np.float32) + (1 - SHARE) * np.asarray(second, np.float32)
    file = io.BytesIO()
    pixels = np.clip(np.rint(blend), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=ImageSettings().quality, subsampling="4:2:0")
    return file.getvalue()


def drawing(store: Store, images: ImageSettings) -> Synthesize:
    """The stage that publishes what was drawn."""
    return Synthesize(
        store, generator=GeneratorSettings(), images=images, seed=0, threads=1, weights="bench", posts="bench"
    )


def _draw(store: Store, plan: Plan, images: ImageSettings) -> None:
    """`synthesized/` as the stage would publish it."""
    stage = drawing(store, images)
    for shard, drawings in _drawn(store, plan, images):
        stage.publish(shard, drawings)


def _drawn(store: Store, plan: Plan, images: ImageSettings) -> Iterator[tuple[str, SynthesizedImages]]:
    """By shard, images that a generator might have drawn: each made of another post's original."""
    for shard in plan.shards:
        posts = read_shard(store, f"posts/{shard}.parquet", ["id", "text", "image"])
        ids, texts = posts["id"].to_pylist(), posts["text"].to_pylist()
        files = [image["bytes"] for image in posts["image"].to_pylist()]
        drawn = {
            row: GeneratedImage(
                None, row, 0, None, _file(resize_to_square(decode(photograph(data, SIZE, row), images), images), images)
            )
            for row, data in enumerate(files[::-1])
        }
        prompts = Prompts(ids, [make_prompt(text) or "an image" for text in texts], list(range(len(ids))))
        yield shard, SynthesizedImages(prompts, drawn)


def _file(pixels: Pictures, images: ImageSettings) -> bytes:
    return encode_jpeg(pixels, images.quality, source="synthesized")


def _files(store: Store, shards: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """Original and synthesized file of each post."""
    pairs: list[tuple[bytes, bytes]] = []
    for shard in shards:
        posts = read_shard(store, f"posts/{shard}.parquet", ["image"])["image"].to_pylist()
        drawn = read_shard(store, f"synthesized/{shard}.parquet", ["image"])["image"].to_pylist()
        pairs += zip((image["bytes"] for image in posts), drawn, strict=True)
    return pairs


def _stored(store: Store, shards: Sequence[str]) -> Pictures:
    tables = [read_shard(store, f"augmented/{ARM}/{shard}.parquet", ["image"]) for shard in shards]
    return np.stack([_pixels(image["bytes"]) for table in tables for image in table["image"].to_pylist()])


def _pixels(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def pictures_alike(ours: Pictures, theirs: Pictures) -> str:
    apart = np.abs(ours.astype(np.int16) - theirs)
    beyond = float((apart > 1).mean())
    assert beyond < 1e-3, f"{beyond:.2%} of the pixels differ by more than one gray level"
    return f"{float((apart == 0).mean()):.1%} of the pixels equal, {1 - beyond:.3%} within one gray level"
