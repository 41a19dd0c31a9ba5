"""The plan: how posts are grouped into shards. Written once by `amia ingest`; every stage maps shard K to shard K.

A shard holds `per_shard` consecutive posts of one split in the order of a keyed hash of their ids. The plan therefore
depends on the posts alone, not on the number or order of the files that they came from.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol

from amia.errors import RunError
from ray_jobs.storage.layout import PLAN_FILE, POSTS, shard_key
from ray_jobs.storage.store import Store

__all__ = ["PLAN_VERSION", "Listings", "Plan", "parse_shard_name", "shard_name"]


class Listings(Protocol):
    """A `Store`, or what a job remembers of its listings."""

    def list(self, prefix: str) -> Mapping[str, object]:
        """Return the published keys below a folder."""


PLAN_VERSION = 2
"""Version 1 has another digest, and was made by one process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Number of posts of each split, and how they are grouped into shards."""

    posts: dict[str, int]
    """Posts per split."""
    per_shard: int
    """Posts of each shard but the last of a split, unless `rows` says otherwise."""
    seed: int
    digest: str
    """SHA-256 over the ids and content hashes of all posts, by ranges of the order of the plan."""
    types: list[str]
    """Entity types in the corpus: the four usual ones first, then others by name."""
    rejected: int
    """Rows of the source that are not posts; `quarantine/` holds them with their reasons."""
    repaired: int
    """Orphan `I-` tags that were changed to `B-` in `ner_tags`."""
    labeled: int
    """Posts that have tags in the source."""
    source: dict[str, str]
    """Where the corpus was read from: kind, files, image folder."""
    scratch: str
    """Folder of the run that holds the posts until their shards are published."""
    segments: dict[str, list[int]]
    """By split, the number of its posts in each scratch bucket, in order."""
    rows: dict[str, list[int]] | None = None
    """By split, the posts of each shard, if they do not follow from `per_shard`."""
    index: str = ""
    """Folder of the hashes of its posts, for `--since`."""
    earlier: list[str] = field(default_factory=list)
    """Addresses of the runs that this one comes after, oldest first. It holds no post of theirs."""
    known: int = 0
    """Posts of the source that earlier runs hold."""
    changed: int = 0
    """Posts of the source that earlier runs hold with other content; `quarantine/` lists those not taken."""
    takes_changed: bool = False
    """Whether it holds the changed posts."""
    version: int = 1
    """Version of the digest and of scratch; 1 if the plan does not name it."""

    @property
    def total(self) -> int:
        """Posts of all splits."""
        return sum(self.posts.values())

    @property
    def shards(self) -> list[str]:
        """Names of all shards, `train-00000-of-00007` first; five digits, more if a split needs them."""
        return [name for split in sorted(self.posts) for name in self.shards_of(split)]

    def shards_of(self, split: str) -> list[str]:
        """Return the names of the shards of one split, in order."""
        count = len(self.rows[split]) if self.rows else -(-self.posts[split] // self.per_shard)
        return [shard_name(split, index, count) for index in range(count)]

    def rows_of(self, shard: str) -> int:
        """Return the number of posts of a shard."""
        split, index = parse_shard_name(shard)
        if self.rows:
            return self.rows[split][index]
        return min(self.per_shard, self.posts[split] - index * self.per_shard)

    def fit_splits(self) -> list[str]:
        """Return the splits that bank and mixture are made from: train, or all if there is no train split."""
        return ["train"] if self.posts.get("train") else sorted(self.posts)

    def missing_posts(self, store: Listings) -> list[str]:
        """Return the names of the shards whose posts are not published yet."""
        published = store.list(POSTS)
        return [shard for shard in self.shards if shard_key(POSTS, shard) not in published]

    def publish(self, store: Store) -> bool:
        """Publish the plan. Returns False if another driver has published another plan."""
        return store.create(PLAN_FILE, json.dumps(asdict(self), sort_keys=True, indent=1).encode())

    @classmethod
    def find(cls, store: Store) -> "Plan | None":
        """Return the plan of the run, or None before ingest has read the corpus. Raises RunError on a foreign file."""
        if (data := store.find(PLAN_FILE)) is None:
            return None
        try:
            fields: Mapping[str, object] = json.loads(data)
            return cls(**fields)  # type: ignore[arg-type]  # a foreign plan.json fails here on a missing field
        except (TypeError, ValueError) as error:
            raise RunError(
                f"{PLAN_FILE} in {store.address} was not written by this version of amia: {error}"
            ) from error


def shard_name(split: str, index: int, count: int) -> str:
    """Return the name of a shard of `count` shards: `train-00003-of-00007`."""
    width = max(5, len(str(count)))
    return f"{split}-{index:0{width}d}-of-{count:0{width}d}"


def parse_shard_name(shard: str) -> tuple[str, int]:
    """Split the name of a shard into split and index: `train-00003-of-00007` -> (`train`, 3)."""
    split, index, _, _ = shard.rsplit("-", 3)
    return split, int(index)
