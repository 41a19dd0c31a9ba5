"""The plan: how posts are grouped into shards. Written once by `amia ingest`; every stage maps shard K to shard K.

A shard holds `per_shard` consecutive posts of one split in the order of a keyed hash of their ids. The plan therefore
depends on the posts alone, not on the number or order of the files that they came from.

`amia remove` never changes `plan.json`. It publishes a new generation of the affected shards under other names,
`train-00003-of-00007-r1`, and a record from which `Plan.find` takes the names and numbers of posts as they are now.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from amia.errors import RunError
from ray_jobs.storage.layout import PLAN_FILE, POSTS, shard_key
from ray_jobs.storage.removals import Removal, read_removals
from ray_jobs.storage.store import Store

__all__ = ["PLAN_VERSION", "Listings", "Plan", "ingested_name", "parse_shard_name", "shard_name"]


class Listings(Protocol):
    """A `Store`, or what a job remembers of its listings."""

    def list(self, prefix: str) -> Mapping[str, object]:
        """Return the published keys below a folder."""


PLAN_VERSION = 2
"""Version 1 has another digest, and was made by one process."""

_SHARD_NAME = re.compile(r"((?P<split>.+)-(?P<index>\d+)-of-\d+)(-r\d+)?(\.parquet)?")


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
    removal: Removal | None = None
    """Which posts were removed since, which are no longer among `posts`. Not in `plan.json`."""
    removing: bool = False
    """Whether posts are being removed, or their removal was interrupted. Not in `plan.json`."""

    @property
    def total(self) -> int:
        """Posts of all splits."""
        return sum(self.posts.values())

    @property
    def ingested(self) -> int:
        """Posts of all splits before any was removed."""
        return sum(map(self._ingested, {*self.posts, *(self.removal.posts if self.removal else ())}))

    @property
    def shards(self) -> list[str]:
        """Names of all shards, `train-00000-of-00007` first; five digits, more if a split needs them."""
        return [name for split in sorted(self.posts) for name in self.shards_of(split)]

    def shards_of(self, split: str) -> list[str]:
        """Return the names of the shards of one split, in order. Shards whose posts were all removed are left out."""
        count = len(self.rows[split]) if self.rows else -(-self._ingested(split) // self.per_shard)
        names = [shard_name(split, index, count) for index in range(count)]
        if self.removal is None:
            return names
        changed = self.removal.shards
        return [
            f"{name}-r{changed[name][0]}" if name in changed else name
            for name in names
            if name not in changed or self.rows_of(name)
        ]

    def rows_of(self, shard: str) -> int:
        """Return the number of posts of a shard."""
        removed = self.removal.shards.get(ingested_name(shard), (0, 0))[1] if self.removal else 0
        return self.ingested_rows_of(shard) - removed

    def ingested_rows_of(self, shard: str) -> int:
        """Return the number of posts that a shard had before any was removed."""
        split, index = parse_shard_name(shard)
        if self.rows:
            return self.rows[split][index]
        return min(self.per_shard, self._ingested(split) - index * self.per_shard)

    def after(self, removal: Removal) -> "Plan":
        """Return the plan after a removal, which includes all before it. A split without posts is no split any more."""
        before = self.removal
        posts = {split: self._ingested(split) - removal.posts.get(split, 0) for split in {*self.posts, *removal.posts}}
        return replace(
            self,
            posts={split: count for split, count in posts.items() if count},
            labeled=self.labeled + (before.labeled if before else 0) - removal.labeled,
            rejected=self.rejected + (before.rejected if before else 0) - removal.rejected,
            removal=removal,
        )

    def fit_splits(self) -> list[str]:
        """Return the splits that bank and mixture are made from: train, or all if there is no train split."""
        return ["train"] if self.posts.get("train") else sorted(self.posts)

    def missing_posts(self, store: Listings) -> list[str]:
        """Return the names of the shards whose posts are not published yet."""
        published = store.list(POSTS)
        return [shard for shard in self.shards if shard_key(POSTS, shard) not in published]

    def publish(self, store: Store) -> bool:
        """Publish the plan. Returns False if another driver has published another plan."""
        return store.create(PLAN_FILE, json.dumps(self.to_json(), sort_keys=True, indent=1).encode())

    def to_json(self) -> dict[str, Any]:
        """Return the content of `plan.json`."""
        return {name: value for name, value in asdict(self).items() if name not in ("removal", "removing")}

    @classmethod
    def find(cls, store: Store) -> "Plan | None":
        """Return the plan of the run, or None before ingest has read the corpus. Raises RunError on a foreign file."""
        if (data := store.find(PLAN_FILE)) is None:
            return None
        try:
            fields: Mapping[str, object] = json.loads(data)
            plan = cls(**fields)  # type: ignore[arg-type]  # a foreign plan.json fails here on a missing field
        except (TypeError, ValueError) as error:
            raise RunError(
                f"{PLAN_FILE} in {store.address} was not written by this version of amia: {error}"
            ) from error
        removal, is_pending = read_removals(store)
        plan = plan if removal is None else plan.after(removal)
        return replace(plan, removing=True) if is_pending else plan

    def _ingested(self, split: str) -> int:
        """Return the number of posts of a split before any was removed."""
        return self.posts.get(split, 0) + (self.removal.posts.get(split, 0) if self.removal else 0)


def shard_name(split: str, index: int, count: int) -> str:
    """Return the name of a shard of `count` shards: `train-00003-of-00007`."""
    width = max(5, len(str(count)))
    return f"{split}-{index:0{width}d}-of-{count:0{width}d}"


def parse_shard_name(shard: str) -> tuple[str, int]:
    """Split the name of a shard or its file into split and index: `train-00003-of-00007` -> (`train`, 3)."""
    match = _match(shard)
    return match["split"], int(match["index"])


def ingested_name(shard: str) -> str:
    """Return the name of the first generation of a shard: `train-00003-of-00007-r1` -> `train-00003-of-00007`."""
    return _match(shard)[1]


def _match(shard: str) -> re.Match[str]:
    match = _SHARD_NAME.fullmatch(shard)
    if match is None:
        raise ValueError(f"{shard!r} is not the name of a shard")
    return match
