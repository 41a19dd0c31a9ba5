"""File system of Ray Train, which keeps the state of its workers in the run, through obstore as everything else.

By default, Ray Train opens object stores with pyarrow, which finds other credentials, reads other endpoint settings and
retries in another way.
"""

from typing import Any

from obstore.fsspec import BufferedFile, FsspecStore
from obstore.store import ObjectStore
from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

from amia.utils.object_store import open_remote
from ray_jobs.storage.store import Store

__all__ = ["train_filesystem"]

RUN_BUCKET = "run"
"""First component of paths of the file system, which represents the run."""


def train_filesystem(store: Store, folder: str) -> tuple[FileSystem | None, str]:
    """Return `storage_filesystem` and `storage_path` of `ray.train.RunConfig` for a folder of the run.

    The file system is None on a local disk, which Ray Train opens by itself.
    """
    if store.folder is not None:
        return None, f"{store.address}/{folder}"
    return PyFileSystem(FSSpecHandler(_RunFilesystem(store.address))), f"{RUN_BUCKET}/{folder}"


class _RunFilesystem(FsspecStore):
    """obstore's fsspec store with the run as its only bucket. It is pickled as the address, without credentials."""

    cachable = False

    def __init__(self, address: str) -> None:
        super().__init__("s3")  # only decides how paths are split; `_construct_store` opens the store
        self._address = address

    def __reduce__(self) -> tuple[type["_RunFilesystem"], tuple[str]]:
        return _RunFilesystem, (self._address,)

    def _construct_store(self, bucket: str) -> ObjectStore:
        return open_remote(self._address)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: Any = None,
        autocommit: Any = True,
        cache_options: Any = None,
        **kwargs: Any,
    ) -> BufferedFile:
        # pyarrow opens files with "rb" or "wb", as obstore's types demand.
        # obstore types the modes as literals, and fsspec passes a string.
        file: BufferedFile = _ArrowFile(self, path, mode, **kwargs)  # type: ignore[call-overload]
        return file


class _ArrowFile(BufferedFile):
    """Takes the buffers that pyarrow writes, which obstore 0.12 refuses."""

    def write(self, data: Any) -> int:
        return super().write(bytes(data))
