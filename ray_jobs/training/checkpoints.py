"""Checkpoints of a training in the run, one folder per epoch, from which an interrupted training resumes."""

import re

from amia.mner.training.checkpoint import STATE, CheckpointFiles
from ray_jobs.storage.store import Store

__all__ = ["StoreCheckpoints"]

_EPOCH = re.compile(rf"/epoch-(\d{{5,}})/{re.escape(STATE)}\Z")


class StoreCheckpoints:
    """Folders `<folder>/epoch-00003/`. `state.json` is written last: an epoch without it is incomplete and ignored."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder

    def load_latest(self) -> CheckpointFiles | None:
        """Return the files of the last complete epoch, or None if there is none."""
        epochs = self._complete_epochs()
        return self.load_epoch(max(epochs)) if epochs else None

    def load_epoch(self, epoch: int) -> CheckpointFiles:
        """Return the files of an epoch by name."""
        return {key.rpartition("/")[2]: self._store.read(key) for key in self._store.list(self._epoch_folder(epoch))}

    def save(self, epoch: int, files: CheckpointFiles, best_epoch: int) -> None:
        """Write the files of an epoch, then remove all epochs except this one and `best_epoch`."""
        folder = self._epoch_folder(epoch)
        self._store.delete(folder)  # files of a driver that was killed while it wrote
        for name in sorted(files, key=lambda name: name == STATE):
            self._store.create(f"{folder}/{name}", files[name])
        for old in self._complete_epochs() - {epoch, best_epoch}:
            self._store.delete(self._epoch_folder(old))

    def clear(self) -> None:
        """Remove all epochs."""
        self._store.delete(self._folder)

    def _complete_epochs(self) -> set[int]:
        return {int(match[1]) for key in self._store.list(self._folder) if (match := _EPOCH.search(key))}

    def _epoch_folder(self, epoch: int) -> str:
        return f"{self._folder}/epoch-{epoch:05d}"
