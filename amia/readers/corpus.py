"""A source of posts: which files it is, and the posts in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from amia.errors import CorpusError
from amia.posts import RawPost, Rejected
from amia.readers.conll import read_conll
from amia.readers.hf_disk import hf_disk_split, read_hf_disk
from amia.readers.hub import read_hub
from amia.readers.image_folder import ImageFolder
from amia.readers.jsonl import read_jsonl
from amia.readers.parquet import read_parquet
from amia.readers.splits import split_of
from amia.readers.webdataset import read_webdataset

__all__ = ["Corpus", "Kind"]

Kind = Literal["conll", "jsonl", "parquet", "datasets", "webdataset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Posts of one kind of source. Iterate it, as often as you like: each time the files are read anew, in order.

    Yields `RawPost`, or `Rejected` where something in the source is no post; at most a few posts are in memory at
    once. Raises CorpusError when a file as a whole cannot be read (damaged, foreign columns, a dangerous type).
    """

    source: str
    """What the person named: a folder, a file, or `hf:owner/name`."""
    kind: Kind
    files: list[Path]
    """The source's files, sorted; empty for a data set on the hub."""
    root: Path
    """The folder that file names in `where` are relative to."""
    image_root: Path | None
    """The folder that `RawPost.image_path` is relative to; None: images lie in the files, or there are none."""

    @property
    def bytes(self) -> int:
        """Total size of the files in bytes: a hint for planning."""
        return sum(file.stat().st_size for file in self.files)

    def __iter__(self) -> Iterator[RawPost | Rejected]:
        if not self.files:
            yield from read_hub(self.source)
        images = ImageFolder(self.image_root if self.kind == "conll" else None)
        for file in self.files:
            try:
                yield from self._read(file, images)
            except OSError as error:
                raise CorpusError(f"{file}: {error.strerror or error}") from error

    def _read(self, file: Path, images: ImageFolder) -> Iterator[RawPost | Rejected]:
        relative = file.relative_to(self.root).as_posix()
        # A name that is not valid UTF-8 must still be printable.
        name = relative.encode("utf-8", "backslashreplace").decode()
        split = split_of(relative)
        match self.kind:
            case "conll":
                return read_conll(file, name, split, images)
            case "jsonl":
                return read_jsonl(file, name, split)
            case "parquet":
                return read_parquet(file, name, split)
            case "datasets":
                return read_hf_disk(file, name, hf_disk_split(file))
            case "webdataset":
                return read_webdataset(file, name, split)
