"""mix: posts per second and core, compared with a plain Pillow implementation: decode, blend floats, encode."""

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
from tests.benchmarks.runs import demo_run, enlarge_image, local_ray, one_actor

SIZE, POSTS = 512, 288
ARM, RATIO = "fixed-0.371", 0.371
"""A ratio for which no blend of two gray levels is halfway between two others, where the sides could round apart."""

Pixels = np.ndarray
"""uint8 `[n, 512, 512, 3]`."""


def run(bench: Bench) -> None:
    """Measure originals of the target size, and of twice that."""
    with bench.scratch() as scratch, local_ray():
        for scale, aim in ((1, 1.1), (2, None)):
            settings = load_settings("demo", ["per_shard=24", f"image.size={SIZE}"])
            store, plan = demo_run(scratch / f"scale-{scale}", settings, POSTS // scale, image_size=scale * SIZE)
            shards = plan.shards_of("train")
            _publish_synthesized(store, plan, settings.image)
            work, undo = one_actor(create_mix_stage(store, plan, settings.image), shards)
            pairs = _read_image_pairs(store, shards)
            sides = compare(
                f"mix, originals of {scale * SIZE} px",
                Side(
                    "amia: the stage, shards in, shards out", work, lambda _, s=store, n=shards: _read_mixed(s, n), undo
                ),
                Side(
                    "Pillow and NumPy, files in memory: decode (scaled as amia does), resize, blend floats, encode",
                    lambda pairs=pairs: [mix_with_pillow(*pair) for pair in pairs],
                    lambda files: np.stack([to_pixels(file) for file in files]),
                ),
                check_pixels,
                aim=aim,
                rounds=bench.rounds(5),
                slice_s=1.0,
                note=f"{len(pairs)} posts, {SIZE} px, quality {settings.image.quality}",
            )
            bench.add(sides.line)
            if scale == 1:
                bench.rates["mix"] = {"posts_per_s": len(pairs) / sides.ours_s, "size": SIZE, "device": "cpu"}


def create_mix_stage(store: Store, plan: Plan, images: ImageSettings) -> Mix:
    """Return the stage with one arm that blends every post."""
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


def mix_with_pillow(original: bytes, synthesized: bytes) -> bytes:
    """Compute eq. 9 in the obvious way."""
    first = Image.open(io.BytesIO(original))
    first.draft("RGB", (2 * SIZE, 2 * SIZE))
    first = first.convert("RGB")
    if first.size != (SIZE, SIZE):
        first = first.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    second = Image.open(io.BytesIO(synthesized)).convert("RGB")
    blend = RATIO * np.asarray(first, np.float32) + (1 - RATIO) * np.asarray(second, np.float32)
    file = io.BytesIO()
    pixels = np.clip(np.rint(blend), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=ImageSettings().quality, subsampling="4:2:0")
    return file.getvalue()


def create_synthesize_stage(store: Store, images: ImageSettings) -> Synthesize:
    """Return the stage that publishes synthesized images."""
    return Synthesize(
        store, generator=GeneratorSettings(), images=images, seed=0, threads=1, weights="bench", posts="bench"
    )


def _publish_synthesized(store: Store, plan: Plan, images: ImageSettings) -> None:
    """Publish `synthesized/` as the stage does."""
    stage = create_synthesize_stage(store, images)
    for shard, synthesized in fake_synthesized_images(store, plan, images):
        stage.publish(shard, synthesized)


def fake_synthesized_images(store: Store, plan: Plan, images: ImageSettings) -> Iterator[tuple[str, SynthesizedImages]]:
    """Yield each shard with images in place of generated ones: each is made from another post's original."""
    for shard in plan.shards:
        posts = read_shard(store, f"posts/{shard}.parquet", ["id", "text", "image"])
        ids, texts = posts["id"].to_pylist(), posts["text"].to_pylist()
        files = [image["bytes"] for image in posts["image"].to_pylist()]
        generated = {
            row: GeneratedImage(
                None,
                row,
                0,
                None,
                encode_pixels(resize_to_square(decode(enlarge_image(data, SIZE, row), images), images), images),
            )
            for row, data in enumerate(files[::-1])
        }
        prompts = Prompts(ids, [make_prompt(text) or "an image" for text in texts], list(range(len(ids))))
        yield shard, SynthesizedImages(prompts, generated)


def encode_pixels(pixels: Pixels, images: ImageSettings) -> bytes:
    return encode_jpeg(pixels, images.quality, source="synthesized")


def _read_image_pairs(store: Store, shards: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """Return the original and the synthesized file of each post."""
    pairs: list[tuple[bytes, bytes]] = []
    for shard in shards:
        posts = read_shard(store, f"posts/{shard}.parquet", ["image"])["image"].to_pylist()
        synthesized = read_shard(store, f"synthesized/{shard}.parquet", ["image"])["image"].to_pylist()
        pairs += zip((image["bytes"] for image in posts), synthesized, strict=True)
    return pairs


def _read_mixed(store: Store, shards: Sequence[str]) -> Pixels:
    tables = [read_shard(store, f"augmented/{ARM}/{shard}.parquet", ["image"]) for shard in shards]
    return np.stack([to_pixels(image["bytes"]) for table in tables for image in table["image"].to_pylist()])


def to_pixels(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def check_pixels(ours: Pixels, theirs: Pixels) -> str:
    difference = np.abs(ours.astype(np.int16) - theirs)
    wrong = float((difference > 1).mean())
    assert wrong < 1e-3, f"{wrong:.2%} of the pixels differ by more than one gray level"
    return f"{float((difference == 0).mean()):.1%} of the pixels equal, {1 - wrong:.3%} within one gray level"
