"""Files and folders of a source, on a local disk or in an object store, behind one interface.

A reader takes a `SourceFile` and opens it as a seekable stream. In an object store, each read of the stream fetches one
range of bytes: text and archives are read from the start to the end with a buffer of `READ_AHEAD_BYTES`, and formats
with an index at their end (Parquet) fetch the ranges that they need. A file that changes while it is being read is
noticed: a range of another version is refused by the storage.
"""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from amia.errors import CorpusError
from amia.images import ImageRoot
from amia.utils.store_reader import ObjectInfo, StoreReader, is_url

__all__ = [
    "HEADER_BYTES",
    "Folder",
    "LocalFile",
    "LocalFolder",
    "SourceFile",
    "StoredFile",
    "StoredFolder",
    "open_folder",
    "open_source",
    "sorted_by_name",
]

READ_AHEAD_BYTES = 8 << 20
"""Bytes of one request while an object is read from the start to the end: 30 ms of latency cost 4 ms a MB."""
HEADER_BYTES = 4 << 10
"""Bytes of one request for a header, such as that of a Parquet page."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on a local disk."""

    path: Path
    name: str
    """Path relative to the source, with `/`."""

    def __str__(self) -> str:
        return str(self.path)

    @property
    def label(self) -> str:
        """The name for messages: a name that is not valid UTF-8 must still be printable."""
        return self.name.encode("utf-8", "backslashreplace").decode()

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.path.stat().st_size

    @property
    def version(self) -> int | str:
        """Value that changes with the content: the time of the last write."""
        return self.path.stat().st_mtime_ns

    def is_regular(self) -> bool:
        """Return whether the path, or what it links to, is a file: opening a pipe would block."""
        return self.path.is_file()

    def sibling(self, name: str) -> "LocalFile | None":
        """Return another regular file of the same folder, or None."""
        file = LocalFile(self.path.with_name(name), _sibling_name(self.name, name))
        return file if file.is_regular() else None

    def open(self) -> BinaryIO:
        """Open the file to be read from the start to the end."""
        return self.path.open("rb")

    def open_ranges(self, buffer_bytes: int = 0) -> BinaryIO:
        """Open the file to be read at many positions."""
        return self.path.open("rb")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An object of an object store."""

    store: StoreReader
    """The source."""
    name: str
    """Key relative to the source."""
    size: int
    """Size in bytes."""
    version: int | str
    """Value that changes with the content: the ETag, else the time of the last write."""

    def __str__(self) -> str:
        return f"{self.store.address.rstrip('/')}/{self.name}"

    @property
    def label(self) -> str:
        """The name for messages."""
        return self.name

    def is_regular(self) -> bool:
        """Return True: an object store has neither pipes nor links."""
        return True

    def sibling(self, name: str) -> "StoredFile | None":
        """Return another object of the same folder, or None."""
        return StoredFolder(self.store).find(_sibling_name(self.name, name))

    def open(self) -> BinaryIO:
        """Open the object to be read from the start to the end."""
        return self.open_ranges(READ_AHEAD_BYTES)

    def open_ranges(self, buffer_bytes: int = 0) -> BinaryIO:
        """Open the object to be read at many positions; a read fetches at least `buffer_bytes`."""
        version = self.version if isinstance(self.version, str) else None
        ranges = self.store.open(self.name, self.size, version)
        return cast(BinaryIO, io.BufferedReader(ranges, buffer_bytes) if buffer_bytes else ranges)


SourceFile = LocalFile | StoredFile


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder on a local disk."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def entries(self, folder: str = "") -> Iterator[tuple[str, SourceFile | None]]:
        """Yield name and file of everything directly in a subfolder; a folder has no file."""
        try:
            with os.scandir(self.path / folder) as entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    # The listing tells files from folders without opening any, and there may be a million images.
                    yield name, None if _is_folder(entry) else LocalFile(Path(entry), name)
        except OSError as error:
            raise CorpusError(f"{self.path / folder}: {error.strerror}") from error

    def find(self, name: str) -> SourceFile | None:
        """Return a file by its relative name; None if there is no such regular file."""
        file = LocalFile(self.path / name, name)
        return file if file.is_regular() else None

    def subfolder(self, name: str) -> ImageRoot:
        """Return the address of a subfolder."""
        return self.path / name


@dataclass(frozen=True, slots=True)
class StoredFolder:
    """A prefix of an object store."""

    store: StoreReader

    def __str__(self) -> str:
        return self.store.address

    def entries(self, folder: str = "") -> Iterator[tuple[str, SourceFile | None]]:
        """Yield name and file of everything directly below a prefix; a longer prefix has no file."""
        files, folders = self.store.list_level(folder)
        for key, info in files.items():
            yield key, _stored_file(self.store, key, info)
        for name in folders:
            yield name, None

    def find(self, name: str) -> StoredFile | None:
        """Return a file by its relative name, or None."""
        info = self.store.info(name)
        return None if info is None else _stored_file(self.store, name, info)

    def subfolder(self, name: str) -> ImageRoot:
        """Return the reader of a longer prefix."""
        return StoreReader(f"{self.store.address.rstrip('/')}/{name}") if name else self.store


Folder = LocalFolder | StoredFolder


def open_folder(root: ImageRoot) -> Folder:
    """Return a folder by its address. Sends no request."""
    return LocalFolder(root) if isinstance(root, Path) else StoredFolder(root)


def open_source(source: str | Path) -> tuple[Folder, SourceFile | None]:
    """Return the folder of a source, and its file if the source is a single file.

    Raises CorpusError if nothing has this address.
    """
    if not is_url(str(source)):
        path = Path(source)
        if not path.exists():
            raise CorpusError(f"{path}: no such file or folder")
        return (LocalFolder(path), None) if path.is_dir() else (LocalFolder(path.parent), LocalFile(path, path.name))
    address = str(source).rstrip("/")
    parent, _, name = address.rpartition("/")
    if not parent.endswith("/"):  # below the bucket itself
        folder = StoredFolder(StoreReader(parent))
        if (file := folder.find(name)) is not None:
            return folder, file
    folder = StoredFolder(StoreReader(address))
    if next(folder.entries(), None) is None:
        raise CorpusError(f"{address}: no such file or folder, or this machine's credentials may not list it")
    return folder, None


def sorted_by_name(files: list[SourceFile]) -> list[SourceFile]:
    """Return files in the order of their folders and names."""
    return sorted(files, key=lambda file: PurePosixPath(file.name))


def _stored_file(store: StoreReader, key: str, info: ObjectInfo) -> StoredFile:
    return StoredFile(store, key, info.size, info.e_tag or int(info.modified * 1e9))


def _sibling_name(name: str, sibling: str) -> str:
    folder, slash, _ = name.rpartition("/")
    return folder + slash + sibling


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or links to one; False for a circular link."""
    try:
        return entry.is_dir()
    except OSError:
        return False
