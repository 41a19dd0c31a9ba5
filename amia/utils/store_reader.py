"""Reading from a folder or a prefix of an object store by key: local disk, S3, GCS and Azure behind one interface."""

import builtins
import io
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import LocalStore, ObjectStore

from amia.errors import StoreError
from amia.utils.object_store import check_address, error_hint, error_summary, is_retryable, open_remote

__all__ = ["ObjectInfo", "RangeReader", "StoreReader", "is_url"]

Response = TypeVar("Response")

_URL = re.compile(r"[a-z][a-z0-9+.-]+://")
_MAX_ATTEMPTS = 4
"""Attempts of a request that breaks off in a way that obstore does not retry."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """Entry of a listing."""

    size: int
    """In bytes."""
    modified: float
    """Time of the write in seconds since 1970, by the clock of the storage."""
    e_tag: str | None = None
    """Version of the content, if the storage has versions."""


def is_url(address: str) -> bool:
    """Return whether an address is a URL, not a path."""
    return _URL.match(address) is not None


class StoreReader:
    """Reads the files below an address by key (`posts/train-00000-of-00003.parquet`). Pickled as its address.

    `address` is a folder or a URL (`s3://bucket/prefix`, `gs://`, `az://`). Credentials are found by the default chain
    of the provider.

    Requests to an object store that is overloaded, or whose connections drop, are retried for some minutes. Every
    method raises StoreError if the storage fails after that; the message names the key, quotes the storage and suggests
    what to do.
    """

    def __init__(self, address: str | Path) -> None:
        address = str(address).removeprefix("file://")
        self.address = address if is_url(address) else str(Path(address).expanduser().resolve())
        if self.folder is None:
            check_address(self.address)

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.address,)

    @property
    def folder(self) -> Path | None:
        """The folder if the address is on a local disk, else None."""
        return None if is_url(self.address) else Path(self.address)

    def read(self, key: str) -> bytes:
        """Return the whole content of a key."""
        self._require_folder(key)
        try:
            return self._request(lambda: bytes(obstore.get(self._objects, key).bytes()))
        except (BaseError, OSError) as error:
            raise self._error(f"{key} could not be read from", error) from error

    def find(self, key: str) -> bytes | None:
        """Return the whole content of a key, or None if it does not exist, by one request."""
        if not self._has_folder():
            return None
        try:
            return self._request(lambda: bytes(obstore.get(self._objects, key).bytes()))
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise self._error(f"{key} could not be read from", error) from error

    def read_at_most(self, key: str, limit: int) -> tuple[int, bytes | None]:
        """Return the size of a key, and its content unless it has more than `limit` bytes, by one request.

        Raises FileNotFoundError if the key does not exist or cannot be a key.
        """

        def request() -> tuple[int, bytes | None]:
            response = obstore.get(self._objects, key)
            size = response.meta["size"]
            return size, None if size > limit else bytes(response.bytes())

        try:
            return self._request(request)
        except FileNotFoundError:
            raise
        except ValueError as error:  # a character that no key has
            raise FileNotFoundError(key) from error
        except (BaseError, OSError) as error:
            raise self._error(f"{key} could not be read from", error) from error

    def read_range(self, key: str, start: int, end: int, e_tag: str | None = None) -> bytes:
        """Return bytes `[start, end)` of a key. Raises StoreError if it no longer has the version `e_tag`."""
        options: Any = {"range": (start, end), **({"if_match": e_tag} if e_tag else {})}
        try:
            return self._request(lambda: bytes(obstore.get(self._objects, key, options=options).bytes()))
        except PreconditionError as error:
            raise StoreError(
                f"{key} in {self.address} was changed while it was being read: start the same command again once "
                "nobody writes to it"
            ) from error
        except (BaseError, OSError) as error:
            raise self._error(f"{key} could not be read from", error) from error

    def open(self, key: str, size: int | None = None, e_tag: str | None = None) -> "RangeReader":
        """Open a key as a seekable file whose reads fetch byte ranges, so that single columns can be read.

        `size`: size in bytes if it is known from a listing; otherwise one more request finds it. `e_tag`: version that
        every read requires.
        """
        self._require_folder(key)
        try:
            size = self._request(lambda: obstore.head(self._objects, key)["size"]) if size is None else size
        except (BaseError, OSError) as error:
            raise self._error(f"{key} could not be opened in", error) from error
        return RangeReader(self, key, size, e_tag)

    def exists(self, key: str) -> bool:
        """Return whether a key exists."""
        return self.info(key) is not None

    def find_missing(self, key: str) -> str:
        """Return where a missing key is missing, for messages: the address of the store."""
        return self.address

    def info(self, key: str) -> ObjectInfo | None:
        """Return size, time and version of a key; None if it does not exist."""
        if not self._has_folder():
            return None
        try:
            return _info(self._request(lambda: obstore.head(self._objects, key)))
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise self._error(f"{key} could not be looked up in", error) from error

    def list(self, prefix: str) -> dict[str, ObjectInfo]:
        """Return the keys below the folder `prefix` with their sizes and times, from one listing."""
        if not self._has_folder():
            return {}
        try:
            return self._request(
                lambda: {
                    entry["path"]: _info(entry)
                    for batch in obstore.list(self._objects, prefix=prefix)
                    for entry in batch
                }
            )
        except (BaseError, OSError) as error:
            raise self._error(f"{prefix or 'its content'} could not be listed in", error) from error

    def list_level(self, prefix: str) -> tuple[dict[str, ObjectInfo], builtins.list[str]]:
        """Return the keys directly in the folder `prefix`, and its subfolders, which are not entered."""
        try:
            level = self._request(lambda: obstore.list_with_delimiter(self._objects, prefix or None))
        except (BaseError, OSError) as error:
            raise self._error(f"{prefix or 'its content'} could not be listed in", error) from error
        return {entry["path"]: _info(entry) for entry in level["objects"]}, sorted(level["common_prefixes"])

    def list_sizes(self, prefix: str) -> dict[str, int]:
        """Return the keys below the folder `prefix` with their sizes in bytes."""
        return {key: info.size for key, info in self.list(prefix).items()}

    @property
    def _objects(self) -> ObjectStore:
        store: ObjectStore | None = self.__dict__.get("_opened")
        if store is None:
            if self.folder is not None and self.folder.exists() and not self.folder.is_dir():
                raise StoreError(f"{self.address} cannot be opened: it is a file, not a folder")
            try:
                store = (
                    open_remote(self.address)
                    if self.folder is None
                    else LocalStore(self.address, mkdir=True, automatic_cleanup=True)
                )
            except (BaseError, OSError, ValueError) as error:
                raise StoreError(
                    f"{self.address} cannot be opened: {error_summary(error)}{error_hint(error)}"
                ) from error
            self.__dict__["_opened"] = store
        return store

    def _has_folder(self) -> bool:
        return self.folder is None or self.folder.is_dir()

    def _require_folder(self, key: str) -> None:
        if not self._has_folder():
            raise StoreError(f"{key} could not be read from {self.address}: there is no such folder")

    def _request(self, request: Callable[[], Response]) -> Response:
        """Send a request and retry it if it broke off. All requests of a store are safe to repeat."""
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
    errors bypass the retries and messages of `StoreReader`.
    """

    def __init__(self, store: StoreReader, key: str, size: int, e_tag: str | None = None) -> None:
        super().__init__()
        self._store, self._key, self._size, self._e_tag = store, key, size, e_tag
        self._position = 0

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
        data = self._store.read_range(self._key, self._position, end, self._e_tag)
        self._position = end
        return data

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position on, for `io.BufferedReader`. Returns the number of bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _info(meta: Any) -> ObjectInfo:
    return ObjectInfo(meta["size"], meta["last_modified"].timestamp(), meta["e_tag"])
