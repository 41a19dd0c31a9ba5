"""The layout of `webdataset`: one tar a shard, in which `<key>.jpg` and `<key>.json` beside each other are a post."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amia.export.filenames import to_filename
from amia.export.images import ImageExporter
from amia.export.shard import ShardFiles

__all__ = ["WebDatasetLayout"]


@dataclass(frozen=True, slots=True)
class WebDatasetLayout:
    """One arm in this layout."""

    pictures: ImageExporter
    labels: tuple[str, ...]
    """Names that `ner_tags` number."""

    def part(self, shard: str, rows: Sequence[Mapping[str, Any]]) -> ShardFiles:
        """One tar with every post of the shard; one without an image has its JSON alone.

        The JSON has every column but the image, `ner_tags` by name. The same rows give the same bytes.
        """
        part = ShardFiles(posts=len(rows))
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for row in rows:
                key = to_filename(row["id"])
                if key != row["id"]:
                    part.renamed[row["id"]] = key
                if (picture := self.pictures.of(row)) is None:
                    part.without_image.append(key)
                else:
                    _add(tar, f"{key}.jpg", picture)
                _add(tar, f"{key}.json", self._record(row))
        part.files[f"{shard}.tar"] = buffer.getvalue()
        return part

    def _record(self, row: Mapping[str, Any]) -> bytes:
        record = {name: value for name, value in row.items() if name != "image"}
        if row["ner_tags"] is not None:
            record["ner_tags"] = [self.labels[number] for number in row["ner_tags"]]
        return json.dumps(record, ensure_ascii=False).encode()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    # A new TarInfo says: time 0, owner 0, no names of owners, mode 0644. All of that is part of the bytes.
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
