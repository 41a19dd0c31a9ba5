"""synthesized_scores/: how well each synthesized image matches the text that it was made from.

The vector of the image is compared with the stored vector of the text and with the bank of the run: the losses are
those of `scores/`, with the synthesized image in place of the post's own.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from amia.images import decode_generated
from amia.matching.bank import Bank, Embeddings, image_key
from amia.matching.model import triplet_identity
from amia.matching.settings import ClipSettings
from amia.matching.triplet import TripletSettings, losses
from ray_jobs.stages.base import Stage, clip_identity, load_encoder, post_context, preprocess_images
from ray_jobs.storage.embeddings import loss_columns
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.footers import describe_synthesized_scores
from ray_jobs.storage.layout import EMBEDDINGS, SYNTHESIZED, SYNTHESIZED_SCORES, shard_key
from ray_jobs.storage.shards import ShardMetadata, encode, read_shard
from ray_jobs.storage.store import Store

__all__ = ["ScoreSynthesized"]


@dataclass(frozen=True, slots=True)
class SynthesizedInput:
    """The input of the model for one shard: the synthesized images, and the vectors of their texts."""

    ids: list[str]
    """All posts of the shard."""
    rows: list[int]
    """Row of the post of each image."""
    pixels: NDArray[np.uint8]
    texts: NDArray[np.float16]
    text_keys: NDArray[np.bytes_]
    image_keys: NDArray[np.bytes_]


@dataclass(frozen=True, slots=True)
class SynthesizedOutput:
    """The scores of one shard as they are stored."""

    table: pa.Table
    num_oom_reduced: int
    """Images that needed a smaller micro-batch."""
    uncompiled: dict[str, str]
    """Towers that could not be compiled, with the reason."""


class ScoreSynthesized(Stage[SynthesizedInput, SynthesizedOutput]):
    """Synthesized images, vectors of texts and the bank -> vectors of the images and losses (eqs. 1-7).

    With the setting `triplet.negatives=batch`, the negatives of an image are the other synthesized images and their
    texts, as the paper's batches are for the posts' own images.
    """

    name = SYNTHESIZED_SCORES
    pool = "embed"
    version = 1

    def __init__(
        self,
        store: Store,
        *,
        clip: ClipSettings,
        triplet: TripletSettings,
        size: int,
        threads: int,
        decoders: int,
        weights: str,
        bank_key: str,
        bank: str,
        embeddings: str,
        synthesized: str,
    ) -> None:
        """`size` is that of the images; `clip`, `threads`, `decoders` and `weights` are as in `Embed`.

        `bank_key` is the key of the bank of negatives, `bank` its SHA-256; `embeddings` and `synthesized` are the
        digests of the input.
        """
        super().__init__(store)
        self._clip, self._triplet, self._size = clip, triplet, size
        self._threads, self._decoders, self._weights, self._bank_key = threads, decoders, weights, bank_key
        self._inputs = {"embeddings": embeddings, "bank": bank, "synthesized": synthesized}

    def identity(self, folder: str) -> Identity:
        """Return the encoder, the number of threads, the settings of the loss, and the digests of the input."""
        return {
            "stage": folder,
            "version": self.version,
            "settings": {
                "clip": clip_identity(self._clip, self._weights),
                "threads": self._threads,
                "triplet": triplet_identity(self._triplet),
            },
            "input": self._inputs,
        }

    def setup(self) -> None:
        """Load CLIP from the files of this node, and read the bank."""
        self._encoder = load_encoder(self._clip, self._threads)
        self._bank = Bank.from_bytes(self.store.read(self._bank_key), where=self._bank_key)

    def load(self, shard: str) -> SynthesizedInput:
        """Decode the images as they are mixed, and resize them to the input size of the model."""
        synthesized = read_shard(self.store, shard_key(SYNTHESIZED, shard), ["id", "image"])
        embeddings = read_shard(self.store, shard_key(EMBEDDINGS, shard), ["id", "text_vector", "text_key"])
        ids: list[str] = synthesized["id"].to_pylist()
        if ids != embeddings["id"].to_pylist():
            raise AssertionError(f"{shard}: {SYNTHESIZED}/ and {EMBEDDINGS}/ hold different posts")
        files = {row: file for row, file in enumerate(synthesized["image"].to_pylist()) if file is not None}
        rows = list(files)

        def decode_image(row: int) -> Image.Image:
            with post_context(ids[row]):
                return Image.fromarray(decode_generated(files[row], self._size))

        texts = embeddings.take(pa.array(rows, pa.int64()))
        vectors = [np.frombuffer(data, "<f2") for data in texts["text_vector"].to_pylist()]
        return SynthesizedInput(
            ids=ids,
            rows=rows,
            pixels=preprocess_images(self._encoder, decode_image, rows, self._decoders),
            texts=np.stack(vectors) if vectors else np.empty((0, 0), "<f2"),  # [n, d]
            text_keys=np.array(texts["text_key"].to_pylist(), "S16"),
            image_keys=np.array([image_key(file) for file in files.values()], "S16"),
        )

    def run(self, loaded: SynthesizedInput) -> SynthesizedOutput:
        """Encode the images and compute their losses. Neither depends on other shards."""
        previously_reduced = self._encoder.num_oom_reduced
        rows, vectors = loaded.rows, self._encoder.encode_pixels(loaded.pixels).astype("<f2")  # [n, d]
        scores = None
        if rows:
            posts = Embeddings(
                ids=[loaded.ids[row] for row in rows],
                texts=loaded.texts,
                images=vectors,
                text_keys=loaded.text_keys,
                image_keys=loaded.image_keys,
            )
            scores = losses(posts, self._bank, self._triplet)
        stored: list[bytes | None] = [None] * len(loaded.ids)
        for row, vector in zip(rows, vectors, strict=True):
            stored[row] = vector.tobytes()
        columns = loss_columns(scores, rows, len(loaded.ids))
        table = pa.table({"id": loaded.ids, "image_vector": pa.array(stored, pa.binary()), **columns})
        num_reduced = self._encoder.num_oom_reduced - previously_reduced
        return SynthesizedOutput(table, num_reduced, dict(self._encoder.uncompiled))

    def publish(self, shard: str, done: SynthesizedOutput) -> ShardMetadata:
        """Publish vectors and losses. The footer holds the number of posts that have them."""
        footer = describe_synthesized_scores(done.table)
        data, metadata = encode(done.table, stage=self.name, identity=self.digest(), **footer)
        return self.create_shard(self.keys(shard)[0], data, metadata)

    def log_fields(self, done: SynthesizedOutput) -> dict[str, Any]:
        """Return what ran in smaller micro-batches or uncompiled."""
        return {"oom_reduced": done.num_oom_reduced, "uncompiled": done.uncompiled}
