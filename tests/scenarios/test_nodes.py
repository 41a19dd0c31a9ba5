"""Nodes that come and go in the middle of a job: it ends with the bytes of a local run."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from ray_jobs.jobs.train import train
from ray_jobs.settings.job import Settings
from tests.helpers.drivers import PATIENCE_S, finish, same, shards, start
from tests.helpers.encoders import save_tiny_encoders
from tests.helpers.nodes import Nodes, standing_cluster

pytestmark = pytest.mark.slow


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """Three of them: a head without room, and two with a core each."""
    with standing_cluster(1, 1) as some:
        yield some


def wait(process: psutil.Popen, happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert process.poll() is None, f"ended too early: {finish(process)}"
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.promise(6)
def test_augment_with_a_node_added_and_a_node_removed_in_the_middle(
    nodes: Nodes, augmented: Path, copied: Callable[..., Path], small_words: Sequence[str]
) -> None:
    run = copied(augmented, leaving_out=["embeddings", "scores", "mixture", "synthesized", "augmented", "log"])
    words = ("augment", "--run", str(run), "--config", "demo", "--accept-mixture", *small_words)
    pools = ("pools.synthesize.max=2", "pools.synthesize.lease=1", "pools.mix.max=2", "pools.mix.lease=1")
    cpus = tuple(f"pools.{stage}.cpus=0.5" for stage in ("embed", "score", "synthesize", "mix"))
    driver = start(*words, "--arm", "adaptive", "--arm", "original", *pools, *cpus, **nodes.env())
    wait(driver, lambda: len(shards(run, "embeddings")) >= 2)
    nodes.add(1)
    wait(driver, lambda: len(shards(run, "synthesized")) >= 2)
    assert len(shards(run, "augmented/adaptive")) < 10
    nodes.kill_raylet(nodes.place_of("MapWorker"))
    code, said, complained = finish(driver)
    assert (code, complained) == (0, ""), said
    assert "96 posts in, 96 out" in said
    same(run, augmented)


@pytest.mark.promise(15)
def test_a_training_whose_node_is_taken_away_goes_on_after_its_last_epoch_elsewhere(
    nodes: Nodes,
    augmented: Path,
    copied: Callable[..., Path],
    small: Callable[..., Settings],
    small_words: Sequence[str],
    tmp_path: Path,
) -> None:
    save_tiny_encoders(tmp_path / "encoders")
    run = copied(augmented)
    words = (
        *("training.epochs=30", "training.patience=30", "training.batch=8", "training.threads=1"),
        *("workers.gpus=0", "workers.cpus=1", f"recognizer.text.model={tmp_path / 'encoders' / 'text'}"),
    )
    about = ("--model", "bert-crf", "--arm", "original", "--name", "moved")
    driver = start("train", "--run", str(run), "--config", "demo", *about, *small_words, *words, **nodes.env())
    checkpoints = run / "models" / "moved" / "checkpoints"
    wait(driver, lambda: bool(list(checkpoints.glob("epoch-*/state.json"))))
    before = nodes.place_of("RayTrainWorker")
    nodes.kill_raylet(before)
    assert not (run / "models" / "moved" / "training.json").exists(), "too late to show anything"
    code, said, complained = finish(driver)
    assert (code, complained) == (0, ""), said
    assert "best of 30 epochs" in said
    train(str(run), small(*words), system="bert-crf", arm="original", name="calm", quiet=True)
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (run / "models" / "moved" / name).read_bytes() == (run / "models" / "calm" / name).read_bytes()
