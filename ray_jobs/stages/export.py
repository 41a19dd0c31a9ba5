"""An arm in another layout, in a folder of its own: what `amia export` leaves to its actors."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from amia.errors import RunError
from amia.export.shard import ShardFiles
from ray_jobs.stages.base import Stage
from ray_jobs.storage.layout import arm_folder, shard_key
from ray_jobs.storage.shards import ShardMetadata, read_shard
from ray_jobs.storage.store import Store

__all__ = ["CONTROL", "PARTS", "Export", "Layout", "keep", "part_key"]

CONTROL = ".amia"
"""Folder of the export that nobody but amia looks into."""
PARTS = f"{CONTROL}/parts"
"""Folder of the export that holds, until it is finished, what the driver must know of each shard."""
WRITES = 16
"""Files written at once: on an object store each waits for its own answer."""

Rows = list[dict[str, Any]]


class Layout(Protocol):
    """What makes files of a shard's rows: `amia.export.umt.UmtLayout`, `amia.export.webdataset.WebDatasetLayout`."""

    def part(self, shard: str, rows: Sequence[Mapping[str, Any]]) -> ShardFiles:
        """The files of one shard."""


class Export(Stage[tuple[str, Rows], ShardFiles]):
    """Augmented rows of one arm -> files in the target. The store it publishes to is not the run's."""

    name = "export"
    pool = "export"
    version = 1

    def __init__(self, target: Store, identity: str, *, source: Store, arm: str, layout: Layout) -> None:
        super().__init__(target, identity)
        self._source, self._arm, self._layout = source, arm, layout

    def keys(self, shard: str) -> list[str]:
        """The shard's part, which is published after all of its files."""
        return [part_key(self._arm, shard)]

    def load(self, shard: str) -> tuple[str, Rows]:
        """The arm's rows, and the shard they are of."""
        return shard, read_shard(self._source, shard_key(arm_folder(self._arm), shard)).to_pylist()

    def run(self, loaded: tuple[str, Rows]) -> ShardFiles:
        """Lay the rows out; images are decoded and encoded only where size or quality ask for it."""
        return self._layout.part(*loaded)

    def publish(self, shard: str, done: ShardFiles) -> ShardMetadata:
        """The files, then the part that says they are there."""
        with ThreadPoolExecutor(WRITES) as pool:
            list(pool.map(lambda item: keep(self.store, f"{self._arm}/{item[0]}", item[1]), done.files.items()))
        about = json.dumps(done.summary(), sort_keys=True).encode()
        self.store.create(part_key(self._arm, shard), about)
        return ShardMetadata(stage=self.name, rows=done.posts + done.untagged, sha256="", identity=self.identity)


def keep(store: Store, key: str, data: bytes) -> None:
    """Publish a file. One that stands there was written by an earlier attempt, and must be the same."""
    if not store.create(key, data) and store.read(key) != data:
        raise RunError(
            f"{key} in {store.address} stands there with another content: something else has written to this folder, "
            "or it was begun with other versions of amia's libraries. Export into another folder"
        )


def part_key(arm: str, shard: str) -> str:
    """Where a shard's part is published."""
    return f"{PARTS}/{arm}/{shard}.json"
