"""Files of an arm in another layout, in a folder outside the run: the stage of `amia export`."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from amia.errors import RunError
from amia.export.shard import ShardFiles
from ray_jobs.stages.base import Stage
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.layout import arm_folder, shard_key
from ray_jobs.storage.shards import ShardMetadata, read_shard
from ray_jobs.storage.store import Store

__all__ = ["CONTROL", "PARTS", "Export", "Layout", "keep", "part_key"]

CONTROL = ".amia"
"""Folder of the export with files that only amia reads."""
PARTS = f"{CONTROL}/parts"
"""Folder of the export that holds what the driver needs of each shard until the export is finished."""
WRITE_THREADS = 16
"""Files written at the same time: on an object store each write waits for a response."""

Rows = list[dict[str, Any]]


class Layout(Protocol):
    """Converts a shard's rows to files: `amia.export.umt.UmtLayout`, `amia.export.webdataset.WebDatasetLayout`."""

    def convert(self, shard: str, rows: Sequence[Mapping[str, Any]]) -> ShardFiles:
        """Return the files of one shard."""


class Export(Stage[tuple[str, Rows], ShardFiles]):
    """Augmented rows of one arm -> files in the target, which is another store than the run's."""

    name = "export"
    pool = "export"
    version = 1

    def __init__(
        self,
        target: Store,
        *,
        source: Store,
        arm: str,
        layout: Layout | None,
        options: Mapping[str, Any],
        arms: Mapping[str, str],
    ) -> None:
        """`layout` may be None where the stage only checks its identity.

        `options` are the settings of the whole export, `arms` the digest of the content of each of its arms.
        """
        super().__init__(target)
        self._source, self._arm, self._layout = source, arm, layout
        self._options, self._arms = dict(options), dict(arms)

    def folders(self) -> list[str]:
        """Return the control folder: all arms of an export have one identity."""
        return [CONTROL]

    def identity(self, folder: str) -> Identity:
        """Return the options of the export and the content of its arms."""
        return {"stage": self.name, "version": self.version, "settings": self._options, "input": self._arms}

    def keys(self, shard: str) -> list[str]:
        """Return the key of the shard's part, which is published after all of its files."""
        return [part_key(self._arm, shard)]

    def load(self, shard: str) -> tuple[str, Rows]:
        """Return the shard's name and the arm's rows."""
        return shard, read_shard(self._source, shard_key(arm_folder(self._arm), shard)).to_pylist()

    def run(self, loaded: tuple[str, Rows]) -> ShardFiles:
        """Convert the rows. Images are only decoded and encoded if size or quality change."""
        if self._layout is None:
            raise AssertionError("the stage was made without a layout, to check its identity only")
        return self._layout.convert(*loaded)

    def publish(self, shard: str, done: ShardFiles) -> ShardMetadata:
        """Publish the files, then the part that marks the shard as complete."""
        with ThreadPoolExecutor(WRITE_THREADS) as pool:
            list(pool.map(lambda item: keep(self.store, f"{self._arm}/{item[0]}", item[1]), done.files.items()))
        self.store.create(part_key(self._arm, shard), json.dumps(done.summary(), sort_keys=True).encode())
        return ShardMetadata(stage=self.name, rows=done.posts + done.untagged, sha256="", identity=self.digest())


def keep(store: Store, key: str, data: bytes) -> None:
    """Publish a file. Raises RunError if it exists with another content than an earlier attempt wrote."""
    if not store.create(key, data) and store.read(key) != data:
        raise RunError(
            f"{key} in {store.address} exists with another content: another program has written to this folder, or "
            "the export was started with other versions of amia's libraries. Export into another folder"
        )


def part_key(arm: str, shard: str) -> str:
    """Return the key of a shard's part."""
    return f"{PARTS}/{arm}/{shard}.json"
