"""The state of a training in the run, epoch by epoch, so that whoever comes next goes on from there."""

import re

from amia.mner.training.checkpoint import STATE, CheckpointFiles
from ray_jobs.storage.store import Store

__all__ = ["StoreCheckpoints"]

_EPOCH = re.compile(rf"/epoch-(\d{{5,}})/{re.escape(STATE)}\Z")


class StoreCheckpoints:
    """Folders `<folder>/epoch-00003/`. `state.json` is written last: an epoch without it is not there."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder

    def latest(self) -> CheckpointFiles | None:
        """The files of the last epoch that is whole, or None before any."""
        whole = self._whole()
        return self.of_epoch(max(whole)) if whole else None

    def of_epoch(self, epoch: int) -> CheckpointFiles:
        """The files of an epoch that was kept."""
        folder = self._at(epoch)
        keys = self._store.list(folder)
        return {key.rpartition("/")[2]: self._store.read(key) for key in keys}

    def keep(self, epoch: int, files: CheckpointFiles, best: int) -> None:
        """Write an epoch, then remove those that nobody needs any more."""
        folder = self._at(epoch)
        self._store.delete(folder)  # what a killed driver left half written
        for name in sorted(files, key=lambda name: name == STATE):
            self._store.create(f"{folder}/{name}", files[name])
        for old in self._whole() - {epoch, best}:
            self._store.delete(self._at(old))

    def clear(self) -> None:
        """Remove all of them."""
        self._store.delete(self._folder)

    def _whole(self) -> set[int]:
        keys = self._store.list(self._folder)
        return {int(found[1]) for key in keys if (found := _EPOCH.search(key))}

    def _at(self, epoch: int) -> str:
        return f"{self._folder}/epoch-{epoch:05d}"
