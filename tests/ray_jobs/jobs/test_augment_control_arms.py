"""Control arms in a run: each changes one thing and keeps everything else of the arm that it follows."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from amia.images import ImageSettings, decode, encode_jpeg, resize_to_square
from amia.mixing.arms import CONTROLS, mixing_ratio
from amia.mixing.controls import shuffle_thetas

Row = dict[str, Any]


def read_shards(run: Path, folder: str) -> dict[str, list[Row]]:
    """Return rows by shard: controls exchange images and theta within a shard."""
    return {file.stem: pq.read_table(file).to_pylist() for file in sorted((run / folder).glob("*.parquet"))}


def read_rows(run: Path, folder: str) -> list[Row]:
    return [row for rows in read_shards(run, folder).values() for row in rows]


def test_other_columns_equal_the_followed_arm(controls: Path) -> None:
    assert set(CONTROLS) == {"random", "noise", "constant", "shuffled", "two-sided-shuffled"}
    for arm, followed in CONTROLS.items():
        expected = [{**row, "image": None, "ratio": None} for row in read_rows(controls, f"augmented/{followed}")]
        assert [{**row, "image": None, "ratio": None} for row in read_rows(controls, f"augmented/{arm}")] == expected


def test_random_shows_another_post_of_the_shard(controls: Path) -> None:
    originals = read_shards(controls, "augmented/original")
    for shard, rows in read_shards(controls, "augmented/random").items():
        own = {row["id"]: row["image"] and row["image"]["bytes"] for row in originals[shard]}
        shown = {row["id"]: row["image"] and row["image"]["bytes"] for row in rows}
        images = sorted(filter(None, own.values()))
        # A post whose image is the only one of its shard has no other to show.
        assert sorted(filter(None, shown.values())) == (images if len(images) > 1 else [])
        assert all(shown[name] != own[name] for name in own if own[name] is not None)


def test_noise_images_are_distinct(controls: Path) -> None:
    images = [row["image"]["bytes"] for row in read_rows(controls, "augmented/noise") if row["image"]]
    assert len(set(images)) == len(images) > 80
    pixels = np.asarray(Image.open(io.BytesIO(images[0])), np.float64)
    assert abs(pixels.mean() - 127.5) < 5
    assert pixels.std() > 30


def test_shuffled_exchanges_theta_within_the_shard(controls: Path) -> None:
    for rows in read_shards(controls, "augmented/shuffled").values():
        with_image = [row for row in rows if row["image_status"] == "ok"]
        assert sorted(row["ratio"] for row in with_image) == sorted(row["theta"] for row in with_image)
        # The only image of a shard keeps its theta.
        exchanged = [row["ratio"] for row in with_image] != [row["theta"] for row in with_image]
        assert exchanged == (len(with_image) > 1)
        assert {row["ratio"] for row in rows if row["image_status"] != "ok"} <= {0.0}


def test_two_sided_shuffled_exchanges_theta_v_within_the_shard(controls: Path) -> None:
    own_theta_v = read_shards(controls, "augmented/two-sided")
    num_changed = 0
    for shard, rows in read_shards(controls, "augmented/two-sided-shuffled").items():
        with_both = [row for row in rows if row["image_status"] == "ok" and row["theta_synthesized"] is not None]
        ids, thetas_v = [row["id"] for row in with_both], [row["theta_synthesized"] for row in with_both]
        for row, theta_v in zip(with_both, shuffle_thetas(ids, thetas_v, 0), strict=True):
            expected = mixing_ratio(
                "two-sided",
                theta=row["theta"],
                theta_synthesized=theta_v,
                cosine=None,
                cosine_range=None,
                has_image=True,
                has_synthesis=True,
            )
            assert row["ratio"] == np.float32(expected)
        own_ratios = [row["ratio"] for row in own_theta_v[shard]]
        num_changed += sum(row["ratio"] != ratio for row, ratio in zip(rows, own_ratios, strict=True))
        assert {row["ratio"] for row in rows if row["image_status"] != "ok"} <= {0.0}
    assert num_changed > 20


def test_constant_is_the_mean_theta_of_training_posts(controls: Path) -> None:
    rows = read_rows(controls, "augmented/constant")
    assert len({row["ratio"] for row in rows if row["image_status"] == "ok"}) == 1
    training = [row for row in rows if row["split"] == "train" and row["image_status"] == "ok"]
    assert training[0]["ratio"] == pytest.approx(np.mean([row["theta"] for row in training]), abs=1e-3)
    mixed, synthesized = next(
        pair for pair in zip(rows, read_rows(controls, "synthesized"), strict=True) if pair[0]["image_status"] == "ok"
    )
    posts = {row["id"]: row for row in read_rows(controls, "posts")}
    settings = ImageSettings(size=64)
    decoded = decode(posts[mixed["id"]]["image"]["bytes"], settings, at_least=128)
    original = resize_to_square(decoded, settings).astype(np.float64)
    other = np.asarray(decode(synthesized["image"], settings), np.float64)
    blend = np.rint(other + mixed["ratio"] * (original - other)).astype(np.uint8)
    assert encode_jpeg(blend, settings.quality, source="blend") == mixed["image"]["bytes"]
