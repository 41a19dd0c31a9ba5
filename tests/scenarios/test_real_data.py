"""Real tweets from the folder that the environment variable AMIA_SHARED_DATA names; skipped without it.

The folder holds `tweets` (15 posts with their images) and `twitter2017` (4,819 posts without).
"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.ingest import ingest
from ray_jobs.settings.job import Settings

DATA = os.environ.get("AMIA_SHARED_DATA")
pytestmark = pytest.mark.skipif(DATA is None, reason="AMIA_SHARED_DATA is not set")
NAMES = {"train": "train", "valid": "validation", "test": "test"}

Tweet = tuple[str, str, list[str], list[str]]


def read_tweets(folder: Path) -> list[Tweet]:
    """Read (id, split, tokens, tags) of every post with a minimal parser."""
    tweets: list[Tweet] = []
    for name, split in NAMES.items():
        for block in (folder / f"{name}.txt").read_text(encoding="utf-8").strip("\n").split("\n\n"):
            head, *lines = block.split("\n")
            pairs = [line.split("\t") for line in lines]
            tweets.append(
                (head.removeprefix("IMGID:"), split, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
            )
    return sorted(tweets)


def read_augmented(run: Path) -> list[dict[str, Any]]:
    files = sorted((run / "augmented" / "adaptive").glob("*.parquet"))
    rows = [{**row, "file": file.name} for file in files for row in pq.read_table(file).to_pylist()]
    return sorted(rows, key=lambda row: row["id"])


def test_small_corpus_uses_the_shipped_mixture(
    cluster: None, small: Callable[..., Settings], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, run = Path(DATA or "") / "tweets", tmp_path / "run"
    ingest(str(source), str(run), small(), quiet=True)
    result = augment(str(run), small())
    assert "5 posts with an image are too few to fit a mixture on" in capsys.readouterr().out
    assert result.counts == {"adaptive": Counter({"image=ok|synthesis=ok": 15})}
    rows = read_augmented(run)
    assert [(row["id"], row["split"], row["tokens"], row["tags"]) for row in rows] == read_tweets(source)
    assert all(row["image"]["bytes"] for row in rows)


@pytest.mark.slow
def test_data_set_without_images(cluster: None, small: Callable[..., Settings], tmp_path: Path) -> None:
    source, run = Path(DATA or "") / "twitter2017", tmp_path / "run"
    settings = small("per_shard=512", "pools.synthesize.max=2")
    assert ingest(str(source), str(run), settings, quiet=True).plan.posts == {
        "train": 3373,
        "validation": 723,
        "test": 723,
    }
    result = augment(str(run), settings, quiet=True)
    assert result.counts == {"adaptive": Counter({"image=no_image|synthesis=ok": 4819})}
    rows = read_augmented(run)
    assert [(row["id"], row["split"], row["tokens"], row["tags"]) for row in rows] == read_tweets(source)
    assert {row["file"].partition("-")[0] for row in rows} == {row["split"] for row in rows}
    assert all((row["theta"], row["ratio"]) == (0, 0) and row["image"]["bytes"] for row in rows)
