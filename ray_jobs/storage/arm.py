"""Labeled posts of a finished arm, as a recognizer takes them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from amia.errors import RunError
from amia.mixing.arms import needs_synthesis
from amia.mner.features import Example
from amia.report.attribution import Attribution
from ray_jobs.storage.fingerprint import digest
from ray_jobs.storage.layout import arm_folder, manifest_key
from ray_jobs.storage.plan import parse_shard_name
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store

__all__ = ["COLUMNS", "Arm", "examples_of", "open_arm"]

COLUMNS = ("id", "tokens", "ner_tags", "image")


@dataclass(frozen=True, slots=True)
class Arm:
    """A finished arm of a run, described by its manifest."""

    store: Store
    name: str
    manifest: dict[str, Any]

    def keys(self, split: str) -> list[str]:
        """Return the keys of the shards of one split, in order."""
        names = [file["name"] for file in self.manifest["files"]]
        return [f"{arm_folder(self.name)}/{name}" for name in names if parse_shard_name(name)[0] == split]

    @property
    def content(self) -> dict[str, str]:
        """SHA-256 of the rows of each file by name: the input of a training."""
        return {file["name"]: file["sha256"] for file in self.manifest["files"]}

    @property
    def digest(self) -> str:
        """Digest of the rows as first finished: predictions stay those of the arm when posts are removed."""
        return str(self.manifest.get("origin") or digest(self.content))

    @property
    def generator(self) -> Attribution | None:
        """The model that generated its images, or None if the arm shows no synthesized image."""
        if not needs_synthesis(self.name):
            return None
        model = self.manifest["settings"]["generator"]["model"]
        return Attribution(role="Generator", name=model, weights=str(self.manifest["generator"]))

    def examples(self, keys: Iterable[str]) -> list[Example]:
        """Return the labeled posts of shards."""
        return [example for key in keys for example in examples_of(read_shard(self.store, key, COLUMNS))]

    def tokens(self, splits: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """Yield the words of every post of the splits that has words."""
        for split in splits:
            for key in self.keys(split):
                for words in read_shard(self.store, key, ["tokens"])["tokens"].to_pylist():
                    if words:
                        yield tuple(words)


def open_arm(store: Store, name: str) -> Arm:
    """Open an arm by its manifest, which is published last. Raises RunError if the arm is not finished."""
    key = manifest_key(arm_folder(name))
    if not store.exists(key):
        where = store.find_missing(key)
        raise RunError(f"no finished arm {name!r} in {where}: create it with `amia augment --run RUN --arm {name}`")
    try:
        return Arm(store, name, dict(json.loads(store.read(key))))
    except (ValueError, TypeError) as error:
        raise RunError(f"{key} in {store.address} was not written by amia: {error}") from error


def examples_of(table: pa.Table) -> list[Example]:
    """Return the rows of a shard that have words and labels. The image is None if the row has none."""
    return [
        Example(
            id=row["id"],
            tokens=tuple(row["tokens"]),
            labels=tuple(row["ner_tags"]),
            image=row["image"] and row["image"]["bytes"],
        )
        for row in table.select(COLUMNS).to_pylist()
        if row["tokens"] and row["ner_tags"]
    ]
