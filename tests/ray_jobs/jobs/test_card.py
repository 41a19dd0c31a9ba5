"""The data set card beside an arm: true of the files, the same every time, and read by the hub's own library."""

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

Row = dict[str, Any]


@pytest.fixture(scope="module")
def arm(augmented: Path) -> Path:
    return augmented / "augmented" / "adaptive"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Path], Any]:
    """`datasets.load_dataset(folder)`, as a person opens a folder or a repository of the hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    return lambda folder: datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


def rows(folder: Path) -> list[Row]:
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def text_of(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def tables(text: str) -> list[list[list[str]]]:
    """Every Markdown table by its cells, the rule left out."""
    found = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    cells = [[[cell.strip() for cell in line[1:-1].split("|")] for line in each.splitlines()] for each in found]
    return [[head, *body] for head, _, *body in cells]


def test_datasets_reads_splits_and_features_from_the_card(
    arm: Path, load: Callable[[Path], Any], tmp_path: Path
) -> None:
    import datasets

    opened = load(arm)
    assert {split: posts.num_rows for split, posts in opened.items()} == {"train": 68, "validation": 14, "test": 14}
    plain = datasets.Dataset.from_parquet(str(arm / "train-00000-of-00006.parquet"), cache_dir=str(tmp_path / "plain"))
    assert opened["train"].features == plain.features
    assert isinstance(opened["train"][0]["image"], Image.Image)
    assert opened["train"].features["ner_tags"].feature.names[:3] == ["O", "B-PER", "I-PER"]
    card = DatasetCard.load(arm / "README.md")
    assert card.data.task_categories == ["token-classification"]
    assert card.data.size_categories == ["n<1K"]
    assert card.data.license == "other"
    written = datasets.Features._from_yaml_list(card.data.dataset_info["features"])
    assert written == plain.features


def test_odd_splits_are_found_by_name(
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
    opened = load(folder)
    assert {split: posts.num_rows for split, posts in opened.items()} == counts
    assert all({post["split"] for post in posts} == {split} for split, posts in opened.items())
    assert opened["2017"].features["ner_tags"].feature.names[-2:] == ["B-<b>|x`y", "I-<b>|x`y"]
    text = text_of(folder)
    assert "theta is 0 everywhere" in text
    assert "No model had a part in it" in text
    assert "Synthetic images" not in text
    assert DatasetCard(text).data.license == "unknown"


def test_figures_are_those_of_the_files(arm: Path) -> None:
    theta, statuses, _ = tables(text_of(arm))
    found = rows(arm)
    assert theta[0] == ["theta", "train", "validation", "test"]
    for place, split in enumerate(theta[0][1:], 1):
        own = [row["theta"] for row in found if row["split"] == split and row["image_status"] == "ok"]
        bars = Counter(next(bar for bar in range(9, -1, -1) if value >= bar / 10) for value in own)
        assert [int(line[place]) for line in theta[1:11]] == [bars[bar] for bar in range(10)]
        assert theta[11][place] == f"{100 * sum(value > 0.5 for value in own) / len(own):.1f}%"
    counted = Counter((f"`{row['image_status']}`", f"`{row['synthesis_status']}`") for row in found)
    assert {(own, drawn): int(count) for own, drawn, count in statuses[1:]} == counted
    blended = sum(0 < row["ratio"] < 1 for row in found)
    assert f"drawn from the text 9, blended {blended}" in text_of(arm)


def test_every_column_is_explained(arm: Path) -> None:
    *_, columns = tables(text_of(arm))
    explained = [name for line in columns[1:] for name in re.findall(r"`(\w+)`", line[0])]
    assert sorted(explained) == sorted(pq.read_schema(next(arm.glob("*.parquet"))).names)


def test_models_licenses_marks_and_likenesses_are_told(arm: Path, augmented: Path) -> None:
    text = text_of(arm)
    manifest = json.loads((arm / "manifest.json").read_text(encoding="utf-8"))
    assert "**Made with demo weights**" in text
    assert f"- Generator: `demo:generator`, weights `{manifest['generator']}`. Apache 2.0" in text
    clip = json.loads((augmented / "embeddings" / "identity.json").read_text())["settings"]["clip"]["weights"]
    assert f"- Encoder: `demo:clip`, weights `{clip}`" in text
    for said in ("IPTC", "real people", "load_dataset", "Adaptive Mixup Image Augmentation", "margin: 0.1"):
        assert said in text
    own = text_of(augmented / "augmented" / "original")
    assert "Generator" not in own
    assert "IPTC" not in own
    assert "Encoder" in own, "theta stands beside the posts' own images, too"


def test_no_machine_and_no_time_is_named(arm: Path) -> None:
    text = text_of(arm)
    for told in (os.uname().nodename, str(Path.home()), str(arm.parents[2])):
        assert not re.search(rf"(?<![\w]){re.escape(told)}(?![\w])", text)
    assert not re.search(r"\d\d:\d\d:\d\d|20\d\d-\d\d-\d\d", text)


def test_the_card_is_written_before_the_manifest_and_never_again(
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

    def recorded(store: Store, key: str, data: bytes) -> bool:
        written.append(key)
        return create(store, key, data)

    leases = [f"pools.{stage}.lease=3" for stage in ("embed", "score", "synthesize", "mix")]
    job = open_context(str(run), small(*leases), quiet=True)
    monkeypatch.setattr(Store, "create", recorded)
    for _ in range(2):
        publish_manifest(job, "adaptive", manifest["identity"], manifest["generator"])
    assert written == [f"augmented/adaptive/{name}" for name in ("README.md", "manifest.json", "manifest.json")]
    assert {name: (folder / name).read_bytes() for name in before} == before
