"""synthesized/: an image from the text of each post (paper 3.3). Depends only on text, generator, size and seed."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from amia.images import ImageSettings, encode_jpeg
from amia.synthesis.seeds import post_seed
from amia.synthesis.settings import GeneratorSettings
from amia.text import make_prompt
from ray_jobs.stages.base import Stage, accelerator_identity, encoding_context, failed_ids_by_status
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.footers import describe_synthesized
from ray_jobs.storage.layout import POSTS, RETRY_DIR, SYNTHESIZED, shard_key
from ray_jobs.storage.shards import ShardMetadata, encode, read_shard
from ray_jobs.storage.status import is_synthesis_retryable, next_seed
from ray_jobs.storage.store import Store

if TYPE_CHECKING:
    from amia.synthesis.generator import GeneratedImage

__all__ = ["Prompts", "Synthesize", "SynthesizedImages"]


@dataclass(frozen=True, slots=True)
class Prompts:
    """The posts of one shard with their prompts; None for a text that gives no prompt."""

    ids: list[str]
    prompts: list[str | None]
    seeds: list[int]
    kept: dict[int, dict[str, Any]] = field(default_factory=dict)
    """In a retried run, the rows that stay unchanged, by index."""


@dataclass(frozen=True, slots=True)
class SynthesizedImages:
    """The images of one shard, by row, for the rows with a prompt."""

    prompts: Prompts
    images: dict[int, "GeneratedImage"]
    num_oom_reduced: int = 0
    """Prompts that needed a smaller micro-batch."""
    uncompiled: dict[str, str] = field(default_factory=dict)
    """Parts of the model that could not be compiled, with the reason."""

    def statuses(self) -> list[str]:
        """Return the synthesis status of each post."""
        statuses: list[str] = []
        for row in range(len(self.prompts.ids)):
            if (kept := self.prompts.kept.get(row)) is not None:
                statuses.append(kept["synthesis_status"])
            elif (image := self.images.get(row)) is None:
                statuses.append("no_prompt")
            else:
                statuses.append("ok" if image.failure is None else f"failed({image.failure})")
        return statuses


class Synthesize(Stage[Prompts, SynthesizedImages]):
    """Texts -> synthesized images, as JPEG in the geometry of every arm."""

    name = SYNTHESIZED
    pool = "synthesize"
    version = 1

    def __init__(
        self,
        store: Store,
        *,
        generator: GeneratorSettings,
        images: ImageSettings,
        seed: int,
        threads: int,
        weights: str,
        posts: str,
        retried: Collection[str] = (),
    ) -> None:
        """`weights` identifies the model's files, `posts` is the digest of the plan.

        Device and micro-batch of `generator` are resolved. `retried` are the shards of which a retried run holds the
        previous images; only the failed images of these are generated again.
        """
        super().__init__(store)
        self._settings, self._images, self._seed, self._threads = generator, images, seed, threads
        self._weights, self._posts = weights, posts
        self._retried = frozenset(retried)

    def identity(self, folder: str) -> Identity:
        """Return the generator with its precision, image size and quality, seed, threads, and digest of the plan."""
        generator = {
            "weights": self._weights,
            **self._settings.model_dump(include={"steps", "guidance", "micro_batch", "redraws"}),
            **accelerator_identity(self._settings.dtype, self._settings.device, self._settings.compile),
        }
        if generator["dtype"] != "float32":
            generator["shades"] = "float32"  # precision in which pixel values are rounded to gray levels
        return {
            "stage": folder,
            "version": self.version,
            "settings": {
                "generator": generator,
                "image": self._images.model_dump(include={"size", "quality"}),
                "seed": self._seed,
                "threads": self._threads,
            },
            "input": {"posts": self._posts},
        }

    def setup(self) -> None:
        """Load the pipeline from the files of this node."""
        import torch  # not at the top: the driver only passes the stage on and should not wait for it

        from amia.synthesis.generator import Generator

        Generator.fetch(self._settings)  # once per node: the hub's cache lets a single actor download
        torch.set_num_threads(self._threads)
        self._generator = Generator.load(self._settings, self._images.size, local_files_only=True)

    def load(self, shard: str) -> Prompts:
        """Read the texts of the shard and make prompts of them. The images of the posts are not read."""
        posts = read_shard(self.store, shard_key(POSTS, shard), ["id", "text"])
        ids, prompts = posts["id"].to_pylist(), [make_prompt(text) for text in posts["text"].to_pylist()]
        loaded = Prompts(ids, prompts, [post_seed(self._seed, post_id) for post_id in ids])
        if shard in self._retried:
            previous = read_shard(self.store, shard_key(RETRY_DIR, shard)).to_pylist()
            for index, (post_id, row) in enumerate(zip(ids, previous, strict=True)):
                if row["id"] != post_id:
                    raise AssertionError(f"{shard}: post {post_id} is paired with the image of {row['id']}")
                if is_synthesis_retryable(row["synthesis_status"]):
                    loaded.seeds[index] = next_seed(row["synthesis_status"], row["seed"])
                else:
                    loaded.kept[index] = row
        return loaded

    def run(self, loaded: Prompts) -> SynthesizedImages:
        """Generate and encode images. Micro-batches never cross a shard, so images do not depend on other shards."""
        rows = [row for row, prompt in enumerate(loaded.prompts) if prompt is not None and row not in loaded.kept]
        previously_reduced = self._generator.num_oom_reduced

        def encode_image(index: int, pixels: NDArray[np.uint8]) -> bytes:
            with encoding_context(loaded.ids[rows[index]]):
                return encode_jpeg(pixels, self._images.quality, source="synthesized")

        images = self._generator.generate(
            [loaded.prompts[row] or "" for row in rows], [loaded.seeds[row] for row in rows], encode_image
        )
        return SynthesizedImages(
            prompts=loaded,
            images=dict(zip(rows, images, strict=True)),
            num_oom_reduced=self._generator.num_oom_reduced - previously_reduced,
            uncompiled=dict(self._generator.uncompiled),
        )

    def publish(self, shard: str, done: SynthesizedImages) -> ShardMetadata:
        """Publish the images with their prompts and seeds."""
        prompts, statuses = done.prompts, done.statuses()
        files: list[bytes | None] = []
        seeds: list[int | None] = []
        for row in range(len(prompts.ids)):
            if (kept := prompts.kept.get(row)) is not None:
                files.append(kept["image"])
                seeds.append(kept["seed"])
                continue
            image = done.images.get(row)
            files.append(image.file if image else None)
            seeds.append(image.seed if image else None)
        table = pa.table(
            {
                "id": prompts.ids,
                "image": pa.array(files, pa.binary()),
                "prompt": pa.array(prompts.prompts, pa.string()),
                "seed": pa.array(seeds, pa.int64()),
                "synthesis_status": statuses,
            }
        )
        data, metadata = encode(
            table,
            stage=self.name,
            identity=self.digest(),
            **describe_synthesized(table, sum(image.redraws for image in done.images.values())),
        )
        return self.create_shard(self.keys(shard)[0], data, metadata)

    def failures(self, done: SynthesizedImages) -> dict[str, list[str]]:
        """Return the posts whose images were all unusable, or refused by the safety check."""
        return failed_ids_by_status("synthesis", done.prompts.ids, done.statuses())

    def log_fields(self, done: SynthesizedImages) -> dict[str, Any]:
        """Return what ran in smaller micro-batches or uncompiled."""
        return {"oom_reduced": done.num_oom_reduced, "uncompiled": done.uncompiled}
