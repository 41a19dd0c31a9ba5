"""The folder of an arm: files that `datasets` opens unchanged, and a manifest that agrees with them."""

import hashlib
import io
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from amia.mner.spans import label_names
from ray_jobs.storage.shards import content_sha256, read_metadata, read_shard
from ray_jobs.storage.store import Store


@pytest.fixture(scope="module")
def arm(augmented: Path) -> Path:
    return augmented / "augmented" / "adaptive"


def read_rows(folder: Path) -> list[dict[str, Any]]:
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def test_datasets_loads_the_folder(arm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    for arguments in ({"data_dir": str(arm)}, {"data_files": {"train": str(arm / "train-*.parquet")}}):
        dataset = datasets.load_dataset("parquet", cache_dir=str(tmp_path), **arguments)
        first = dataset["train"][0]
        assert isinstance(first["image"], Image.Image)
        assert first["image"].size == (64, 64)
        labels = dataset["train"].features["ner_tags"].feature
        assert labels.names[:3] == ["O", "B-PER", "I-PER"]
        assert [labels.int2str(number) for number in first["ner_tags"]] == [
            tag if tag == "O" or tag[0] in "BI" else None for tag in first["tags"]
        ]
    assert set(datasets.load_dataset(str(arm), cache_dir=str(tmp_path))) == {"train", "validation", "test"}


def test_schema_has_no_extension_types(arm: Path) -> None:
    schema = pq.read_schema(next(arm.glob("train-*.parquet")))
    assert str(schema.field("image").type) == "struct<bytes: binary, path: string>"
    assert not any(str(field.type).startswith("extension") for field in schema)
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert list(features) == schema.names


def test_rows_record_how_the_image_was_made(arm: Path, augmented: Path) -> None:
    rows = read_rows(arm)
    posts = {row["id"]: row for row in read_rows(augmented / "posts")}
    assert len(rows) == len(posts) == 96
    for row in rows:
        post = posts[row["id"]]
        assert (row["tokens"], row["tags"], row["text"]) == (post["tokens"], post["tags"], post["text"])
        assert [label_names(["PER", "LOC", "ORG", "MISC"])[tag] for tag in row["ner_tags"]] == post["ner_tags"]
        if row["image_status"] == "ok":
            assert row["ratio"] == row["theta"]
            assert row["loss"] == pytest.approx(row["loss_i2t"] + row["loss_t2i"], abs=1e-5)
            assert -1 <= row["cosine"] <= 1
        else:
            assert (row["theta"], row["ratio"], row["loss"], row["cosine"]) == (0, 0, None, None)
        assert row["synthesis_status"] == "ok"
        assert row["prompt"]
        assert 0 <= row["seed"] < 2**63
        with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
            assert (image.size, image.mode, image.format) == ((64, 64), "RGB", "JPEG")
    assert {row["image_status"] for row in rows} > {"ok", "no_image"}


def test_original_arm_has_only_the_images_of_posts(augmented: Path) -> None:
    for row in read_rows(augmented / "augmented" / "original"):
        has_image = row["image_status"] == "ok"
        assert (row["ratio"], row["image"] is not None) == ((1.0, True) if has_image else (None, False))
        assert (row["synthesis_status"], row["prompt"], row["seed"]) == ("not_asked", None, None)


def test_manifest_agrees_with_the_files(arm: Path, augmented: Path) -> None:
    manifest = json.loads((arm / "manifest.json").read_text(encoding="utf-8"))
    assert [file["name"] for file in manifest["files"]] == sorted(file.name for file in arm.glob("*.parquet"))
    store, counts = Store(augmented), Counter[str]()
    for file in manifest["files"]:
        key = f"augmented/adaptive/{file['name']}"
        table = read_shard(store, key)
        assert (table.num_rows, content_sha256(table)) == (file["rows"], file["sha256"])
        assert read_metadata(store, key).sha256 == file["sha256"]
        statuses = zip(table["image_status"].to_pylist(), table["synthesis_status"].to_pylist(), strict=True)
        counts.update(f"image={image}|synthesis={synthesis}" for image, synthesis in statuses)
    assert manifest["counts"] == counts
    assert sum(counts.values()) == manifest["rows"] == sum(manifest["splits"].values()) == 96
    assert manifest["versions"].keys() >= {"amia", "torch", "ray", "diffusers", "transformers"}
    assert manifest["settings"]["triplet"]["margin"] == 0.1


def test_manifest_names_the_demo_weights_but_no_machine(arm: Path) -> None:
    text = (arm / "manifest.json").read_text(encoding="utf-8")
    assert "demo:generator" in text
    for name in (os.uname().nodename, str(Path.home()), str(arm.parents[2])):
        assert f'"{name}' not in text
    assert hashlib.sha256(text.encode()).hexdigest()  # the text is valid UTF-8
