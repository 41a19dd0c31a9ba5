"""Where Ray Train keeps its own state: in the run, through the run's store.

Left to itself it would open an object store by pyarrow, which finds other credentials, takes other settings for its
endpoint, and asks a failing server again in its own way.
"""

import io
from typing import Any

import pyarrow as pa
from pyarrow.fs import FileInfo, FileSystem, FileSystemHandler, FileType, PyFileSystem

from ray_jobs.storage.store import Store

__all__ = ["train_filesystem"]


def train_filesystem(store: Store) -> FileSystem | None:
    """The file system of `ray.train.RunConfig` for a run in an object store; None: a disk, which it opens itself."""
    return PyFileSystem(_Files(store)) if store.folder is None else None


class _Files(FileSystemHandler):  # type: ignore[misc]  # pyarrow ships it untyped
    """As much of a file system as Ray Train uses while nobody reports checkpoints to it: small files, whole."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __reduce__(self) -> tuple[type["_Files"], tuple[Store]]:
        return _Files, (self._store,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Files) and other._store.address == self._store.address

    def __hash__(self) -> int:
        return hash(self._store.address)

    def get_type_name(self) -> str:
        return "amia"

    def normalize_path(self, path: str) -> str:
        return path

    def create_dir(self, path: str, recursive: bool) -> None:
        """Keys need no folders."""

    def get_file_info(self, paths: list[str]) -> list[FileInfo]:
        return [self._info(path) for path in paths]

    def get_file_info_selector(self, selector: Any) -> list[FileInfo]:
        sizes = self._store.list_sizes(selector.base_dir)
        return [FileInfo(key, FileType.File, size=size) for key, size in sizes.items()]

    def open_input_stream(self, path: str) -> pa.NativeFile:
        return pa.BufferReader(self._store.read(path))

    def open_input_file(self, path: str) -> pa.NativeFile:
        return self.open_input_stream(path)

    def open_output_stream(self, path: str, metadata: Any) -> pa.NativeFile:
        return pa.PythonFile(_Written(self._store, path), mode="w")

    def delete_file(self, path: str) -> None:
        self._store.delete(path)

    def delete_dir(self, path: str) -> None:
        self._store.delete(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        self._store.delete(path)

    def delete_root_dir_contents(self) -> None:
        raise NotImplementedError("a run is not Ray Train's to remove")

    def move(self, source: str, target: str) -> None:
        raise NotImplementedError("published files do not move")

    def copy_file(self, source: str, target: str) -> None:
        self._store.replace(target, self._store.read(source))

    def open_append_stream(self, path: str, metadata: Any) -> pa.NativeFile:
        raise NotImplementedError("files are written whole")

    def _info(self, path: str) -> FileInfo:
        if self._store.exists(path):
            return FileInfo(path, FileType.File)
        return FileInfo(path, FileType.Directory if self._store.list(path) else FileType.NotFound)


class _Written(io.BytesIO):
    """Becomes a key of the store when it is closed."""

    def __init__(self, store: Store, key: str) -> None:
        super().__init__()
        self._store, self._key = store, key

    def close(self) -> None:
        if not self.closed:
            self._store.replace(self._key, self.getvalue())
        super().close()
