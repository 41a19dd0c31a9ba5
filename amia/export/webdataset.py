"""The layout of `webdataset`: one tar file per shard, in which consecutive `<key>.jpg` and `<key>.json` are a post."""

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
    """Converts shards of one arm to this layout."""

    images: ImageExporter
    labels: tuple[str, ...]
    """Label names, indexed by `ner_tags`."""

    def convert(self, shard: str, rows: Sequence[Mapping[str, Any]]) -> ShardFiles:
        """Return one tar file with every post of the shard. A post without an image has only its JSON.

        The JSON has every column but the image, with `ner_tags` by name. Equal rows give equal bytes.
        """
        result = ShardFiles(posts=len(rows))
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for row in rows:
                key = to_filename(row["id"])
                if key != row["id"]:
                    result.renamed[row["id"]] = key
                if (image := self.images.convert(row)) is None:
                    result.without_image.append(key)
                else:
                    _add_file(tar, f"{key}.jpg", image)
                _add_file(tar, f"{key}.json", self._record(row))
        result.files[f"{shard}.tar"] = buffer.getvalue()
        return result

    def _record(self, row: Mapping[str, Any]) -> bytes:
        record = {name: value for name, value in row.items() if name != "image"}
        if row["ner_tags"] is not None:
            record["ner_tags"] = [self.labels[number] for number in row["ner_tags"]]
        return json.dumps(record, ensure_ascii=False).encode()


def _add_file(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    # The defaults of TarInfo keep the bytes independent of the machine: time 0, owner 0, no owner names, mode 0644.
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
