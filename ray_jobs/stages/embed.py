"""embeddings/: two float16 unit vectors a post, and the keys by which equal texts and equal images are known."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from amia.images import ImageSettings, decode
from amia.matching.bank import image_key, text_key
from amia.matching.settings import ClipSettings
from amia.text import clean_text
from ray_jobs.stages.base import Stage, post_context
from ray_jobs.storage.layout import EMBEDDINGS, POSTS, shard_key
from ray_jobs.storage.shards import ShardMetadata, eager, encode, halved, read_shard
from ray_jobs.storage.store import Store

__all__ = ["Embed"]

AT_ONCE = 8
"""Photographs that stand in memory as they were decoded, all threads together: some megabytes each."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """One shard as the model takes it: all texts, and the images of those posts that have one."""

    ids: list[str]
    tokens: NDArray[np.int64]
    levels: NDArray[np.uint8]
    image_rows: list[int]
    """Which posts the images belong to."""
    text_keys: list[bytes]
    image_keys: list[bytes | None]


@dataclass(frozen=True, slots=True)
class Vectors:
    """One shard's vectors as they are stored."""

    table: pa.Table
    num_oom_reduced: int
    """Texts and images whose micro-batch did not fit the memory."""
    uncompiled: dict[str, str]
    """Towers that were to be compiled and could not be, and why."""


class Embed(Stage[Inputs, Vectors]):
    """Posts -> CLIP vectors (paper 3.1). Vectors are little-endian float16 bytes, `[d]` each."""

    name = EMBEDDINGS
    pool = "embed"
    version = 1

    def __init__(
        self,
        store: Store,
        identity: str,
        *,
        clip: ClipSettings,
        images: ImageSettings,
        threads: int,
        decoders: int = 1,
    ) -> None:
        """`threads`: of the model's arithmetic; `decoders`: threads that decode images, which change no vector."""
        super().__init__(store, identity)
        self._clip, self._images, self._threads, self._decoders = clip, images, threads, decoders

    def setup(self) -> None:
        """Load CLIP from this node's files."""
        import torch  # here, so that the driver, which only hands the stage on, does not wait for it

        from amia.matching.clip import ClipEncoder

        ClipEncoder.fetch(self._clip)  # once a node: the hub's cache lets one actor fetch
        torch.set_num_threads(self._threads)
        self._encoder = ClipEncoder.load(self._clip, local_files_only=True)

    def load(self, shard: str) -> Inputs:
        """Texts cleaned and tokenized; images decoded, and brought to the size that the model reads."""
        posts = read_shard(self.store, shard_key(POSTS, shard), ["id", "text", "image", "image_status"])
        ids, texts = posts["id"].to_pylist(), [clean_text(text) for text in posts["text"].to_pylist()]
        images = enumerate(zip(posts["image_status"].to_pylist(), posts["image"].to_pylist(), strict=True))
        files: dict[int, bytes] = {row: image["bytes"] for row, (status, image) in images if status == "ok"}
        rows, few = list(files), max(1, AT_ONCE // self._decoders)

        def levels(some: Sequence[int]) -> NDArray[np.uint8]:
            pictures = []
            for row in some:
                with post_context(ids[row]):
                    pictures.append(decode(files[row], self._images))
            return self._encoder.levels(pictures)

        # A GPU embeds ten times as fast as one thread decodes, and Pillow computes without Python's lock.
        with ThreadPoolExecutor(self._decoders, "decode") as pool:
            made = list(pool.map(levels, [rows[start : start + few] for start in range(0, len(rows), few)]))
        return Inputs(
            ids=ids,
            tokens=self._encoder.tokens(texts),
            levels=np.concatenate(made) if made else self._encoder.levels([]),
            image_rows=rows,
            text_keys=[text_key(text) for text in texts],
            image_keys=[image_key(files[row]) if row in files else None for row in range(len(ids))],
        )

    def run(self, loaded: Inputs) -> Vectors:
        """Both encoders; micro-batches never cross a shard, so a shard's vectors do not depend on its neighbors."""
        before = self._encoder.num_oom_reduced
        texts = self._encoder.encode_tokens(loaded.tokens).astype("<f2")  # [n, d]
        images: list[bytes | None] = [None] * len(loaded.ids)
        vectors = self._encoder.encode_levels(loaded.levels).astype("<f2")  # [n with an image, d]
        for row, vector in zip(loaded.image_rows, vectors, strict=True):
            images[row] = vector.tobytes()
        table = pa.table(
            {
                "id": loaded.ids,
                "text_vector": pa.array([vector.tobytes() for vector in texts], pa.binary()),
                "image_vector": pa.array(images, pa.binary()),
                "text_key": pa.array(loaded.text_keys, pa.binary(16)),
                "image_key": pa.array(loaded.image_keys, pa.binary(16)),
            }
        )
        return Vectors(table, self._encoder.num_oom_reduced - before, dict(self._encoder.uncompiled))

    def publish(self, shard: str, done: Vectors) -> ShardMetadata:
        """The vectors, and how many posts have both."""
        both = done.table.num_rows - done.table["image_vector"].null_count
        extra = {"with_image": both, **halved(done.num_oom_reduced), **eager(done.uncompiled)}
        data, facts = encode(done.table, stage=self.name, identity=self.identity, extra=extra)
        self.store.create(self.keys(shard)[0], data)
        return facts
