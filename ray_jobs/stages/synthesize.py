"""synthesized/: an image from each post's text (paper 3.3). Depends on text, generator, size and seed alone."""

from collections import Counter
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
from ray_jobs.stages.base import Stage, encoding_context, failed_ids_by_status
from ray_jobs.storage.layout import POSTS, RETRY_DIR, SYNTHESIZED, shard_key
from ray_jobs.storage.shards import ShardMetadata, eager, encode, halved, read_shard
from ray_jobs.storage.status import is_synthesis_retryable, next_seed
from ray_jobs.storage.store import Store

if TYPE_CHECKING:
    from amia.synthesis.generator import GeneratedImage

__all__ = ["Synthesize"]


@dataclass(frozen=True, slots=True)
class Prompts:
    """One shard's posts: a prompt, or None where the text gives none."""

    ids: list[str]
    prompts: list[str | None]
    seeds: list[int]
    kept: dict[int, dict[str, Any]] = field(default_factory=dict)
    """In a retried run, the rows that stay as they were, by place."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """What was drawn for one shard, by row, where there was a prompt."""

    prompts: Prompts
    drawn: dict[int, "GeneratedImage"]
    num_oom_reduced: int
    """Prompts whose micro-batch did not fit the memory."""
    uncompiled: dict[str, str] = field(default_factory=dict)
    """Parts of the model that were to be compiled and could not be, and why."""


class Synthesize(Stage[Prompts, Pictures]):
    """Texts -> synthesized images, as JPEG in the geometry of every arm."""

    name = SYNTHESIZED
    pool = "synthesize"
    version = 1

    def __init__(
        self,
        store: Store,
        identity: str,
        *,
        generator: GeneratorSettings,
        images: ImageSettings,
        seed: int,
        threads: int,
        earlier: Collection[str] = (),
    ) -> None:
        """`earlier`: shards of which a retried run holds the old images; of these only the failed are drawn."""
        super().__init__(store, identity)
        self._settings, self._images, self._seed, self._threads = generator, images, seed, threads
        self._earlier = frozenset(earlier)

    def setup(self) -> None:
        """Load the pipeline from this node's files."""
        import torch  # here, so that the driver, which only hands the stage on, does not wait for it

        from amia.synthesis.generator import Generator

        Generator.fetch(self._settings)  # once a node: the hub's cache lets one actor fetch
        torch.set_num_threads(self._threads)
        self._generator = Generator.load(self._settings, self._images.size, local_files_only=True)

    def load(self, shard: str) -> Prompts:
        """The shard's texts as prompts; the images stay where they are."""
        posts = read_shard(self.store, shard_key(POSTS, shard), ["id", "text"])
        ids, prompts = posts["id"].to_pylist(), [make_prompt(text) for text in posts["text"].to_pylist()]
        loaded = Prompts(ids, prompts, [post_seed(self._seed, each) for each in ids])
        if shard in self._earlier:
            before = read_shard(self.store, shard_key(RETRY_DIR, shard)).to_pylist()
            for place, (post_id, row) in enumerate(zip(ids, before, strict=True)):
                if row["id"] != post_id:
                    raise AssertionError(f"post {post_id} stands beside the image of {row['id']}")
                if is_synthesis_retryable(row["synthesis_status"]):
                    loaded.seeds[place] = next_seed(row["synthesis_status"], row["seed"])
                else:
                    loaded.kept[place] = row
        return loaded

    def run(self, loaded: Prompts) -> Pictures:
        """Draw and encode; micro-batches never cross a shard, so an image does not depend on the shards around it."""
        rows = [row for row, prompt in enumerate(loaded.prompts) if prompt is not None and row not in loaded.kept]
        before = self._generator.num_oom_reduced

        def encoded(place: int, pixels: NDArray[np.uint8]) -> bytes:
            with encoding_context(loaded.ids[rows[place]]):
                return encode_jpeg(pixels, self._images.quality, source="synthesized")

        drawn = self._generator.generate(
            [loaded.prompts[row] or "" for row in rows], [loaded.seeds[row] for row in rows], encoded
        )
        return Pictures(
            loaded,
            dict(zip(rows, drawn, strict=True)),
            self._generator.num_oom_reduced - before,
            dict(self._generator.uncompiled),
        )

    def publish(self, shard: str, done: Pictures) -> ShardMetadata:
        """The images and what they were drawn from."""
        prompts, drawn = done.prompts, done.drawn
        statuses = _statuses(prompts, drawn)
        images: list[bytes | None] = []
        seeds: list[int | None] = []
        for row in range(len(prompts.ids)):
            if (kept := prompts.kept.get(row)) is not None:
                images.append(kept["image"])
                seeds.append(kept["seed"])
                continue
            picture = drawn.get(row)
            images.append(picture.file if picture else None)
            seeds.append(picture.seed if picture else None)
        table = pa.table(
            {
                "id": prompts.ids,
                "image": pa.array(images, pa.binary()),
                "prompt": pa.array(prompts.prompts, pa.string()),
                "seed": pa.array(seeds, pa.int64()),
                "synthesis_status": statuses,
            }
        )
        counts = Counter(f"synthesis={status}" for status in statuses)
        extra = {
            "redraws": sum(each.redraws for each in drawn.values()),
            **halved(done.num_oom_reduced),
            **eager(done.uncompiled),
        }
        data, facts = encode(table, stage=self.name, identity=self.identity, counts=counts, extra=extra)
        self.store.create(self.keys(shard)[0], data)
        return facts

    def failures(self, done: Pictures) -> dict[str, list[str]]:
        """Posts whose images were all unusable, or refused."""
        return failed_ids_by_status("synthesis", done.prompts.ids, _statuses(done.prompts, done.drawn))


def _statuses(prompts: Prompts, drawn: dict[int, "GeneratedImage"]) -> list[str]:
    statuses: list[str] = []
    for row in range(len(prompts.ids)):
        if (kept := prompts.kept.get(row)) is not None:
            statuses.append(kept["synthesis_status"])
        elif (picture := drawn.get(row)) is None:
            statuses.append("no_prompt")
        else:
            statuses.append("ok" if picture.failure is None else f"failed({picture.failure})")
    return statuses
