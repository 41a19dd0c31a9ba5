"""embeddings/: two float16 unit vectors a post, and the keys by which equal texts and equal images are known."""

from dataclasses import dataclass

import pyarrow as pa
from PIL import Image

from amia.images import ImageSettings, decode
from amia.matching.bank import image_key, text_key
from amia.matching.settings import ClipSettings
from amia.texts import clean_text
from ray_jobs.stages.base import Stage, at_post
from ray_jobs.storage.shards import ShardFacts, eager, encode, halved, read_shard
from ray_jobs.storage.store import Store

__all__ = ["Embed"]


@dataclass(frozen=True, slots=True)
class Inputs:
    """One shard's clean texts, all of them, and the images of those posts that have one."""

    ids: list[str]
    texts: list[str]
    images: list[Image.Image]
    image_rows: list[int]
    """Which posts the images belong to."""
    image_keys: list[bytes | None]


@dataclass(frozen=True, slots=True)
class Vectors:
    """One shard's vectors as they are stored."""

    table: pa.Table
    halved: int
    """Texts and images whose micro-batch did not fit the memory."""
    eager: dict[str, str]
    """Towers that were to be compiled and could not be, and why."""


class Embed(Stage[Inputs, Vectors]):
    """Posts -> CLIP vectors (paper 3.1). Vectors are little-endian float16 bytes, `[d]` each."""

    name = "embeddings"
    pool = "embed"
    version = 1

    def __init__(self, store: Store, identity: str, *, clip: ClipSettings, images: ImageSettings, threads: int) -> None:
        super().__init__(store, identity)
        self._clip, self._images, self._threads = clip, images, threads

    def setup(self) -> None:
        """Load CLIP from this node's files."""
        import torch  # here, so that the driver, which only hands the stage on, does not wait for it

        from amia.matching.clip import ClipEncoder

        ClipEncoder.fetch(self._clip)  # once a node: the hub's cache lets one actor fetch
        torch.set_num_threads(self._threads)
        self._encoder = ClipEncoder.load(self._clip, local_files_only=True)

    def load(self, shard: str) -> Inputs:
        """Texts cleaned, images decoded."""
        posts = read_shard(self.store, f"posts/{shard}.parquet", ["id", "text", "image", "image_status"])
        inputs = Inputs(posts["id"].to_pylist(), [clean_text(text) for text in posts["text"].to_pylist()], [], [], [])
        rows = zip(posts["image_status"].to_pylist(), posts["image"].to_pylist(), strict=True)
        for row, (status, image) in enumerate(rows):
            inputs.image_keys.append(image_key(image["bytes"]) if status == "ok" else None)
            if status == "ok":
                with at_post(inputs.ids[row]):
                    inputs.images.append(decode(image["bytes"], self._images))
                inputs.image_rows.append(row)
        return inputs

    def run(self, loaded: Inputs) -> Vectors:
        """Both encoders; micro-batches never cross a shard, so a shard's vectors do not depend on its neighbours."""
        before = self._encoder.halved
        texts = self._encoder.encode_texts(loaded.texts).astype("<f2")  # [n, d]
        images: list[bytes | None] = [None] * len(loaded.ids)
        if loaded.images:
            vectors = self._encoder.encode_images(loaded.images).astype("<f2")  # [n with an image, d]
            for row, vector in zip(loaded.image_rows, vectors, strict=True):
                images[row] = vector.tobytes()
        table = pa.table(
            {
                "id": loaded.ids,
                "text_vector": pa.array([vector.tobytes() for vector in texts], pa.binary()),
                "image_vector": pa.array(images, pa.binary()),
                "text_key": pa.array([text_key(text) for text in loaded.texts], pa.binary(16)),
                "image_key": pa.array(loaded.image_keys, pa.binary(16)),
            }
        )
        return Vectors(table, self._encoder.halved - before, dict(self._encoder.eager))

    def publish(self, shard: str, done: Vectors) -> ShardFacts:
        """The vectors, and how many posts have both."""
        both = done.table.num_rows - done.table["image_vector"].null_count
        extra = {"with_image": both, **halved(done.halved), **eager(done.eager)}
        data, facts = encode(done.table, stage=self.name, identity=self.identity, extra=extra)
        self.store.create(self.keys(shard)[0], data)
        return facts
