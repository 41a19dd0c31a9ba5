"""A run directory on disk, S3, GCS or Azure, through one interface.

Everything that amia keeps rests on one promise of the storage: creating a key that exists fails and leaves the first
content alone (a hard link on disk, a conditional PUT on S3). `probe` asks for that promise before a job begins.
"""

import io
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from amia.errors import StoreError

__all__ = ["Listed", "Store"]

_URL = re.compile(r"[a-z][a-z0-9+.-]+://")


@dataclass(frozen=True, slots=True)
class Listed:
    """What a listing says of a key."""

    size: int
    """In bytes."""
    modified: float
    """When it was written, in seconds since 1970, by the storage's own clock."""


class Store:
    """The files of one run, by key (`posts/train-00000-of-00003.parquet`). Cheap to pickle: it travels as its address.

    `address` is a folder or a URL (`s3://bucket/prefix`, `gs://`, `az://`); credentials come by the usual chain of the
    provider. A folder is made when the first key is created; looking at one that is not there makes nothing.

    Raises StoreError whenever the storage says anything but yes; the message names the key and the storage's own words.
    """

    def __init__(self, address: str | Path) -> None:
        given = str(address).removeprefix("file://")
        self.address = given if _URL.match(given) else str(Path(given).expanduser().resolve())

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
                    from_url(self.address)
                    if self.folder is None
                    else LocalStore(self.address, mkdir=True, automatic_cleanup=True)
                )
            except (BaseError, OSError, ValueError) as error:
                raise StoreError(f"run {self.address} cannot be opened: {_said(error)}") from error
            self.__dict__["_opened"] = store
        return store

    def _is_there(self) -> bool:
        return self.folder is None or self.folder.is_dir()

    def _require(self, key: str) -> None:
        if not self._is_there():
            raise StoreError(f"{key} could not be read from {self.address}: there is no such folder")

    def create(self, key: str, data: bytes) -> bool:
        """Publish `data` under `key`, whole or not at all. False: somebody was first, and their content stays."""
        try:
            obstore.put(self._objects, key, data, mode="create")
        except AlreadyExistsError:
            return False
        except (BaseError, OSError, ValueError) as error:
            raise StoreError(f"{key} could not be written to {self.address}: {_said(error)}{_advice(error)}") from error
        return True

    def replace(self, key: str, data: bytes) -> None:
        """Write `data` under `key`, whatever stands there: for what is told anew, never for anything published."""
        try:
            obstore.put(self._objects, key, data, mode="overwrite")
        except (BaseError, OSError, ValueError) as error:
            raise StoreError(f"{key} could not be written to {self.address}: {_said(error)}{_advice(error)}") from error

    def take(self, other: "Store", key: str, *, under: str | None = None) -> bool:
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
            return bytes(obstore.get(self._objects, key).bytes())
        except (BaseError, OSError) as error:
            raise StoreError(f"{key} could not be read from {self.address}: {_said(error)}") from error

    def open(self, key: str, size: int | None = None) -> "Ranged":
        """A key as a seekable file that fetches the ranges it is asked for, so that columns can be read alone.

        `size`: in bytes, where a listing has told it; it is asked for otherwise.
        """
        self._require(key)
        try:
            return Ranged(self._objects, key, obstore.head(self._objects, key)["size"] if size is None else size)
        except (BaseError, OSError) as error:
            raise StoreError(f"{key} could not be opened in {self.address}: {_said(error)}") from error

    def exists(self, key: str) -> bool:
        """Whether a key was published."""
        if not self._is_there():
            return False
        try:
            obstore.head(self._objects, key)
        except FileNotFoundError:
            return False
        except (BaseError, OSError) as error:
            raise StoreError(f"{key} could not be looked up in {self.address}: {_said(error)}") from error
        return True

    def sizes(self, prefix: str) -> dict[str, int]:
        """Keys below a folder, with their bytes: one listing instead of a question per key."""
        return {key: each.size for key, each in self.listed(prefix).items()}

    def listed(self, prefix: str) -> dict[str, Listed]:
        """The same with the times at which they were written."""
        if not self._is_there():
            return {}
        try:
            return {
                entry["path"]: Listed(entry["size"], entry["last_modified"].timestamp())
                for batch in obstore.list(self._objects, prefix=prefix)
                for entry in batch
            }
        except (BaseError, OSError) as error:
            raise StoreError(f"{prefix} could not be listed in {self.address}: {_said(error)}") from error

    def delete(self, prefix: str) -> None:
        """Remove everything below a folder: scratch only, never anything published."""
        self.remove(list(self.sizes(prefix)))

    def remove(self, keys: Sequence[str]) -> None:
        """Remove some keys: never anything published."""
        try:
            for start in range(0, len(keys), 1000):
                obstore.delete(self._objects, keys[start : start + 1000])
        except FileNotFoundError:
            return  # another driver tidied up first
        except (BaseError, OSError) as error:
            raise StoreError(f"{keys[0]} could not be removed from {self.address}: {_said(error)}") from error

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


class Ranged(io.RawIOBase):
    """A stored object as a read-only, seekable file; each read is one ranged request."""

    def __init__(self, objects: ObjectStore, key: str, size: int) -> None:
        super().__init__()
        self._objects, self._key, self._size, self._at = objects, key, size, 0

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
        try:
            data = bytes(obstore.get_range(self._objects, self._key, start=self._at, end=end))
        except (BaseError, OSError) as error:
            raise StoreError(f"{self._key} could not be read: {_said(error)}") from error
        self._at = end
        return data


def _said(error: Exception) -> str:
    """The storage's own words: its first line. What follows is obstore's Rust structure of the same error."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _advice(error: Exception) -> str:
    if "No space left" in str(error) or "StorageFull" in str(error):
        return ". The disk is full: make room and start the same command again; what is published stays"
    return ""
