"""Nodes are added and removed during a job, which gives the bytes of a local run."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from ray_jobs.jobs.train import train
from ray_jobs.settings.job import Settings
from tests.helpers.drivers import TIMEOUT_S, assert_equal_files, finish, shards, start
from tests.helpers.encoders import save_tiny_encoders
from tests.helpers.nodes import Nodes, running_cluster

pytestmark = pytest.mark.slow


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """A head without resources and two nodes with one core each."""
    with running_cluster(1, 1) as cluster_nodes:
        yield cluster_nodes


def wait_until(process: psutil.Popen, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert process.poll() is None, f"ended too early: {finish(process)}"
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.promise(6)
def test_augment_with_nodes_added_and_removed(
    nodes: Nodes, augmented: Path, copied: Callable[..., Path], small_words: Sequence[str]
) -> None:
    run = copied(augmented, leaving_out=["embeddings", "scores", "mixture", "synthesized", "augmented", "log"])
    words = ("augment", "--run", str(run), "--config", "demo", "--accept-mixture", *small_words)
    pools = ("pools.synthesize.max=2", "pools.synthesize.lease=1", "pools.mix.max=2", "pools.mix.lease=1")
    cpus = tuple(f"pools.{stage}.cpus=0.5" for stage in ("embed", "score", "synthesize", "mix"))
    driver = start(*words, "--arm", "adaptive", "--arm", "original", *pools, *cpus, **nodes.env())
    wait_until(driver, lambda: len(shards(run, "embeddings")) >= 2)
    nodes.add(1)
    wait_until(driver, lambda: len(shards(run, "synthesized")) >= 2)
    assert len(shards(run, "augmented/adaptive")) < 10
    nodes.kill_raylet(nodes.node_of("MapWorker"))
    code, stdout, stderr = finish(driver)
    assert (code, stderr) == (0, ""), stdout
    assert "96 posts in, 96 out" in stdout
    assert_equal_files(run, augmented)


@pytest.mark.promise(15)
def test_training_resumes_on_another_node(
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
    arguments = ("--model", "bert-crf", "--arm", "original", "--name", "moved")
    driver = start("train", "--run", str(run), "--config", "demo", *arguments, *small_words, *words, **nodes.env())
    checkpoints = run / "models" / "moved" / "checkpoints"
    wait_until(driver, lambda: bool(list(checkpoints.glob("epoch-*/state.json"))))
    nodes.kill_raylet(nodes.node_of("RayTrainWorker"))
    assert not (run / "models" / "moved" / "training.json").exists(), "killed too late for this test"
    code, stdout, stderr = finish(driver)
    assert (code, stderr) == (0, ""), stdout
    assert "best of 30 epochs" in stdout
    train(str(run), small(*words), system="bert-crf", arm="original", name="undisturbed", quiet=True)
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (run / "models" / "moved" / name).read_bytes() == (run / "models" / "undisturbed" / name).read_bytes()
