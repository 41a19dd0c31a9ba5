"""File system of Ray Train: it keeps the state of its workers in the run, through obstore as everything else.

Left alone, Ray Train opens object stores with pyarrow, which finds other credentials, reads other endpoint settings and
retries in another way.
"""

from typing import Any
from urllib.parse import urlsplit

from obstore.fsspec import FsspecStore
from obstore.store import ObjectStore
from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

from ray_jobs.storage.object_store import open_remote
from ray_jobs.storage.store import Store

__all__ = ["train_filesystem"]


def train_filesystem(store: Store, folder: str) -> tuple[FileSystem | None, str]:
    """Return `storage_filesystem` and `storage_path` of `ray.train.RunConfig` for a folder of the run.

    The file system is None on a local disk, which Ray Train opens by itself.
    """
    if store.folder is not None:
        return None, f"{store.address}/{folder}"
    parts = urlsplit(store.address)
    return PyFileSystem(FSSpecHandler(_RunFilesystem(parts.scheme))), f"{parts.netloc}{parts.path}/{folder}"


class _RunFilesystem(FsspecStore):
    """obstore's fsspec store with the settings of `open_remote`. Credentials are not pickled but found on each node."""

    cachable = False

    def __init__(self, scheme: str) -> None:
        super().__init__(scheme)
        self._scheme = scheme

    def __reduce__(self) -> tuple[type["_RunFilesystem"], tuple[str]]:
        return _RunFilesystem, (self._scheme,)

    def _construct_store(self, bucket: str) -> ObjectStore:
        return open_remote(f"{self._scheme}://{bucket}")

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        file: Any = super()._open(path, mode, **options)
        if mode == "wb":  # pyarrow writes its own buffers, which obstore 0.12 refuses
            write = file.write
            file.write = lambda data: write(bytes(data))
        return file
