"""Control arms in a run: each exchanges one thing, and keeps everything else that an arm has."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from amia.images import ImageSettings, decode, encode_jpeg, resize_to_square
from amia.mixing.arms import CONTROLS
from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.mixture import read_matching_model
from ray_jobs.settings.job import Settings
from ray_jobs.storage.store import Store

Row = dict[str, Any]


@pytest.fixture(scope="module")
def controls(augmented: Path, small: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("controls") / "run"
    shutil.copytree(augmented, run)
    augment(str(run), small(), arms=tuple(CONTROLS), accept_mixture=True, quiet=True)
    return run


def rows(run: Path, folder: str) -> dict[str, list[Row]]:
    """By shard, so that what is exchanged within one can be looked for there."""
    return {file.stem: pq.read_table(file).to_pylist() for file in sorted((run / folder).glob("*.parquet"))}


def flat(run: Path, folder: str) -> list[Row]:
    return [row for some in rows(run, folder).values() for row in some]


def test_everything_but_the_picture_is_the_arm_s_whose_rule_it_follows(controls: Path) -> None:
    for arm in ("random", "noise", "constant", "shuffled", "adaptive-expected"):
        standing = [{**row, "image": None, "ratio": None} for row in flat(controls, f"augmented/{CONTROLS[arm]}")]
        assert [{**row, "image": None, "ratio": None} for row in flat(controls, f"augmented/{arm}")] == standing


def test_random_shows_another_post_of_the_shard(controls: Path) -> None:
    own = rows(controls, "augmented/original")
    for shard, some in rows(controls, "augmented/random").items():
        mine = {row["id"]: row["image"] and row["image"]["bytes"] for row in own[shard]}
        shown = {row["id"]: row["image"] and row["image"]["bytes"] for row in some}
        assert sorted(filter(None, shown.values())) == sorted(filter(None, mine.values()))
        assert all(shown[name] != mine[name] for name in mine if mine[name] is not None)


def test_noise_shows_nothing_and_never_the_same(controls: Path) -> None:
    pictures = [row["image"]["bytes"] for row in flat(controls, "augmented/noise") if row["image"]]
    assert len(set(pictures)) == len(pictures) > 80
    pixels = np.asarray(Image.open(io.BytesIO(pictures[0])), np.float64)
    assert abs(pixels.mean() - 127.5) < 5
    assert pixels.std() > 30


def test_shuffled_exchanges_theta_within_the_shard(controls: Path) -> None:
    for some in rows(controls, "augmented/shuffled").values():
        seen = [row for row in some if row["image_status"] == "ok"]
        assert sorted(row["ratio"] for row in seen) == sorted(row["theta"] for row in seen)
        assert [row["ratio"] for row in seen] != [row["theta"] for row in seen]
        assert {row["ratio"] for row in some if row["image_status"] != "ok"} <= {0.0}


def test_constant_is_the_mean_of_theta_over_the_training_posts(controls: Path) -> None:
    constant = flat(controls, "augmented/constant")
    assert len({row["ratio"] for row in constant if row["image_status"] == "ok"}) == 1
    training = [row for row in constant if row["split"] == "train" and row["image_status"] == "ok"]
    assert training[0]["ratio"] == pytest.approx(np.mean([row["theta"] for row in training]), abs=1e-3)
    one, drawn = next(
        (row, other)
        for row, other in zip(constant, flat(controls, "synthesized"), strict=True)
        if row["image_status"] == "ok"
    )
    posts = {row["id"]: row for row in flat(controls, "posts")}
    images = ImageSettings(size=64)
    original = resize_to_square(decode(posts[one["id"]]["image"]["bytes"], images, at_least=128), images).astype(
        np.float64
    )
    painted = np.asarray(decode(drawn["image"], images), np.float64)
    blend = np.rint(painted + one["ratio"] * (original - painted)).astype(np.uint8)
    assert encode_jpeg(blend, images.quality, source="blend") == one["image"]["bytes"]


def test_the_other_negatives_have_scores_and_a_mixture_of_their_own(controls: Path, augmented: Path) -> None:
    store = Store(controls)
    other = read_matching_model(store, "mixture-batch")
    assert other is not None
    assert other.triplet.negatives == "batch"
    batch = [row for row in flat(controls, "augmented/adaptive-batch") if row["image_status"] == "ok"]
    expected = [row for row in flat(controls, "augmented/adaptive") if row["image_status"] == "ok"]
    assert [row["id"] for row in batch] == [row["id"] for row in expected]
    losses = np.array([[a["loss"], b["loss"]] for a, b in zip(batch, expected, strict=True)])
    assert np.abs(losses[:, 0] - losses[:, 1]).max() > 0.01
    assert np.corrcoef(losses.T)[0, 1] > 0.9
    for row in batch[:20]:
        assert row["theta"] == pytest.approx(float(other.theta(np.array([row["loss"]]), row["split"])[0]), abs=1e-6)
        assert row["ratio"] == row["theta"]
    assert not (controls / "scores-expected").exists(), "expected is the run's own measure"
    assert (controls / "mixture" / "mixture.json").read_bytes() == (augmented / "mixture/mixture.json").read_bytes()
