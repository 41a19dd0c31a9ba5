"""A whole job whose models run out of memory: same posts, theta and pixels within tolerance, and a record of it."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from amia.images import ImageSettings, decode
from amia.matching.clip import ClipEncoder
from amia.synthesis.generator import Generator
from ray_jobs.jobs.augment import augment
from ray_jobs.settings.job import Settings
from tests.helpers.simulated_oom import limit_batch_size

Row = dict[str, Any]


def rows(run: Path, folder: str) -> list[Row]:
    return [row for file in sorted((run / folder).glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def logged_oom_reductions(caplog: pytest.LogCaptureFixture) -> Counter[str]:
    """Sum the inputs that needed a smaller micro-batch by stage, from the log messages of stages in this process."""
    reduced: Counter[str] = Counter()
    for record in caplog.records:
        if record.name == "ray_jobs.runtime.executor":
            stage, _, field, count = record.args  # type: ignore[misc]  # arguments of the log message
            assert field == "oom_reduced"
            reduced[stage] += count
    return reduced


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode(data, ImageSettings()), np.int16)


@pytest.mark.simulated("device")
@pytest.mark.promise(12)
@pytest.mark.usefixtures("in_this_process", "cluster")
def test_same_result_with_little_memory(
    augmented: Path,
    copied: Callable[..., Path],
    small: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A shard has twelve posts; the encoder takes 5 at once and the generator 3."""
    load_encoder, load_generator = ClipEncoder.load, Generator.load

    def load_limited_encoder(*args: Any, **kwargs: Any) -> ClipEncoder:
        encoder = load_encoder(*args, **kwargs)
        limit_batch_size(5, encoder._model.text_model)
        limit_batch_size(5, encoder._model.vision_model)
        return encoder

    def load_limited_generator(*args: Any, **kwargs: Any) -> Generator:
        generator = load_generator(*args, **kwargs)
        limit_batch_size(3, generator._pipeline.unet)
        return generator

    monkeypatch.setattr(ClipEncoder, "load", load_limited_encoder)
    monkeypatch.setattr(Generator, "load", load_limited_generator)
    run = copied(augmented, leaving_out=["embeddings", "scores", "mixture", "synthesized", "augmented", "log"])
    result = augment(str(run), small(), accept_mixture=True, quiet=True)

    manifest, undisturbed_manifest = (
        json.loads((folder / result.manifests["adaptive"]).read_bytes()) for folder in (run, augmented)
    )
    assert manifest["counts"] == undisturbed_manifest["counts"]
    reduced = logged_oom_reductions(caplog)
    assert reduced.keys() == {"embeddings", "synthesized"}
    prompts = [len(pq.read_table(file)["prompt"].drop_null()) for file in (run / "synthesized").glob("*.parquet")]
    assert reduced["synthesized"] == sum(count for count in prompts if count > 3)
    assert 96 < reduced["embeddings"] <= 2 * 96
    lines = [line for file in (augmented / "log").glob("*.jsonl") for line in file.read_text().splitlines()]
    assert lines
    assert not [line for line in lines if "oom_reduced" in line]

    for row, expected in zip(rows(run, "synthesized"), rows(augmented, "synthesized"), strict=True):
        assert {name: row[name] for name in row if name != "image"} == {
            name: expected[name] for name in expected if name != "image"
        }
        # A difference of one gray level before JPEG compression may grow by quantization.
        assert row["image"] is None or np.abs(pixels(row["image"]) - pixels(expected["image"])).max() <= 4
    for row, expected in zip(rows(run, "augmented/adaptive"), rows(augmented, "augmented/adaptive"), strict=True):
        assert row["id"] == expected["id"]
        assert abs(row["theta"] - expected["theta"]) < 1e-3


@pytest.mark.simulated("device")
@pytest.mark.promise(16)
@pytest.mark.usefixtures("in_this_process", "cluster")
def test_no_post_is_lost_if_every_synthesis_fails(
    augmented: Path,
    copied: Callable[..., Path],
    amia: Callable[..., tuple[int, str, str]],
    small_words: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = Generator.load

    def load_failing_generator(*args: Any, **kwargs: Any) -> Generator:
        generator = load(*args, **kwargs)
        limit_batch_size(0, generator._pipeline.unet)
        return generator

    monkeypatch.setattr(Generator, "load", load_failing_generator)
    run = copied(augmented, leaving_out=["synthesized", "augmented"])
    code, stdout, stderr = amia("augment", "--run", run, "--config", "demo", "--accept-mixture", "--json", *small_words)
    assert code == 9
    assert stderr.startswith("error: 96 of 96 posts failed, more than max_failed=0.05 allows.")
    assert sum(json.loads(stdout)["counts"]["adaptive"].values()) == 96
    augmented_rows = rows(run, "augmented/adaptive")
    assert {row["synthesis_status"] for row in augmented_rows} == {"failed(out_of_memory)"}
    for row, expected in zip(augmented_rows, rows(augmented, "augmented/adaptive"), strict=True):
        assert (row["id"], row["theta"]) == (expected["id"], expected["theta"])
        assert row["ratio"] == (1.0 if row["image_status"] == "ok" else None)
