"""embeddings/: two float16 unit vectors per post, and the keys that identify equal texts and equal images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from amia.images import ImageSettings, decode
from amia.matching.bank import image_key, text_key
from amia.matching.settings import ClipSettings
from amia.text import clean_text
from ray_jobs.stages.base import Stage, clip_identity, load_encoder, post_context, preprocess_images
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.footers import describe_embeddings
from ray_jobs.storage.layout import EMBEDDINGS, POSTS, shard_key
from ray_jobs.storage.shards import ShardMetadata, encode, read_shard
from ray_jobs.storage.store import Store

__all__ = ["Embed"]


@dataclass(frozen=True, slots=True)
class EmbedInput:
    """The input of the model for one shard: all texts, and the images of the posts that have one."""

    ids: list[str]
    tokens: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    image_rows: list[int]
    """Row of the post of each image."""
    text_keys: list[bytes]
    image_keys: list[bytes | None]


@dataclass(frozen=True, slots=True)
class EmbedOutput:
    """The vectors of one shard as they are stored."""

    table: pa.Table
    num_oom_reduced: int
    """Texts and images that needed a smaller micro-batch."""
    uncompiled: dict[str, str]
    """Towers that could not be compiled, with the reason."""


class Embed(Stage[EmbedInput, EmbedOutput]):
    """Posts -> CLIP vectors (paper 3.1). Vectors are little-endian float16 bytes, `[d]` each."""

    name = EMBEDDINGS
    pool = "embed"
    version = 1

    def __init__(
        self,
        store: Store,
        *,
        clip: ClipSettings,
        images: ImageSettings,
        threads: int,
        decoders: int = 1,
        weights: str,
        posts: str,
    ) -> None:
        """`threads` is for the model's arithmetic, `decoders` threads decode images, which does not change results.

        `weights` identifies the model's files, `posts` is the digest of the input. The device of `clip` is resolved.
        """
        super().__init__(store)
        self._clip, self._images, self._threads, self._decoders = clip, images, threads, decoders
        self._weights, self._posts = weights, posts

    def identity(self, folder: str) -> Identity:
        """Return the model with its precision and micro-batch, the number of threads, and the digest of the posts."""
        return {
            "stage": folder,
            "version": self.version,
            "settings": {"clip": clip_identity(self._clip, self._weights), "threads": self._threads},
            "input": {"posts": self._posts},
        }

    def setup(self) -> None:
        """Load CLIP from the files of this node."""
        self._encoder = load_encoder(self._clip, self._threads)

    def load(self, shard: str) -> EmbedInput:
        """Clean and tokenize the texts; decode the images and resize them to the input size of the model."""
        posts = read_shard(self.store, shard_key(POSTS, shard), ["id", "text", "image", "image_status"])
        ids, texts = posts["id"].to_pylist(), [clean_text(text) for text in posts["text"].to_pylist()]
        images = enumerate(zip(posts["image_status"].to_pylist(), posts["image"].to_pylist(), strict=True))
        files: dict[int, bytes] = {row: image["bytes"] for row, (status, image) in images if status == "ok"}

        def decode_image(row: int) -> Image.Image:
            with post_context(ids[row]):
                return decode(files[row], self._images)

        return EmbedInput(
            ids=ids,
            tokens=self._encoder.tokenize(texts),
            pixels=preprocess_images(self._encoder, decode_image, list(files), self._decoders),
            image_rows=list(files),
            text_keys=[text_key(text) for text in texts],
            image_keys=[image_key(files[row]) if row in files else None for row in range(len(ids))],
        )

    def run(self, loaded: EmbedInput) -> EmbedOutput:
        """Encode texts and images. Micro-batches never cross a shard, so vectors do not depend on other shards."""
        previously_reduced = self._encoder.num_oom_reduced
        texts = self._encoder.encode_tokens(loaded.tokens).astype("<f2")  # [n, d]
        images: list[bytes | None] = [None] * len(loaded.ids)
        vectors = self._encoder.encode_pixels(loaded.pixels).astype("<f2")  # [n with an image, d]
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
        num_reduced = self._encoder.num_oom_reduced - previously_reduced
        return EmbedOutput(table, num_reduced, dict(self._encoder.uncompiled))

    def publish(self, shard: str, done: EmbedOutput) -> ShardMetadata:
        """Publish the vectors. The footer holds the number of posts with both."""
        footer = describe_embeddings(done.table)
        data, metadata = encode(done.table, stage=self.name, identity=self.digest(), **footer)
        return self.create_shard(self.keys(shard)[0], data, metadata)

    def log_fields(self, done: EmbedOutput) -> dict[str, Any]:
        """Return what ran in smaller micro-batches or uncompiled."""
        return {"oom_reduced": done.num_oom_reduced, "uncompiled": done.uncompiled}
