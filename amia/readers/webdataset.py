"""WebDataset: tar files in which members with the same name up to the first dot form one post."""

import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from amia.errors import CorpusError
from amia.images import MAX_FILE_BYTES
from amia.posts import RawPost, Rejected
from amia.readers.row_mapping import NAMES, read_record
from amia.readers.safety.json_lines import parse_object
from amia.readers.safety.tar_members import read_members
from amia.readers.source import SourceFile

__all__ = ["IMAGE_SUFFIXES", "MAX_TEXT_BYTES", "read_webdataset"]

IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp", "gif")
MAX_TEXT_BYTES = 1 << 20
"""Size limit of a `.txt` or `.json` member."""


def read_webdataset(file: SourceFile, split: str | None) -> Iterator[RawPost | Rejected]:
    """Yield the posts of one tar file (compressed or not), in order, in one pass; `location` is `name/key`.

    Consecutive `abc.jpg`, `abc.txt` and `abc.json` are the post with id `abc`; folders are part of the id. The JSON has
    the fields of `amia.readers.row_mapping.NAMES` except the image; its id and text take precedence over the key and
    the `.txt`. Other members are ignored: nothing is unpickled, and no member's name is used as a path. An image of
    more than `amia.images.MAX_FILE_BYTES` bytes is truncated one byte above, so decoding reports it as `too_large`.

    Raises CorpusError if the archive is damaged or truncated.
    """
    name = file.label
    sample: _Sample | None = None
    try:
        for member in read_members(file):
            key, suffix = _split_name(member.name)
            if member.kind == "folder" or not key:
                continue
            if member.kind == "other":
                reason = "a link, a device or a sparse file in the archive, not a regular file"
                yield Rejected(location=_printable(f"{name}/{member.name}"), id=None, reason=reason)
                continue
            if sample is None or sample.key != key:
                if sample is not None:
                    yield sample.finish(name, split)
                sample = _Sample(key)
            if suffix in IMAGE_SUFFIXES:
                sample.image = sample.image or member.read(MAX_FILE_BYTES + 1)
            elif suffix in ("txt", "json"):
                sample.add(suffix, member.read(MAX_TEXT_BYTES + 1))
    except (CorpusError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise CorpusError(f"{file}: the archive is damaged or truncated ({error})") from error
    if sample is not None:
        yield sample.finish(name, split)


@dataclass(slots=True)
class _Sample:
    """Members of the current post."""

    key: str
    image: bytes | None = None
    text: str | None = None
    record: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None

    def add(self, suffix: str, data: bytes) -> None:
        try:
            if len(data) > MAX_TEXT_BYTES:
                raise CorpusError(f"more than {MAX_TEXT_BYTES} bytes")
            if suffix == "txt":
                self.text = data.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
            else:
                self.record = parse_object(data)
        except (CorpusError, UnicodeDecodeError) as error:
            self.problem = f".{suffix}: {error}"

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


def _split_name(member: str) -> tuple[str, str]:
    """Return (folders and file name up to its first dot, the rest in lower case); an empty key for hidden files."""
    folder, slash, file = member.removeprefix("./").rpartition("/")
    stem, _, suffix = file.partition(".")
    return (folder + slash + stem if stem else ""), suffix.lower()


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
