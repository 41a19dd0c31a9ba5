"""The WebDataset layout: tar files that `webdataset` decodes, equal for equal rows."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset

from amia.export.images import ImageExporter
from amia.export.webdataset import WebDatasetLayout
from amia.images import ImageSettings, encode_jpeg
from amia.mner.spans import TYPES, label_names

JPEG = encode_jpeg(np.full((64, 64, 3), 77, np.uint8), 95, source="original")
LAYOUT = WebDatasetLayout(ImageExporter(stored=ImageSettings(size=64), size=64), tuple(label_names(TYPES)))
IDS = ["plain_1", "a.b", "a.c", "dir/x", "../../etc/passwd", "ü ber", "y" * 300, "z\0", "17_06_4705", "Plain_1"]


def row(post_id: str, **changes: Any) -> dict[str, Any]:
    image = {"bytes": JPEG, "path": f"{post_id}.jpg"}
    return {
        "id": post_id,
        "text": "Ada <3 é",
        "tokens": ["Ada"],
        "tags": ["B-OTHER"],
        "ner_tags": [7],
        "image": image,
    } | changes


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset does not close its files
def test_webdataset_reads_posts_with_any_id(tmp_path: Path) -> None:
    result = LAYOUT.convert("train-00000-of-00001", [row(post_id) for post_id in IDS])
    [(name, data)] = result.files.items()
    assert name == "train-00000-of-00001.tar"
    (tmp_path / name).write_bytes(data)
    posts = list(webdataset.WebDataset([str(tmp_path / name)], shardshuffle=False).decode("pil"))
    assert [post["json"]["id"] for post in posts] == IDS
    assert [post["__key__"] for post in posts] == [result.renamed.get(post_id, post_id) for post_id in IDS]
    assert result.renamed.keys() == set(IDS) - {"plain_1", "17_06_4705", "Plain_1"}
    for post in posts:
        assert post["jpg"].size == (64, 64)
        assert post["json"]["ner_tags"] == ["B-MISC"]
        assert (post["json"]["tags"], post["json"]["text"]) == (["B-OTHER"], "Ada <3 é")
        assert "image" not in post["json"]


def test_bytes_are_reproducible() -> None:
    rows = [row("a"), row("b", image=None, tags=None, ner_tags=None, tokens=None)]
    result = LAYOUT.convert("x", rows)
    assert result.files == LAYOUT.convert("x", rows).files
    assert result.without_image == ["b"]
    with tarfile.open(fileobj=io.BytesIO(result.files["x.tar"])) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == ["a.jpg", "a.json", "b.json"]
        for member in members:
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
            assert (member.mode, member.isreg()) == (0o644, True)
