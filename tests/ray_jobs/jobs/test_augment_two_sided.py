"""Arm `two-sided` in a run: synthesized images are scored against their texts, and the scores decide the blend."""

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
from PIL import Image

from amia.errors import IdentityError
from amia.images import ImageSettings, decode, encode_jpeg, resize_to_square
from amia.matching.clip import ClipEncoder
from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.execution_plan import plan_augment
from ray_jobs.jobs.status import status
from ray_jobs.settings.job import Settings
from ray_jobs.stages.score_synthesized import ScoreSynthesized
from ray_jobs.storage.shards import encode, read_metadata
from ray_jobs.storage.store import Store
from tests.helpers.drivers import file_stamps, read_files

pytestmark = pytest.mark.usefixtures("local_stages")

Row = dict[str, Any]
ARMS = ("two-sided",)
FOLDER = "synthesized_scores"


def read_rows(run: Path, folder: str) -> list[Row]:
    return [row for file in sorted((run / folder).glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def read_vector(data: bytes) -> list[float]:
    values = np.frombuffer(data, "<f2").astype(float).tolist()
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]


def expected_hinge(positive: float, similarities: list[float], margin: float, draws: int) -> float:
    """Return the mean hinge of the hardest of `draws` negatives, by the probability that each one is the hardest."""
    hardest_first, total, count = sorted(similarities, reverse=True), 0.0, len(similarities)
    draws = min(draws, count)
    for rank, similarity in enumerate(hardest_first, 1):
        weight = math.comb(count - rank, draws - 1) / math.comb(count, draws)
        total += weight * max(0.0, margin - positive + similarity)
    return total


def posterior(loss: float, mixture: dict[str, Any]) -> float:
    x = min(1.0, max(0.0, (loss - mixture["low"]) / (mixture["high"] - mixture["low"])))
    densities = [
        weight * math.exp(-((x - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
        for weight, mean, variance in zip(mixture["weights"], mixture["means"], mixture["variances"], strict=True)
    ]
    return densities[0] / sum(densities)


@pytest.fixture
def exchanged(
    controls: Path, in_this_process: None, copied: Callable[..., Path], small: Callable[..., Settings]
) -> Path:
    """The run with arm two-sided, as if the generator had failed: half of the synthesized images are of other posts."""
    run = copied(controls, leaving_out=[FOLDER, "augmented"])
    for file in sorted((run / "synthesized").glob("*.parquet"))[::2]:
        table, metadata = pq.read_table(file), read_metadata(Store(run), f"synthesized/{file.name}")
        images = table["image"].to_pylist()
        column = table.column_names.index("image")
        table = table.set_column(column, "image", pa.array([*images[1:], images[0]], pa.binary()))
        data, _ = encode(table, stage="synthesized", identity=metadata.identity, counts=metadata.counts)
        file.write_bytes(data)
    augment(str(run), small(), arms=ARMS, accept_mixture=True, quiet=True)
    return run


def thetas_by_a_plain_loop(run: Path) -> dict[str, float]:
    """Return theta_V of each post with a synthesized image, from the published vectors, bank and mixture alone."""
    frozen = json.loads((run / "mixture" / "mixture.json").read_text())
    mixture, triplet = frozen["fits"]["train"]["mixture"], frozen["triplet"]
    tensors = safetensors.numpy.load((run / "mixture" / "bank.safetensors").read_bytes())
    bank = [
        (post_id, bytes(text_key), read_vector(text.tobytes()), read_vector(image.tobytes()))
        for post_id, text_key, text, image in zip(
            json.loads(tensors["ids"].tobytes()), tensors["text_keys"], tensors["texts"], tensors["images"], strict=True
        )
    ]
    thetas = {}
    for post, image_row in zip(read_rows(run, "embeddings"), read_rows(run, FOLDER), strict=True):
        assert post["id"] == image_row["id"]
        if image_row["image_vector"] is None:
            continue
        text, image = read_vector(post["text_vector"]), read_vector(image_row["image_vector"])
        positive = math.fsum(a * b for a, b in zip(text, image, strict=True))
        to_texts, to_images = [], []
        for post_id, text_key, bank_text, bank_image in bank:
            if post_id != post["id"] and text_key != post["text_key"]:
                to_texts.append(math.fsum(a * b for a, b in zip(image, bank_text, strict=True)))
                to_images.append(math.fsum(a * b for a, b in zip(text, bank_image, strict=True)))
        loss = sum(
            expected_hinge(positive, similarities, triplet["margin"], triplet["hardest_of"])
            for similarities in (to_texts, to_images)
        )
        assert image_row["loss"] == pytest.approx(loss, abs=1e-5)
        assert image_row["cosine"] == pytest.approx(positive, abs=1e-5)
        thetas[post["id"]] = posterior(loss, mixture)
    return thetas


def test_theta_v_equals_a_plain_loop_over_the_published_files(exchanged: Path) -> None:
    rows = read_rows(exchanged, "augmented/two-sided")
    stored = {row["id"]: row["theta_synthesized"] for row in rows if row["theta_synthesized"] is not None}
    assert stored == pytest.approx(thetas_by_a_plain_loop(exchanged), abs=1e-4)
    assert {row["id"] for row in rows if row["synthesis_status"] == "ok"} == stored.keys()
    assert {row["image_status"] for row in rows if row["id"] in stored} > {"ok", "no_image"}
    matched = np.array(list(stored.values())) > 0.5
    assert 0.2 < matched.mean() < 0.8


def test_vectors_are_those_of_the_images_that_are_mixed(controls: Path, small: Callable[..., Settings]) -> None:
    encoder = ClipEncoder.load(small().clip)
    synthesized = read_rows(controls, "synthesized")[:12]
    pixels = [Image.open(io.BytesIO(row["image"])).convert("RGB") for row in synthesized]
    vectors = np.stack([np.frombuffer(row["image_vector"], "<f2") for row in read_rows(controls, FOLDER)[:12]])
    np.testing.assert_allclose(vectors.astype(float), encoder.encode_images(pixels), atol=2e-3)


def test_images_are_blended_by_the_ratio_of_both_scores(exchanged: Path) -> None:
    settings, posts = ImageSettings(size=64), {row["id"]: row for row in read_rows(exchanged, "posts")}
    synthesized = {row["id"]: row["image"] for row in read_rows(exchanged, "synthesized")}
    num_blends = num_kept = 0
    for row in read_rows(exchanged, "augmented/two-sided"):
        if row["image_status"] != "ok":
            assert row["ratio"] == 0
            assert row["image"]["bytes"] == synthesized[row["id"]]
            continue
        theta, theta_v = row["theta"], row["theta_synthesized"]
        expected = 1.0 if max(theta, theta_v) < 0.01 else theta / (theta + (1 - theta) * theta_v)
        assert row["ratio"] == pytest.approx(expected, abs=1e-6)
        num_kept += row["ratio"] > theta + 0.3
        if 0.01 < row["ratio"] < 0.99:
            photograph = decode(posts[row["id"]]["image"]["bytes"], settings, at_least=128)
            original = resize_to_square(photograph, settings).astype(np.float32)
            other = np.asarray(decode(synthesized[row["id"]], settings), np.float32)
            blend = np.rint(other + np.float32(row["ratio"]) * (original - other)).astype(np.uint8)
            assert encode_jpeg(blend, settings.quality, source="blend") == row["image"]["bytes"]
            num_blends += 1
    assert num_blends > 3
    assert num_kept > 3, "own images of low theta that stay, since the synthesized ones match no better"


def test_other_arms_have_no_theta_v_and_other_columns_are_equal(controls: Path) -> None:
    adaptive, two_sided = (read_rows(controls, f"augmented/{arm}") for arm in ("adaptive", "two-sided"))
    assert "theta_synthesized" not in adaptive[0]
    differing = {"image", "ratio", "theta_synthesized"}
    for before, after in zip(adaptive, two_sided, strict=True):
        assert {name: after[name] for name in after.keys() - differing} == {
            name: before[name] for name in before.keys() - differing
        }


def test_arms_of_the_run_stay_as_they_were(augmented: Path, controls: Path) -> None:
    for folder in ("embeddings", "scores", "mixture", "synthesized", "augmented/adaptive", "augmented/original"):
        assert read_files(controls, folder) == read_files(augmented, folder)
    assert not (augmented / FOLDER).exists(), "runs without the arm do no extra work"


def test_status_and_footers_count_the_scored_posts(controls: Path) -> None:
    stage = status(str(controls))["stages"][FOLDER]
    assert (stage["posts"], stage["left"], stage["shards"]) == (96, 0, 10)
    keys = [key for key in Store(controls).list(FOLDER) if key.endswith(".parquet")]
    scored = sum(read_metadata(Store(controls), key).extra["scored"] for key in keys)
    assert scored == sum(row["image_vector"] is not None for row in read_rows(controls, FOLDER)) > 90


def test_plan_has_an_execution_for_scoring_synthesized_images(augmented: Path, small: Callable[..., Settings]) -> None:
    planned = plan_augment(str(augmented), small(), [*ARMS, "adaptive"], accept_mixture=True)
    assert [(stage.execution, stage.stage, stage.shards) for stage in planned][-4:] == [
        (3, "synthesized", 0),
        (4, FOLDER, 10),
        (4, "augmented/two-sided", 10),
        (4, "augmented/adaptive", 0),
    ]


@pytest.mark.usefixtures("in_this_process")
def test_resumes_with_the_missing_shards(
    controls: Path, copied: Callable[..., Path], small: Callable[..., Settings]
) -> None:
    run, missing = copied(controls), "train-00001-of-00006.parquet"
    expected = {folder: read_files(run, folder) for folder in (FOLDER, "augmented/two-sided")}
    for folder in expected:
        (run / folder / missing).unlink()
    (run / "augmented" / "two-sided" / "manifest.json").unlink()
    before = file_stamps(run)
    augment(str(run), small(), arms=ARMS, accept_mixture=True, quiet=True)
    assert {folder: read_files(run, folder) for folder in expected} == expected
    assert {key: stamp for key, stamp in file_stamps(run).items() if key in before} == before


def test_scores_of_another_generator_are_refused(
    controls: Path, copied: Callable[..., Path], small: Callable[..., Settings]
) -> None:
    run = copied(controls, leaving_out=["synthesized", "augmented"])
    before, difference = read_files(run, FOLDER), "other settings or input:\n  input.synthesized: "
    with pytest.raises(IdentityError, match=rf"^{FOLDER}/ in .* {difference}") as error:
        augment(str(run), small("generator.steps=2"), arms=ARMS, accept_mixture=True, quiet=True)
    assert str(error.value).count(" in the run, ") == 1
    assert read_files(run, FOLDER) == before
    assert not list((run / "synthesized").glob("*.parquet")), "refused before anything is synthesized"


def test_another_version_is_refused(
    controls: Path, small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScoreSynthesized, "version", ScoreSynthesized.version + 1)
    with pytest.raises(IdentityError, match=rf"^{FOLDER}/.*\n  version: {ScoreSynthesized.version - 1} in the run, "):
        augment(str(controls), small(), arms=ARMS, accept_mixture=True, quiet=True)
    augment(str(controls), small(), arms=("adaptive",), accept_mixture=True, quiet=True)  # does not depend on it
