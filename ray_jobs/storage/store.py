"""A run directory on a local disk, S3, GCS or Azure behind one interface.

All files of a run depend on one guarantee of the storage: creating a key that exists fails and leaves the first content
unchanged (a hard link on a local disk, a conditional PUT on S3). `Store.probe` verifies it before a job starts.
"""

import io
import os
import random
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore

from amia.errors import StoreError
from ray_jobs.storage.layout import PROBE
from ray_jobs.storage.object_store import check_address, error_hint, error_summary, is_retryable, open_remote

__all__ = ["ObjectInfo", "RangeReader", "Store"]

Response = TypeVar("Response")

_URL = re.compile(r"[a-z][a-z0-9+.-]+://")
_MAX_ATTEMPTS = 4
"""Attempts of a request that breaks off in a way that obstore does not retry."""
_MAX_DELETES = 1000
"""Keys deleted by one request."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """Entry of a listing."""

    size: int
    """In bytes."""
    modified: float
    """Time of the write in seconds since 1970, by the clock of the storage."""


class Store:
    """The files of one run by key (`posts/train-00000-of-00003.parquet`). Pickled as its address.

    `address` is a folder or a URL (`s3://bucket/prefix`, `gs://`, `az://`). Credentials are found by the default chain
    of the provider. A local folder is created with its first key; reading from a missing folder does not create it.

    Requests to an object store that is overloaded, or whose connections drop, are retried for some minutes. Every
    method raises StoreError if the storage fails after that; the message names the key, quotes the storage and suggests
    what to do.
    """

    def __init__(self, address: str | Path) -> None:
        address = str(address).removeprefix("file://")
        self.address = address if _URL.match(address) else str(Path(address).expanduser().resolve())
        if self.folder is None:
            check_address(self.address)

    def __reduce__(self) -> tuple[type["Store"], tuple[str]]:
        return Store, (self.address,)

    @property
    def folder(self) -> Path | None:
        """The run's folder if the store is a local disk, else None."""
        return None if _URL.match(self.address) else Path(self.address)

    def create(self, key: str, data: bytes) -> bool:
        """Publish `data` under `key` atomically. Returns False if the key exists with other content, which is kept.

        Returns True if the key exists with equal content: after a lost response it is unknown whose write succeeded,
        and with equal content it does not matter.
        """
        try:
            self._request(lambda: obstore.put(self._objects, key, data, mode="create"))
        except AlreadyExistsError:
            return self._has_content(key, data)
        except (BaseError, OSError, ValueError) as error:
            raise self._error(f"{key} could not be written to", error) from error
        return True

    def replace(self, key: str, data: bytes) -> None:
        """Write `data` under `key` and overwrite previous content. Never used for published shards."""
        try:
            self._request(lambda: obstore.put(self._objects, key, data, mode="overwrite"))
        except (BaseError, OSError, ValueError) as error:
            raise self._error(f"{key} could not be written to", error) from error

    def link_from(self, other: "Store", key: str, *, under: str | None = None) -> bool:
        """Publish the file `key` of another store here under the same key, or under the key `under`.

        Makes a hard link if both stores are on one disk, else a copy. Returns False if the key exists.
        """
        target = under or key
        if self.folder is not None and other.folder is not None:
            try:
                (self.folder / target).parent.mkdir(parents=True, exist_ok=True)
                os.link(other.folder / key, self.folder / target)
                return True
            except FileExistsError:
                return False
            except OSError:
                pass  # another disk, or one without hard links; the copy below reports any other problem
        return self.create(target, other.read(key))

    def read(self, key: str) -> bytes:
        """Return the whole content of a key."""
        self._require_folder(key)
        try:
            return self._request(lambda: bytes(obstore.get(self._objects, key).bytes()))
        except (BaseError, OSError) as error:
            raise self._error(f"{key} could not be read from", error) from error

    def read_range(self, key: str, start: int, end: int) -> bytes:
        """Return bytes `[start, end)` of a key."""
        try:
            return self._request(lambda: bytes(obstore.get_range(self._objects, key, start=start, end=end)))
        except (BaseError, OSError) as error:
            raise self._error(f"{key} could not be read from", error) from error

    def open(self, key: str, size: int | None = None) -> "RangeReader":
        """Open a key as a seekable file whose reads fetch byte ranges, so that single columns can be read.

        `size`: size in bytes if it is known from a listing; otherwise one more request finds it.
        """
        self._require_folder(key)
        try:
            size = self._request(lambda: obstore.head(self._objects, key)["size"]) if size is None else size
        except (BaseError, OSError) as error:
            raise self._error(f"{key} could not be opened in", error) from error
        return RangeReader(self, key, size)

    def exists(self, key: str) -> bool:
        """Return whether a key exists."""
        if not self._has_folder():
            return False
        try:
            self._request(lambda: obstore.head(self._objects, key))
        except FileNotFoundError:
            return False
        except (BaseError, OSError) as error:
            raise self._error(f"{key} could not be looked up in", error) from error
        return True

    def list(self, prefix: str) -> dict[str, ObjectInfo]:
        """Return the keys below the folder `prefix` with their sizes and times, from one listing."""
        if not self._has_folder():
            return {}
        try:
            return self._request(
                lambda: {
                    entry["path"]: ObjectInfo(entry["size"], entry["last_modified"].timestamp())
                    for batch in obstore.list(self._objects, prefix=prefix)
                    for entry in batch
                }
            )
        except (BaseError, OSError) as error:
            raise self._error(f"{prefix or 'the run'} could not be listed in", error) from error

    def list_sizes(self, prefix: str) -> dict[str, int]:
        """Return the keys below the folder `prefix` with their sizes in bytes."""
        return {key: info.size for key, info in self.list(prefix).items()}

    def delete(self, prefix: str) -> None:
        """Remove everything below a folder. Never used for published shards."""
        self.remove([*self.list(prefix)])

    def remove(self, keys: Sequence[str]) -> None:
        """Remove keys. Never used for published shards."""
        try:
            for start in range(0, len(keys), _MAX_DELETES):
                self._request(partial(obstore.delete, self._objects, keys[start : start + _MAX_DELETES]))
        except FileNotFoundError:
            return  # another driver has removed them
        except (BaseError, OSError) as error:
            raise self._error(f"{keys[0]} could not be removed from", error) from error

    def probe(self) -> None:
        """Verify with a temporary key that a second create fails and leaves the first content unchanged.

        Raises StoreError if it does not: two workers could overwrite each other's shards on such a storage.
        """
        key = f"{PROBE}/{secrets.token_hex(8)}"
        first, second = self.create(key, b"first"), self.create(key, b"second")
        content = self.read(key)
        self.remove([key])
        if not first or second or content != b"first":
            raise StoreError(
                f"{self.address} lets a second writer replace a published file, so a run on it could lose or mix "
                "posts: use a local disk, or an object store with conditional writes"
            )

    @property
    def _objects(self) -> ObjectStore:
        store: ObjectStore | None = self.__dict__.get("_opened")
        if store is None:
            if self.folder is not None and self.folder.exists() and not self.folder.is_dir():
                raise StoreError(f"run {self.address} cannot be opened: it is a file, and a run is a folder")
            try:
                store = (
                    open_remote(self.address)
                    if self.folder is None
                    else LocalStore(self.address, mkdir=True, automatic_cleanup=True)
                )
            except (BaseError, OSError, ValueError) as error:
                raise StoreError(
                    f"run {self.address} cannot be opened: {error_summary(error)}{error_hint(error)}"
                ) from error
            self.__dict__["_opened"] = store
        return store

    def _has_folder(self) -> bool:
        return self.folder is None or self.folder.is_dir()

    def _require_folder(self, key: str) -> None:
        if not self._has_folder():
            raise StoreError(f"{key} could not be read from {self.address}: there is no such folder")

    def _has_content(self, key: str, data: bytes) -> bool:
        """Return whether the content of a key is `data`; fetches it only if the sizes are equal."""
        try:
            size = self._request(lambda: obstore.head(self._objects, key)["size"])
            return size == len(data) and self.read(key) == data
        except FileNotFoundError:
            return False  # removed in the meantime
        except (BaseError, OSError) as error:
            raise self._error(f"{key} could not be looked up in", error) from error

    def _request(self, request: Callable[[], Response]) -> Response:
        """Send a request and retry it if it broke off. All requests of this class are safe to repeat."""
        for attempt in range(1, _MAX_ATTEMPTS):
            try:
                return request()
            except BaseError as error:
                if not is_retryable(error):
                    raise
            time.sleep(random.uniform(0, 0.2 * 2**attempt))
        return request()

    def _error(self, what: str, error: Exception) -> StoreError:
        return StoreError(f"{what} {self.address}: {error_summary(error)}{error_hint(error)}")


class RangeReader(io.RawIOBase):
    """A stored object as a read-only, seekable file. Each read is one ranged request.

    `obstore.open_reader` cannot take its place: pyarrow refuses its file objects, which have no `closed`, and their
    errors bypass the retries and messages of `Store`.
    """

    def __init__(self, store: Store, key: str, size: int) -> None:
        super().__init__()
        self._store, self._key, self._size, self._position = store, key, size, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position without fetching anything."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes from the position on, or all remaining bytes."""
        end = self._size if size < 0 else min(self._size, self._position + size)
        if end <= self._position:
            return b""
        data = self._store.read_range(self._key, self._position, end)
        self._position = end
        return data
