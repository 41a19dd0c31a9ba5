"""posts/ of a retried run: the posts of another run, with the images that failed there fetched again."""

from typing import Any

import pyarrow as pa

from amia.errors import ImageError
from amia.images import ImageRoot, ImageSettings, decode, fetch_image
from ray_jobs.stages.base import Stage, failed_ids_by_status
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.layout import POSTS
from ray_jobs.storage.schemas import encode_posts, posts_table
from ray_jobs.storage.shards import ShardMetadata, read_metadata, read_shard
from ray_jobs.storage.status import is_image_retryable
from ray_jobs.storage.store import Store

__all__ = ["Refetch"]

Row = dict[str, Any]


class Refetch(Stage[list[Row], pa.Table | None]):
    """A shard of posts, unchanged or with the images that can be read now.

    An image that fails again keeps its previous reason. A shard in which no image was repaired keeps its file.
    """

    name = POSTS
    pool = "fetch"
    version = 1

    def __init__(
        self, store: Store, *, posts: Identity, old: Store, image_root: ImageRoot | None, images: ImageSettings
    ) -> None:
        """`posts` is the identity of `old`'s posts, `image_root` the folder of the images (None: fetch nothing)."""
        super().__init__(store)
        self._posts, self._old, self._image_root, self._images = posts, old, image_root, images

    def identity(self, folder: str) -> Identity:
        """Return the identity of the previous run's posts: repaired images do not change it."""
        return self._posts

    def load(self, shard: str) -> list[Row]:
        """Return the posts of a shard with a failed image, each with the newly fetched image; else an empty list."""
        key = self.keys(shard)[0]
        if self._image_root is None or not any("=bad_image(" in name for name in read_metadata(self._old, key).counts):
            return []
        rows: list[Row] = read_shard(self._old, key).to_pylist()
        for row in rows:
            image = row["image"] or {"bytes": None, "path": None}
            row |= {"image": image["bytes"], "image_path": image["path"], "status": row["image_status"], "again": None}
            if is_image_retryable(row["status"]) and row["image_path"] is not None:
                try:
                    row["again"] = fetch_image(self._image_root, row["image_path"], self._images)
                except ImageError:
                    continue
        return rows

    def run(self, loaded: list[Row]) -> pa.Table | None:
        """Decode the fetched images. Returns None if no image was repaired."""
        num_repaired = 0
        for row in loaded:
            if row["again"] is not None:
                try:
                    decode(row["again"], self._images)
                except ImageError:
                    continue
                row["image"], row["status"] = row["again"], "ok"
                num_repaired += 1
        return posts_table(loaded) if num_repaired else None

    def publish(self, shard: str, done: pa.Table | None) -> ShardMetadata:
        """Publish the repaired shard, or link the previous one."""
        key = self.keys(shard)[0]
        if done is not None:
            return self.create_shard(key, *encode_posts(done, self.digest()))
        self.store.link_from(self._old, key)
        return self.record_footer(key, read_metadata(self.store, key))

    def failures(self, done: pa.Table | None) -> dict[str, list[str]]:
        """Return the posts of a repaired shard whose image still fails."""
        if done is None:
            return {}
        return failed_ids_by_status("image", done["id"].to_pylist(), done["image_status"].to_pylist())
