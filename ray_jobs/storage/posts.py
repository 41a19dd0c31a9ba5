"""A shard of posts/ as a table and as a file, for the two stages that make one: ingest's and a retry's."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ray_jobs.storage.shards import ShardFacts, encode
from ray_jobs.storage.store import Store
from ray_jobs.training.features import IMAGE

__all__ = ["posts_table", "publish_posts"]

Row = dict[str, Any]


def posts_table(rows: Sequence[Row]) -> pa.Table:
    """A shard of posts; of an image that cannot be used the path alone."""
    return pa.table(
        {
            **{name: [row[name] for row in rows] for name in ("id", "split", "text")},
            **{
                name: pa.array([row[name] for row in rows], pa.list_(pa.string()))
                for name in ("tokens", "tags", "ner_tags")
            },
            "image": pa.array(
                [
                    None
                    if row["image"] is None and row["image_path"] is None
                    else {"bytes": row["image"], "path": row["image_path"]}
                    for row in rows
                ],
                IMAGE,
            ),
            "image_status": [row["status"] for row in rows],
        }
    )


def publish_posts(store: Store, key: str, posts: pa.Table, identity: str) -> ShardFacts:
    """Publish a shard of posts, with its counts per image status."""
    counts = Counter(f"image={status}" for status in posts["image_status"].to_pylist())
    data, facts = encode(posts, stage="posts", identity=identity, counts=counts)
    store.create(key, data)
    return facts
