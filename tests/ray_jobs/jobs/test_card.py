"""The data set card of an arm: agrees with the files, is reproducible, and is readable by `huggingface_hub`."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard
from PIL import Image

from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.context import open_context
from ray_jobs.jobs.ingest import ingest
from ray_jobs.jobs.manifest import publish_manifest
from ray_jobs.settings.job import Settings
from ray_jobs.storage.store import Store

pytestmark = pytest.mark.usefixtures("local_stages")

Row = dict[str, Any]


@pytest.fixture(scope="module")
def arm(augmented: Path) -> Path:
    return augmented / "augmented" / "adaptive"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Path], Any]:
    """Return `datasets.load_dataset` for a folder, without network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    return lambda folder: datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


def read_rows(folder: Path) -> list[Row]:
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def read_card(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def parse_tables(text: str) -> list[list[list[str]]]:
    """Return the cells of every Markdown table, without the delimiter rows."""
    tables = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    cells = [[[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()] for table in tables]
    return [[head, *body] for head, _, *body in cells]


def test_datasets_reads_splits_and_features(arm: Path, load: Callable[[Path], Any], tmp_path: Path) -> None:
    import datasets

    dataset = load(arm)
    assert {split: posts.num_rows for split, posts in dataset.items()} == {"train": 68, "validation": 14, "test": 14}
    from_parquet = datasets.Dataset.from_parquet(
        str(arm / "train-00000-of-00006.parquet"), cache_dir=str(tmp_path / "plain")
    )
    assert dataset["train"].features == from_parquet.features
    assert isinstance(dataset["train"][0]["image"], Image.Image)
    assert dataset["train"].features["ner_tags"].feature.names[:3] == ["O", "B-PER", "I-PER"]
    card = DatasetCard.load(arm / "README.md")
    assert card.data.task_categories == ["token-classification"]
    assert card.data.size_categories == ["n<1K"]
    assert card.data.license == "other"
    assert datasets.Features._from_yaml_list(card.data.dataset_info["features"]) == from_parquet.features


def test_unusual_split_names(
    cluster: None, small: Callable[..., Settings], tmp_path: Path, load: Callable[[Path], Any]
) -> None:
    counts = {"part_a": 7, "part": 4, "train": 6, "2017": 5}
    lines = [
        json.dumps({"id": f"{split}-{number}", "tokens": ["Ada"], "tags": ["B-<b>|x`y"], "split": split})
        for split, count in counts.items()
        for number in range(count)
    ]
    (tmp_path / "posts.jsonl").write_text("\n".join(lines))
    run = tmp_path / "run"
    settings = small("per_shard=3")
    ingest(str(tmp_path / "posts.jsonl"), str(run), settings, quiet=True)
    augment(str(run), settings, arms=["text"], quiet=True)
    folder = run / "augmented" / "text"
    dataset = load(folder)
    assert {split: posts.num_rows for split, posts in dataset.items()} == counts
    assert all({post["split"] for post in posts} == {split} for split, posts in dataset.items())
    assert dataset["2017"].features["ner_tags"].feature.names[-2:] == ["B-<b>|x`y", "I-<b>|x`y"]
    text = read_card(folder)
    assert "theta is 0 for all posts" in text
    assert "No models were used" in text
    assert "Synthetic images" not in text
    assert DatasetCard(text).data.license == "unknown"


def test_numbers_agree_with_the_files(arm: Path) -> None:
    theta, statuses, _ = parse_tables(read_card(arm))
    rows = read_rows(arm)
    assert theta[0] == ["theta", "train", "validation", "test"]
    for column, split in enumerate(theta[0][1:], 1):
        values = [row["theta"] for row in rows if row["split"] == split and row["image_status"] == "ok"]
        counts = Counter(next(index for index in range(9, -1, -1) if value >= index / 10) for value in values)
        assert [int(line[column]) for line in theta[1:11]] == [counts[index] for index in range(10)]
        assert theta[11][column] == f"{100 * sum(value > 0.5 for value in values) / len(values):.1f}%"
    pairs = Counter((f"`{row['image_status']}`", f"`{row['synthesis_status']}`") for row in rows)
    assert {(image, synthesis): int(count) for image, synthesis, count in statuses[1:]} == pairs
    mixed = sum(0 < row["ratio"] < 1 for row in rows)
    assert f"synthesized 9, mixed {mixed}" in read_card(arm)


def test_theta_v_of_an_arm_that_uses_it_agrees_with_the_files(controls: Path) -> None:
    arm = controls / "augmented" / "two-sided"
    _, theta_v, *_ = parse_tables(read_card(arm))
    rows = read_rows(arm)
    assert theta_v[0] == ["theta_V", "train", "validation", "test"]
    for column, split in enumerate(theta_v[0][1:], 1):
        stored = [row["theta_synthesized"] for row in rows if row["split"] == split]
        values = [value for value in stored if value is not None]
        counts = Counter(min(9, int(value * 10)) for value in values)
        assert [int(line[column]) for line in theta_v[1:11]] == [counts[index] for index in range(10)]
        assert theta_v[11][column] == f"{100 * sum(value > 0.5 for value in values) / len(values):.1f}%"


@pytest.mark.parametrize("name", ["adaptive", "two-sided"])
def test_explains_every_column(controls: Path, name: str) -> None:
    arm = controls / "augmented" / name
    *_, columns = parse_tables(read_card(arm))
    explained = [name for line in columns[1:] for name in re.findall(r"`(\w+)`", line[0])]
    schema = pq.read_schema(next(arm.glob("*.parquet")))
    assert sorted(explained) == sorted(schema.names)
    assert [feature["name"] for feature in DatasetCard.load(arm / "README.md").data.dataset_info["features"]] == (
        schema.names
    )


def test_names_models_licenses_and_notices(arm: Path, augmented: Path) -> None:
    text = read_card(arm)
    manifest = json.loads((arm / "manifest.json").read_text(encoding="utf-8"))
    assert "**Made with demo weights**" in text
    assert f"- Generator: `demo:generator`, weights `{manifest['generator']}`. Apache 2.0" in text
    clip = json.loads((augmented / "embeddings" / "identity.json").read_text())["settings"]["clip"]["weights"]
    assert f"- Encoder: `demo:clip`, weights `{clip}`" in text
    for phrase in ("IPTC", "real people", "load_dataset", "Adaptive Mixup Image Augmentation", "margin: 0.1"):
        assert phrase in text
    original = read_card(augmented / "augmented" / "original")
    assert "Generator" not in original
    assert "IPTC" not in original
    assert "Encoder" in original, "the original arm has a column theta, too"


def test_names_neither_machines_nor_times(arm: Path) -> None:
    text = read_card(arm)
    for name in (os.uname().nodename, str(Path.home()), str(arm.parents[2])):
        assert not re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", text)
    assert not re.search(r"\d\d:\d\d:\d\d|20\d\d-\d\d-\d\d", text)


def test_written_once_before_the_manifest(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(augmented)
    folder = run / "augmented" / "adaptive"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    before = {name: (folder / name).read_bytes() for name in ("README.md", "manifest.json")}
    for name in before:
        (folder / name).unlink()
    written: list[str] = []
    create = Store.create

    def create_and_record(store: Store, key: str, data: bytes) -> bool:
        written.append(key)
        return create(store, key, data)

    leases = [f"pools.{stage}.lease=3" for stage in ("embed", "score", "synthesize", "mix")]
    job = open_context(str(run), small(*leases), quiet=True)
    monkeypatch.setattr(Store, "create", create_and_record)
    for _ in range(2):
        publish_manifest(job, "adaptive", manifest["identity"], manifest["generator"])
    assert written == [f"augmented/adaptive/{name}" for name in ("README.md", "manifest.json")]
    assert {name: (folder / name).read_bytes() for name in before} == before
