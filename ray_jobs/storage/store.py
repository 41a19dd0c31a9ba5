"""A run directory on disk, S3, GCS or Azure, through one interface.

Everything that amia keeps rests on one promise of the storage: creating a key that exists fails and leaves the first
content alone (a hard link on disk, a conditional PUT on S3). `probe` asks for that promise before a job begins.
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
from ray_jobs.storage.object_store import check_address, error_hint, error_summary, is_retryable, open_remote

__all__ = ["ObjectInfo", "Store"]

Answer = TypeVar("Answer")

_URL = re.compile(r"[a-z][a-z0-9+.-]+://")
_TIMES = 4
"""How often a request is made that breaks off where obstore does not ask again by itself."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a listing says of a key."""

    size: int
    """In bytes."""
    modified: float
    """When it was written, in seconds since 1970, by the storage's own clock."""


class Store:
    """The files of one run, by key (`posts/train-00000-of-00003.parquet`). Cheap to pickle: it travels as its address.

    `address` is a folder or a URL (`s3://bucket/prefix`, `gs://`, `az://`); credentials come by the usual chain of the
    provider. A folder is made when the first key is created; looking at one that is not there makes nothing.

    An object store that is overloaded, or whose connections drop, is asked again for some minutes. Raises StoreError
    whenever the storage says anything but yes after that; the message names the key, the storage's own words, and what
    to do.
    """

    def __init__(self, address: str | Path) -> None:
        given = str(address).removeprefix("file://")
        self.address = given if _URL.match(given) else str(Path(given).expanduser().resolve())
        if self.folder is None:
            check_address(self.address)

    def __reduce__(self) -> tuple[type["Store"], tuple[str]]:
        return Store, (self.address,)

    @property
    def folder(self) -> Path | None:
        """The run's folder where the store is a local disk, else None."""
        return None if _URL.match(self.address) else Path(self.address)

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

    def _is_there(self) -> bool:
        return self.folder is None or self.folder.is_dir()

    def _require(self, key: str) -> None:
        if not self._is_there():
            raise StoreError(f"{key} could not be read from {self.address}: there is no such folder")

    def create(self, key: str, data: bytes) -> bool:
        """Publish `data` under `key`, whole or not at all. False: somebody was first, and their content stays.

        True also where the very same content stands there: of a first answer that was lost on its way nobody can tell
        whose it is, and it does not matter.
        """
        try:
            self._asked(lambda: obstore.put(self._objects, key, data, mode="create"))
        except AlreadyExistsError:
            return self._holds(key, data)
        except (BaseError, OSError, ValueError) as error:
            raise self._failed(f"{key} could not be written to", error) from error
        return True

    def replace(self, key: str, data: bytes) -> None:
        """Write `data` under `key`, whatever stands there: for what is told anew, never for anything published."""
        try:
            self._asked(lambda: obstore.put(self._objects, key, data, mode="overwrite"))
        except (BaseError, OSError, ValueError) as error:
            raise self._failed(f"{key} could not be written to", error) from error

    def link_from(self, other: "Store", key: str, *, under: str | None = None) -> bool:
        """Publish what `other` has published under `key`, here `under` another one; on one disk both mean one file.

        False: it stands here already.
        """
        mine = under or key
        if self.folder is not None and other.folder is not None:
            try:
                (self.folder / mine).parent.mkdir(parents=True, exist_ok=True)
                os.link(other.folder / key, self.folder / mine)
                return True
            except FileExistsError:
                return False
            except OSError:
                pass  # another disk, or one without hard links: copied then, and what is wrong is said there
        return self.create(mine, other.read(key))

    def read(self, key: str) -> bytes:
        """The whole content of a key."""
        self._require(key)
        try:
            return self._asked(lambda: bytes(obstore.get(self._objects, key).bytes()))
        except (BaseError, OSError) as error:
            raise self._failed(f"{key} could not be read from", error) from error

    def open(self, key: str, size: int | None = None) -> "RangeReader":
        """A key as a seekable file that fetches the ranges it is asked for, so that columns can be read alone.

        `size`: in bytes, where a listing has told it; it is asked for otherwise.
        """
        self._require(key)
        try:
            size = self._asked(lambda: obstore.head(self._objects, key)["size"]) if size is None else size
        except (BaseError, OSError) as error:
            raise self._failed(f"{key} could not be opened in", error) from error
        return RangeReader(self, key, size)

    def read_range(self, key: str, start: int, end: int) -> bytes:
        """Bytes `[start, end)` of a key."""
        try:
            return self._asked(lambda: bytes(obstore.get_range(self._objects, key, start=start, end=end)))
        except (BaseError, OSError) as error:
            raise self._failed(f"{key} could not be read from", error) from error

    def exists(self, key: str) -> bool:
        """Whether a key was published."""
        if not self._is_there():
            return False
        try:
            self._asked(lambda: obstore.head(self._objects, key))
        except FileNotFoundError:
            return False
        except (BaseError, OSError) as error:
            raise self._failed(f"{key} could not be looked up in", error) from error
        return True

    def list_sizes(self, prefix: str) -> dict[str, int]:
        """Return the keys below the folder `prefix` with their sizes in bytes."""
        return {key: info.size for key, info in self.list(prefix).items()}

    def list(self, prefix: str) -> dict[str, ObjectInfo]:
        """The same with the times at which they were written."""
        if not self._is_there():
            return {}
        try:
            return self._asked(
                lambda: {
                    entry["path"]: ObjectInfo(entry["size"], entry["last_modified"].timestamp())
                    for batch in obstore.list(self._objects, prefix=prefix)
                    for entry in batch
                }
            )
        except (BaseError, OSError) as error:
            raise self._failed(f"{prefix or 'the run'} could not be listed in", error) from error

    def delete(self, prefix: str) -> None:
        """Remove everything below a folder: scratch only, never anything published."""
        self.remove([*self.list(prefix)])

    def remove(self, keys: Sequence[str]) -> None:
        """Remove some keys: never anything published."""
        try:
            for start in range(0, len(keys), 1000):
                some = keys[start : start + 1000]
                self._asked(partial(obstore.delete, self._objects, some))
        except FileNotFoundError:
            return  # another driver tidied up first
        except (BaseError, OSError) as error:
            raise self._failed(f"{keys[0]} could not be removed from", error) from error

    def _holds(self, key: str, data: bytes) -> bool:
        """Whether a key's content is `data`; it is fetched only where the sizes are equal."""
        try:
            size = self._asked(lambda: obstore.head(self._objects, key)["size"])
            return size == len(data) and self.read(key) == data
        except FileNotFoundError:
            return False  # removed meanwhile
        except (BaseError, OSError) as error:
            raise self._failed(f"{key} could not be looked up in", error) from error

    def _asked(self, request: Callable[[], Answer]) -> Answer:
        """The answer to a request, made again where it broke off: each of ours may be repeated."""
        for attempt in range(1, _TIMES):
            try:
                return request()
            except BaseError as error:
                if not is_retryable(error):
                    raise
            time.sleep(random.uniform(0, 0.2 * 2**attempt))
        return request()

    def _failed(self, what: str, error: Exception) -> StoreError:
        return StoreError(f"{what} {self.address}: {error_summary(error)}{error_hint(error)}")

    def probe(self) -> None:
        """Prove on a key of its own that a second create fails and leaves the first content alone.

        Raises StoreError when the storage does not keep that promise: two workers could overwrite each other on it.
        """
        key = f"probe/{secrets.token_hex(8)}"
        first, second = self.create(key, b"first"), self.create(key, b"second")
        kept = self.read(key)
        self.remove([key])
        if not first or second or kept != b"first":
            raise StoreError(
                f"{self.address} lets a second writer replace a published file, so a run on it could lose or mix "
                "posts: use a local disk, or an object store with conditional writes"
            )


class RangeReader(io.RawIOBase):
    """A stored object as a read-only, seekable file; each read is one ranged request."""

    def __init__(self, store: Store, key: str, size: int) -> None:
        super().__init__()
        self._store, self._key, self._size, self._at = store, key, size, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing is fetched."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes from here, or the rest."""
        end = self._size if size < 0 else min(self._size, self._at + size)
        if end <= self._at:
            return b""
        data = self._store.read_range(self._key, self._at, end)
        self._at = end
        return data
