"""synthesized/: an image from each post's text (paper 3.3). Depends on text, generator, size and seed alone."""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import torch

from amia.images import ImageSettings, encode_jpeg
from amia.synthesis.generator import Drawn, Generator
from amia.synthesis.seeds import post_seed
from amia.synthesis.settings import GeneratorSettings
from amia.texts import prompt_of
from ray_jobs.shards import ShardFacts, encode, halved, read_shard
from ray_jobs.stages.base import Stage
from ray_jobs.store import Store

__all__ = ["Synthesize"]


@dataclass(frozen=True, slots=True)
class Prompts:
    """One shard's posts: a prompt, or None where the text gives none."""

    ids: list[str]
    prompts: list[str | None]


@dataclass(frozen=True, slots=True)
class Pictures:
    """What was drawn for one shard, by row, where there was a prompt."""

    prompts: Prompts
    drawn: dict[int, Drawn]
    halved: int
    """Prompts whose micro-batch did not fit the memory."""


class Synthesize(Stage[Prompts, Pictures]):
    """Texts -> synthesized images, as JPEG in the geometry of every arm."""

    name = "synthesized"
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
    ) -> None:
        super().__init__(store, identity)
        self._settings, self._images, self._seed, self._threads = generator, images, seed, threads

    def setup(self) -> None:
        """Load the pipeline from this node's files."""
        Generator.fetch(self._settings)  # once a node: the hub's cache lets one actor fetch
        torch.set_num_threads(self._threads)
        self._generator = Generator.load(self._settings, self._images.size, local_files_only=True)

    def load(self, shard: str) -> Prompts:
        """The shard's texts as prompts; the images stay where they are."""
        posts = read_shard(self.store, f"posts/{shard}.parquet", ["id", "text"])
        return Prompts(posts["id"].to_pylist(), [prompt_of(text) for text in posts["text"].to_pylist()])

    def run(self, loaded: Prompts) -> Pictures:
        """Draw; micro-batches never cross a shard, so a picture does not depend on the shards around it."""
        rows = [row for row, prompt in enumerate(loaded.prompts) if prompt is not None]
        before = self._generator.halved
        drawn = self._generator.generate(
            [loaded.prompts[row] or "" for row in rows], [post_seed(self._seed, loaded.ids[row]) for row in rows]
        )
        return Pictures(loaded, dict(zip(rows, drawn, strict=True)), self._generator.halved - before)

    def publish(self, shard: str, done: Pictures) -> ShardFacts:
        """The images and what they were drawn from."""
        prompts, drawn = done.prompts, done.drawn
        statuses: list[str] = []
        images: list[bytes | None] = []
        seeds: list[int | None] = []
        for row in range(len(prompts.ids)):
            picture = drawn.get(row)
            pixels = picture.pixels if picture else None
            images.append(None if pixels is None else encode_jpeg(pixels, self._images.quality, source="synthesized"))
            seeds.append(picture.seed if picture else None)
            statuses.append(
                "no_prompt" if picture is None else f"failed({picture.failure})" if pixels is None else "ok"
            )
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
        extra = {"redraws": sum(each.redraws for each in drawn.values()), **halved(done.halved)}
        data, facts = encode(table, stage=self.name, identity=self.identity, counts=counts, extra=extra)
        self.store.create(self.keys(shard)[0], data)
        return facts
