"""WebDataset: tar files in which members that share a name up to the first dot are one post."""

import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amia.errors import CorpusError
from amia.images import MAX_FILE_BYTES
from amia.posts import RawPost, Rejected
from amia.readers.row_mapping import NAMES, read_record
from amia.readers.safety.json_lines import parse_object
from amia.readers.safety.tar_members import read_members

__all__ = ["IMAGES", "LARGEST_TEXT", "read_webdataset"]

IMAGES = ("jpg", "jpeg", "png", "webp", "gif")
LARGEST_TEXT = 1 << 20
"""Bytes of a `.txt` or `.json` member."""


def read_webdataset(file: Path, name: str, split: str | None) -> Iterator[RawPost | Rejected]:
    """The posts of one tar (compressed or not), in order, in one pass; `where` is `name/key`.

    `abc.jpg`, `abc.txt` and `abc.json` beside each other are the post with id `abc`; folders belong to the id. The JSON
    has the fields of `amia.readers.row_mapping.NAMES` except the image; its `id` and its text go before the key and the
    `.txt`. Other members are ignored: nothing is unpickled, and no member's name is ever used as a path. An image of
    more than `amia.images.MAX_FILE_BYTES` bytes is cut one byte above it, so that decoding calls it `too_large`.

    Raises CorpusError when the archive is damaged or cut off.
    """
    sample: _Sample | None = None
    try:
        for member in read_members(file):
            key, ending = _key(member.name)
            if member.kind == "folder" or not key:
                continue
            if member.kind == "other":
                place = _printable(f"{name}/{member.name}")
                reason = "a link, a device or a sparse file in the archive, not a plain file"
                yield Rejected(location=place, id=None, reason=reason)
                continue
            if sample is None or sample.key != key:
                if sample is not None:
                    yield sample.finish(name, split)
                sample = _Sample(key)
            if ending in IMAGES:
                sample.image = sample.image or member.read(MAX_FILE_BYTES + 1)
            elif ending in ("txt", "json"):
                sample.add(ending, member.read(LARGEST_TEXT + 1))
    except (CorpusError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise CorpusError(f"{file}: the archive is damaged or cut off ({error})") from error
    if sample is not None:
        yield sample.finish(name, split)


@dataclass(slots=True)
class _Sample:
    """The members of one post so far."""

    key: str
    image: bytes | None = None
    text: str | None = None
    record: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None

    def add(self, ending: str, data: bytes) -> None:
        try:
            if len(data) > LARGEST_TEXT:
                raise CorpusError(f"more than {LARGEST_TEXT} bytes")
            if ending == "txt":
                self.text = data.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
            else:
                self.record = parse_object(data)
        except (CorpusError, UnicodeDecodeError) as error:
            self.problem = f".{ending}: {error}"

    def finish(self, name: str, split: str | None) -> RawPost | Rejected:
        location = _printable(f"{name}/{self.key}")
        if self.problem is not None:
            return Rejected(location=location, id=None, reason=self.problem)
        record = {field: value for field, value in self.record.items() if field not in NAMES["image"]}
        if not any(record.get(field) is not None for field in NAMES["id"]):
            record["id"] = self.key
        if not any(record.get(field) is not None for field in NAMES["text"]):
            record["text"] = self.text
        return read_record(record | {"image": self.image}, location, split)


def _key(member: str) -> tuple[str, str]:
    """(folders and file name up to its first dot, the rest in lower case); no key for hidden files."""
    folder, slash, file = member.removeprefix("./").rpartition("/")
    stem, _, ending = file.partition(".")
    return (folder + slash + stem if stem else ""), ending.lower()


def _printable(place: str) -> str:
    return place.encode("utf-8", "backslashreplace").decode()
