"""The plan: which posts stand together. Ingest fixes it once; every stage maps shard K to shard K.

Posts of one split, in the order of a keyed hash of their ids, in runs of `per_shard`. The plan therefore depends on the
posts alone, not on how many files they came in, nor in which order.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from amia.errors import RunError
from ray_jobs.storage.store import Store

__all__ = ["Plan", "parse_shard_name"]

_KEY = "plan.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many posts each split has, and how they are cut into shards."""

    posts: dict[str, int]
    """Posts per split."""
    per_shard: int
    seed: int
    digest: str
    """SHA-256 over every post's id and content hash, in the plan's order."""
    types: list[str]
    """Entity types in the corpus: the field's four first, then others by name."""
    rejected: int
    """Rows of the source that are no posts; they stand in `quarantine/` with their reasons."""
    repaired: int
    """Orphan `I-` tags that became `B-` in `ner_tags`."""
    labeled: int
    """Posts that came with tags."""
    source: dict[str, str]
    """Where the corpus was read from: kind, files, image folder."""
    scratch: str
    """Folder of the run that holds the posts until their shards are published."""
    segments: dict[str, list[int]]
    """Per split, how many of its posts lie in each scratch bucket, in order."""

    @property
    def total(self) -> int:
        """Posts in all splits."""
        return sum(self.posts.values())

    @property
    def shards(self) -> list[str]:
        """Names of all shards, `train-00000-of-00007` first; five digits, more where a split needs them."""
        return [name for split in sorted(self.posts) for name in self.shards_of(split)]

    def shards_of(self, split: str) -> list[str]:
        """Names of one split's shards, in order."""
        count = -(-self.posts[split] // self.per_shard)
        width = max(5, len(str(count)))
        return [f"{split}-{index:0{width}d}-of-{count:0{width}d}" for index in range(count)]

    def rows_of(self, shard: str) -> int:
        """How many posts a shard holds."""
        split, index = parse_shard_name(shard)
        return min(self.per_shard, self.posts[split] - index * self.per_shard)

    def fit_splits(self) -> list[str]:
        """The splits that bank and fit stand on: train, or all where no post is train."""
        return ["train"] if self.posts.get("train") else sorted(self.posts)

    def publish(self, store: Store) -> bool:
        """Write the plan down, once. False: another driver's plan stands there."""
        return store.create(_KEY, json.dumps(asdict(self), sort_keys=True, indent=1).encode())

    @classmethod
    def find(cls, store: Store) -> "Plan | None":
        """The run's plan, or None before its ingest has read the corpus."""
        if not store.exists(_KEY):
            return None
        try:
            tree: Mapping[str, object] = json.loads(store.read(_KEY))
            return cls(**tree)  # type: ignore[arg-type]  # plan.json is our own; a foreign one fails here, by name
        except (TypeError, ValueError) as error:
            raise RunError(f"{_KEY} in {store.address} was not written by this version of amia: {error}") from error


def parse_shard_name(shard: str) -> tuple[str, int]:
    """`train-00003-of-00007` -> (`train`, 3)."""
    split, index, _, _ = shard.rsplit("-", 3)
    return split, int(index)
