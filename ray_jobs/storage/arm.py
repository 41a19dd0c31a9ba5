"""The labeled posts of an arm, as a recognizer takes them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from amia.errors import RunError
from amia.mixing.arms import needs_synthesis
from amia.mner.features import Example
from amia.report.attribution import Attribution
from ray_jobs.stages.mix import Mix
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store

__all__ = ["COLUMNS", "Arm", "examples_of", "open_arm"]

COLUMNS = ("id", "tokens", "ner_tags", "image")


@dataclass(frozen=True, slots=True)
class Arm:
    """A finished arm of a run, by its manifest."""

    store: Store
    name: str
    manifest: dict[str, Any]

    def keys(self, split: str) -> list[str]:
        """Its shards of one split, in order."""
        names = [each["name"] for each in self.manifest["files"]]
        return [f"{Mix.name}/{self.name}/{name}" for name in names if name.rsplit("-", 3)[0] == split]

    @property
    def content(self) -> dict[str, str]:
        """File -> SHA-256 of its rows' content: what a training depends on."""
        return {each["name"]: each["sha256"] for each in self.manifest["files"]}

    @property
    def generator(self) -> Attribution | None:
        """What drew its images; None where it shows no drawn one."""
        if not needs_synthesis(self.name):
            return None
        model = self.manifest["settings"]["generator"]["model"]
        return Attribution(role="Generator", name=model, weights=str(self.manifest["generator"]))

    def examples(self, keys: Iterable[str]) -> list[Example]:
        """The labeled posts of some shards."""
        return [each for key in keys for each in examples_of(read_shard(self.store, key, COLUMNS))]

    def tokens(self, splits: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """The words of every post of some splits that has any."""
        for split in splits:
            for key in self.keys(split):
                for words in read_shard(self.store, key, ["tokens"])["tokens"].to_pylist():
                    if words:
                        yield tuple(words)


def open_arm(store: Store, name: str) -> Arm:
    """Raises RunError when the arm is not finished: its manifest is written last."""
    key = f"{Mix.name}/{name}/manifest.json"
    if not store.exists(key):
        raise RunError(f"no finished arm {name!r} in {store.address}: `amia augment --run RUN --arm {name}` makes it")
    try:
        return Arm(store, name, dict(json.loads(store.read(key))))
    except (ValueError, TypeError) as error:
        raise RunError(f"{key} in {store.address} was not written by amia: {error}") from error


def examples_of(table: pa.Table) -> list[Example]:
    """The rows that have words and labels; a row without image has none for the recognizer either."""
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
