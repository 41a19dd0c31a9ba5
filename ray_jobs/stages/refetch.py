"""posts/ of a retried run: another run's posts, with the images that failed there fetched again."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from amia.errors import ImageError
from amia.images import ImageSettings, decode, fetch_image
from ray_jobs.stages.base import Stage, failed_ids_by_status
from ray_jobs.storage.layout import POSTS
from ray_jobs.storage.schemas import posts_table, publish_posts
from ray_jobs.storage.shards import ShardMetadata, read_metadata, read_shard
from ray_jobs.storage.status import is_image_retryable
from ray_jobs.storage.store import Store

__all__ = ["Refetch"]

Row = dict[str, Any]


class Refetch(Stage[list[Row], pa.Table | None]):
    """A shard of posts as it was, or with those images that can be read now.

    An image that fails again keeps the reason it had, and a shard in which nothing was mended its file.
    """

    name = POSTS
    pool = "fetch"
    version = 1

    def __init__(self, store: Store, identity: str, *, old: Store, image_root: Path | None, images: ImageSettings):
        """`image_root`: where the images' paths lead now; None: nothing is fetched."""
        super().__init__(store, identity)
        self._old, self._image_root, self._images = old, image_root, images

    def load(self, shard: str) -> list[Row]:
        """The posts of a shard with a failure, each with the image that was fetched for it anew; else none."""
        key = self.keys(shard)[0]
        if self._image_root is None or not any("=bad_image(" in each for each in read_metadata(self._old, key).counts):
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
        """Decode what was fetched; None where nothing is better than it was."""
        mended = 0
        for row in loaded:
            if row["again"] is not None:
                try:
                    decode(row["again"], self._images)
                except ImageError:
                    continue
                row["image"], row["status"] = row["again"], "ok"
                mended += 1
        return posts_table(loaded) if mended else None

    def publish(self, shard: str, done: pa.Table | None) -> ShardMetadata:
        """The mended shard, or the old one."""
        key = self.keys(shard)[0]
        if done is not None:
            return publish_posts(self.store, key, done, self.identity)
        self.store.link_from(self._old, key)
        return read_metadata(self.store, key)

    def failures(self, done: pa.Table | None) -> dict[str, list[str]]:
        """Posts of a mended shard whose image still fails."""
        return (
            {}
            if done is None
            else failed_ids_by_status("image", done["id"].to_pylist(), done["image_status"].to_pylist())
        )
