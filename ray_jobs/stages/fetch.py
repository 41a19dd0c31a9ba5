"""posts/: the second pass of ingest. Fetches the images of each shard and checks that they decode."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from amia.errors import ImageError
from amia.images import ImageRoot, ImageSettings, decode, fetch_image
from ray_jobs.stages.base import Stage, failed_ids_by_status
from ray_jobs.storage.external_sort import BucketReader, bucket_slices
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.layout import POSTS
from ray_jobs.storage.plan import Plan, parse_shard_name
from ray_jobs.storage.removals import read_tombstones, tombstone
from ray_jobs.storage.schemas import encode_posts, posts_table
from ray_jobs.storage.shards import ShardMetadata
from ray_jobs.storage.store import Store

__all__ = ["Fetch"]

Row = dict[str, Any]


class Fetch(Stage[list[Row], pa.Table]):
    """Scratch rows and image files -> posts with image bytes and an image status."""

    name = POSTS
    pool = "fetch"
    version = 2

    def __init__(
        self, store: Store, *, plan: Plan, image_root: ImageRoot | None, images: ImageSettings, in_flight: int
    ) -> None:
        """`image_root` is the folder or prefix that image paths start from, `in_flight` the number of requests."""
        super().__init__(store)
        self._plan, self._image_root, self._images, self._in_flight = plan, image_root, images, in_flight
        self._buckets = BucketReader(store, plan.scratch)

    def identity(self, folder: str) -> Identity:
        """Return the posts, how they are grouped into shards, and the limits that images must keep."""
        limits = self._images.model_dump(include={"max_bytes", "max_pixels", "max_side"})
        return {
            "stage": folder,
            "version": self.version,
            "settings": {"per_shard": self._plan.per_shard, "seed": self._plan.seed, "image": limits},
            "input": {"posts": self._plan.digest},
        }

    def load(self, shard: str) -> list[Row]:
        """Return the posts of the shard, with the bytes of their images or the reason why there are none.

        The bytes in memory are those of the shard, however many requests are in flight.
        """
        split, index = parse_shard_name(shard)
        first = index * self._plan.per_shard
        span = slice(first, first + self._plan.ingested_rows_of(shard))
        rows: list[Row] = []
        for bucket, part in bucket_slices(self._plan.segments[split], span):
            rows += self._buckets.read(bucket, split, part)
        if self._plan.removal is not None:  # the shard was lost, and holds its posts without the removed ones again
            gone = read_tombstones(self.store)
            rows = [row for row in rows if tombstone(self._plan.digest, row["id"]) not in gone]
        for row in rows:
            row["status"] = "ok" if row["image"] is not None or row["image_path"] is not None else "no_image"
        outside = [row for row in rows if row["image"] is None and row["image_path"] is not None]
        if outside:
            with ThreadPoolExecutor(self._in_flight, "fetch") as pool:
                list(pool.map(self._fetch, outside))
        return rows

    def _fetch(self, row: Row) -> None:
        """Set the image of a row, or the reason why it cannot be fetched."""
        try:
            row["image"] = fetch_image(self._image_root, row["image_path"], self._images)
        except ImageError as error:
            row["status"] = f"bad_image({error.reason})"

    def run(self, loaded: list[Row]) -> pa.Table:
        """Decode every image once. A post whose image does not decode keeps the path and the reason, not the bytes."""
        for row in loaded:
            if row["status"] == "ok":
                try:
                    decode(row["image"], self._images)
                except ImageError as error:
                    row["image"], row["status"] = None, f"bad_image({error.reason})"
        return posts_table(loaded)

    def publish(self, shard: str, done: pa.Table) -> ShardMetadata:
        """Publish the posts with their counts by image status."""
        return self.create_shard(self.keys(shard)[0], *encode_posts(done, self.digest()))

    def failures(self, done: pa.Table) -> dict[str, list[str]]:
        """Return the posts whose image could not be fetched or decoded."""
        return failed_ids_by_status("image", done["id"].to_pylist(), done["image_status"].to_pylist())
