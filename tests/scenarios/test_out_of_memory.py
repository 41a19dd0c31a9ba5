"""A whole job whose models run out of memory: the same posts, theta and pixels within tolerance, and it is recorded."""

import json
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
from ray_jobs.storage.shards import read_metadata
from ray_jobs.storage.store import Store
from tests.helpers.simulated_oom import limit_batch_size

Row = dict[str, Any]


def rows(run: Path, folder: str) -> list[Row]:
    return [row for file in sorted((run / folder).glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode(data, ImageSettings()), np.int16)


@pytest.mark.simulated("device")
@pytest.mark.promise(12)
@pytest.mark.usefixtures("in_this_process", "cluster")
def test_a_job_short_of_memory_comes_to_the_same(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve posts a shard; the encoder holds 5 at once, and the generator 3."""
    load_encoder, load_generator = ClipEncoder.load, Generator.load

    def short_encoder(*args: Any, **more: Any) -> ClipEncoder:
        encoder = load_encoder(*args, **more)
        limit_batch_size(5, encoder._model.text_model)
        limit_batch_size(5, encoder._model.vision_model)
        return encoder

    def short_generator(*args: Any, **more: Any) -> Generator:
        generator = load_generator(*args, **more)
        limit_batch_size(3, generator._pipeline.unet)
        return generator

    monkeypatch.setattr(ClipEncoder, "load", short_encoder)
    monkeypatch.setattr(Generator, "load", short_generator)
    run = copied(augmented, leaving_out=["embeddings", "scores", "mixture", "synthesized", "augmented", "log"])
    done = augment(str(run), small(), accept_mixture=True, quiet=True)

    manifest, calm = (json.loads((each / done.manifests["adaptive"]).read_bytes()) for each in (run, augmented))
    halved = manifest["halved"]
    assert "halved" not in calm
    assert manifest["counts"] == calm["counts"]
    prompts = [len(pq.read_table(file)["prompt"].drop_null()) for file in (run / "synthesized").glob("*.parquet")]
    assert halved["synthesized"] == sum(count for count in prompts if count > 3)
    store = Store(run)
    for folder, count in halved.items():
        shards = [key for key in store.list(folder) if key.endswith(".parquet")]
        assert sum(read_metadata(store, key).extra.get("halved", 0) for key in shards) == count
    assert 96 < halved["embeddings"] <= 2 * 96

    for one, right in zip(rows(run, "synthesized"), rows(augmented, "synthesized"), strict=True):
        assert {name: one[name] for name in one if name != "image"} == {
            name: right[name] for name in right if name != "image"
        }
        # Both went through JPEG, which a gray level may push across a step of its own.
        assert one["image"] is None or np.abs(pixels(one["image"]) - pixels(right["image"])).max() <= 4
    for one, right in zip(rows(run, "augmented/adaptive"), rows(augmented, "augmented/adaptive"), strict=True):
        assert one["id"] == right["id"]
        assert abs(one["theta"] - right["theta"]) < 1e-3


@pytest.mark.simulated("device")
@pytest.mark.promise(16)
@pytest.mark.usefixtures("in_this_process", "cluster")
def test_when_every_synthesis_fails_nothing_is_lost_and_the_command_says_so(
    augmented: Path,
    copied: Callable[..., Path],
    amia: Callable[..., tuple[int, str, str]],
    small_words: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = Generator.load

    def full(*args: Any, **more: Any) -> Generator:
        generator = load(*args, **more)
        limit_batch_size(0, generator._pipeline.unet)
        return generator

    monkeypatch.setattr(Generator, "load", full)
    run = copied(augmented, leaving_out=["synthesized", "augmented"])
    code, said, complained = amia(
        "augment", "--run", run, "--config", "demo", "--accept-mixture", "--json", *small_words
    )
    assert code == 9
    assert complained.startswith("error: 96 of 96 posts failed, more than max_failed=0.05 allows.")
    assert sum(json.loads(said)["counts"]["adaptive"].values()) == 96
    found = rows(run, "augmented/adaptive")
    assert {row["synthesis_status"] for row in found} == {"failed(out_of_memory)"}
    for row, before in zip(found, rows(augmented, "augmented/adaptive"), strict=True):
        assert (row["id"], row["theta"]) == (before["id"], before["theta"])
        assert row["ratio"] == (1.0 if row["image_status"] == "ok" else None)
