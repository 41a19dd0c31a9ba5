"""A corpus: the files of a source, and the posts in them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from amia.errors import CorpusError
from amia.images import ImageRoot
from amia.posts import SPLITS, RawPost, Rejected
from amia.readers.conll import read_conll
from amia.readers.hf_disk import read_hf_disk
from amia.readers.hub import read_hub
from amia.readers.image_folder import ImageFolder
from amia.readers.jsonl import read_jsonl
from amia.readers.parquet import read_parquet
from amia.readers.source import SourceFile
from amia.readers.webdataset import read_webdataset

__all__ = ["FORMATS", "Corpus", "Format", "split_from_path"]


@dataclass(frozen=True, slots=True)
class Format:
    """A format whose files are recognized by their suffix and read one by one."""

    suffixes: tuple[str, ...]
    read: Callable[[SourceFile, str | None], Iterator[RawPost | Rejected]]
    """Yields the posts of a file. Takes the file and the split that its path names."""


FORMATS = {
    "jsonl": Format((".jsonl", ".jsonl.gz", ".jsonl.zst"), read_jsonl),
    "parquet": Format((".parquet",), read_parquet),
    "webdataset": Format((".tar", ".tar.gz", ".tgz"), read_webdataset),
}
"""Formats by kind. CoNLL files and data sets saved by `datasets` are recognized by other means (`detect.py`)."""

_HUB_FILE = re.compile(r"(\w+)-\d+-of-\d+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Posts of one source. Each iteration reads the files again, in order.

    Yields `RawPost`, or `Rejected` for a record that is not a post. At most a few posts are in memory at once. Raises
    CorpusError if a file as a whole cannot be read (damaged, unknown columns, a dangerous type).
    """

    source: str
    """Source as the user named it: a folder, a file, a URL, or `hf:owner/name`."""
    kind: str
    """A name in `FORMATS`, `conll` or `datasets`."""
    files: list[SourceFile]
    """Files of the source, sorted; empty for a data set on the hub."""
    image_root: ImageRoot | None
    """Folder or prefix that `RawPost.image_path` is relative to; None if the files contain them or there are none."""

    @property
    def bytes(self) -> int:
        """Total size of the files in bytes, for planning."""
        return sum(file.size for file in self.files)

    def __iter__(self) -> Iterator[RawPost | Rejected]:
        if not self.files:
            yield from read_hub(self.source)
        images = self.list_images()
        for file in self.files:
            try:
                yield from self.read_file(file, images)
            except OSError as error:
                raise CorpusError(f"{file}: {error.strerror or error}") from error

    def list_images(self) -> ImageFolder:
        """List the images that are named by the ids of their posts, which only CoNLL has."""
        return ImageFolder(self.image_root if self.kind == "conll" else None)

    def split_of(self, file: SourceFile) -> str | None:
        """Return the split that the path of a file names."""
        return split_from_path(file.name)

    def read_file(self, file: SourceFile, images: ImageFolder) -> Iterator[RawPost | Rejected]:
        """Yield the posts of one file, in order. `images` are those of a CoNLL corpus, else empty."""
        split = self.split_of(file)
        if self.kind == "conll":
            return read_conll(file, split, images)
        if self.kind == "datasets":
            return read_hf_disk(file)
        return FORMATS[self.kind].read(file, split)


def split_from_path(path: str) -> str | None:
    """Return the split that a path relative to the source names, in Hugging Face's spelling; None if it names none.

    The name of a split may be the whole stem or a part of it between other characters (`train`, `test-00001`,
    `tweets_dev`), else the name of a folder (`train/00000.tar`). In the hub's layout
    `data/<split>-00000-of-00002.parquet` it may be any word. A name with two different splits names none.
    """
    parts = PurePosixPath(path)
    if parts.parent.name == "data" and (hub_file := _HUB_FILE.match(parts.stem)):
        return SPLITS.get(hub_file[1].lower(), hub_file[1])
    for part in (parts.name.split(".")[0], *(folder.name for folder in parts.parents)):
        words = re.split(r"[^A-Za-z0-9]+", part.lower())
        splits = {SPLITS[word] for word in words if word in SPLITS}
        if splits:
            return splits.pop() if len(splits) == 1 else None
    return None
