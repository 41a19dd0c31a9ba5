"""`ingest` of CoNLL folders, also after its output was removed; and the example tweets through all stages."""

import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from amia.errors import IdentityError
from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.ingest import ingest
from ray_jobs.settings.job import Settings
from tests.helpers.drivers import assert_equal_files
from tests.helpers.paths import TWEETS

pytestmark = pytest.mark.usefixtures("local_stages")

SPLITS = {"train": "train", "valid": "validation", "test": "test"}
UNUSUAL_TOKENS = ["a\u00a0b", "\ufe0f", "x\u2028y", "\u200b", " ", "née", "😀"]

Row = dict[str, Any]


def read_rows(folder: Path) -> list[Row]:
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def parse_conll(folder: Path) -> list[tuple[str, list[str], list[str]]]:
    """Return split, tokens and first tag column of every post of a CoNLL folder, by a minimal parser."""
    posts = []
    for name, split in SPLITS.items():
        tokens: list[str] = []
        tags: list[str] = []
        for line in [*(folder / f"{name}.txt").read_bytes().decode("utf-8-sig").split("\n"), ""]:
            cells = line.removesuffix("\r").split("\t")
            if len(cells) > 1:
                tokens.append(cells[0])
                tags.append(cells[1])
            elif cells == [""] and tokens:
                posts.append((split, tokens, tags))
                tokens, tags = [], []
    return posts


@pytest.mark.promise(17, 28)
def test_example_tweets_use_the_shipped_mixture(
    cluster: None, small: Callable[..., Settings], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ingest(str(TWEETS), str(tmp_path / "run"), small(), quiet=True)
    result = augment(str(tmp_path / "run"), small())
    assert "too few to fit a mixture on" in capsys.readouterr().out
    rows = read_rows(tmp_path / "run" / "augmented" / "adaptive")
    counts = Counter(f"image={row['image_status']}|synthesis={row['synthesis_status']}" for row in rows)
    assert result.counts == {"adaptive": counts}
    assert counts.total() == 11
    assert sorted((row["split"], row["tokens"], row["tags"]) for row in rows) == sorted(parse_conll(TWEETS))
    for row in rows:
        assert (row["theta"] > 0) <= (row["image_status"] == "ok")
        assert (row["image"] is not None) == (row["ratio"] is not None)


@pytest.mark.promise(6)
def test_conll_and_jsonl_give_equal_shards(cluster: None, small: Callable[..., Settings], tmp_path: Path) -> None:
    conll, jsonl = tmp_path / "conll", tmp_path / "jsonl"
    (conll / "images").mkdir(parents=True)
    jsonl.mkdir()
    lines = []
    for name, split in SPLITS.items():
        blocks = []
        for number in range(9):
            post_id = f"{name}{number}"
            data = io.BytesIO()
            Image.new("RGB", (8, 8), (number * 20, 0, 0)).save(data, "PNG")
            (conll / "images" / f"{post_id}.png").write_bytes(data.getvalue())
            tokens = [*UNUSUAL_TOKENS, post_id]
            tags = ["O"] * len(UNUSUAL_TOKENS) + ["I-OTHER"]
            pairs = [f"{token}\t{tag}" for token, tag in zip(tokens, tags, strict=True)]
            blocks.append("\n".join([f"IMGID:{post_id}", *pairs]))
            image = str(conll / "images" / f"{post_id}.png")
            lines.append({"id": post_id, "split": split, "tokens": tokens, "tags": tags, "image": Path(image).name})
        (conll / f"{name}.txt").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    (jsonl / "posts.jsonl").write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    ingest(str(conll), str(tmp_path / "a"), small(), quiet=True)
    ingest(str(jsonl), str(tmp_path / "b"), small(), images=str(conll / "images"), quiet=True)
    assert_equal_files(tmp_path / "a", tmp_path / "b", "posts")
    assert {row["image_status"] for row in read_rows(tmp_path / "a" / "posts")} == {"ok"}


@pytest.mark.promise(7)
def test_removed_posts_are_restored_from_the_same_corpus(
    ingested: Path, corpus: Path, copied: Callable[..., Path], small: Callable[..., Settings], tmp_path: Path
) -> None:
    run = copied(ingested)
    shutil.rmtree(run / "posts")
    other = tmp_path / "other"
    shutil.copytree(TWEETS, other)
    with pytest.raises(IdentityError, match="another corpus"):
        ingest(str(other), str(run), small("max_failed=1"), quiet=True)
    ingest(str(corpus), str(run), small("max_failed=1"), quiet=True)
    assert_equal_files(run, ingested, "posts")
    assert not (run / "scratch").exists()
