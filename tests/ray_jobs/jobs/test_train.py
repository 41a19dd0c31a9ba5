"""`amia train` on real Ray Train: shared steps, resuming after kills, and refusal of workers that do not fit."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import ray.train
import torch
from ray.train.torch import TorchTrainer
from safetensors.torch import load_file
from torch.amp import GradScaler

import amia.mner
from amia.errors import ClusterError, IdentityError, RunError, SettingsError
from amia.mner.builder import build_recognizer
from amia.mner.features import encode_examples
from amia.mner.settings import EncoderSettings, RecognizerSettings
from amia.mner.training.distributed import DistContext
from amia.mner.training.trainer import accumulate_gradients
from ray_jobs.jobs.context import open_context
from ray_jobs.jobs.train import TrainResult, prepare_training, small_share_warning, train
from ray_jobs.jobs.train_parallel import train_parallel
from ray_jobs.settings.job import Settings, Workers
from ray_jobs.storage.arm import Arm, open_arm
from ray_jobs.storage.store import Store
from ray_jobs.training.streaming import StreamingLoader, UnequalSplit, stream_posts
from tests.helpers.drivers import finish, kill_when, start
from tests.helpers.encoders import save_tiny_encoders

QUICK = ("training.epochs=2", "training.batch=8", "training.threads=1", "workers.gpus=0")
TYPES = ["PER", "LOC", "ORG", "MISC"]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders")
    save_tiny_encoders(folder)
    return folder


@pytest.fixture(scope="module")
def overrides(encoders: Path) -> Sequence[str]:
    return (*QUICK, f"recognizer.text.model={encoders / 'text'}", f"recognizer.visual.model={encoders / 'visual'}")


@dataclass(frozen=True)
class TrainedRun:
    """A run with one trained recognizer."""

    folder: Path
    settings: Settings
    result: TrainResult
    cache: Path


@pytest.fixture(scope="module")
def trained(
    augmented: Path,
    small: Callable[..., Settings],
    overrides: Sequence[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[TrainedRun]:
    """Train the recognizer `first` on arm `original` with an empty cache of image features."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(augmented, folder / "run")
    settings = small(*overrides)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        result = train(
            str(folder / "run"), settings, system="bert-resnet-crf", arm="original", name="first", quiet=True
        )
        yield TrainedRun(folder / "run", settings, result, folder / "cache")


def weights(run: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(run / "models" / name / "model.safetensors")


def assert_equal_weights(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_trains_a_recognizer(trained: TrainedRun) -> None:
    folder = trained.folder / trained.result.folder
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert trained.result.best.f1 == max(line["f1"] for line in lines)
    assert len(list((folder / "tensorboard").glob("events.out.tfevents.*"))) == 2
    assert not list(folder.rglob("*.bin")) + list(folder.rglob("*.pt")) + list(folder.rglob("*.pkl"))
    assert not (folder / "checkpoints").exists()
    assert not (folder / "ray").exists()
    assert list((trained.cache / "amia").glob("features-*.sqlite"))
    recognizer = amia.mner.load(folder)
    assert isinstance(recognizer.predict("Nova Quist sings in Paris"), list)


def test_returns_a_finished_training(trained: TrainedRun) -> None:
    options = {"system": "bert-resnet-crf", "arm": "original", "name": "first", "quiet": True}
    before = (trained.folder / trained.result.folder / "model.safetensors").stat().st_mtime_ns
    assert train(str(trained.folder), trained.settings, **options) == trained.result  # type: ignore[arg-type]
    assert (trained.folder / trained.result.folder / "model.safetensors").stat().st_mtime_ns == before


def test_rejects_another_seed_under_the_same_name(
    trained: TrainedRun, small: Callable[..., Settings], overrides: Sequence[str]
) -> None:
    settings = small(*overrides, "training.seed=7")
    with pytest.raises(IdentityError, match="seed"):
        train(str(trained.folder), settings, system="bert-resnet-crf", arm="original", name="first", quiet=True)


def test_repeats_bit_identically(trained: TrainedRun) -> None:
    """A training under another name, as a plain Ray task instead of with Ray Train, gives the same weights."""
    job = open_context(str(trained.folder), trained.settings, quiet=True)
    training = prepare_training(job, "bert-resnet-crf", open_arm(job.store, "original"), "second")
    (result,) = train_parallel(job, [training])
    assert result.name == "second"
    assert_equal_weights(weights(trained.folder, "first"), weights(trained.folder, "second"))


def save_first_step(config: dict[str, Any]) -> None:
    """Run in a worker: save the gradients of its first step, and the ids of its posts."""
    arm: Arm = config["arm"]
    torch.manual_seed(0)
    recognizer, _ = build_recognizer("bert-resnet-crf", config["settings"], TYPES)
    model = recognizer.model
    model.eval()  # turns dropout off
    dist_context = DistContext(torch.device("cpu"))
    shard = ray.train.get_dataset_shard("train")
    loader = StreamingLoader(shard, recognizer.tokenizer, posts=60, batch=16, seed=0, workers=dist_context.world_size)
    batch = recognizer.make_collator()(next(loader.iter_epoch(1)))
    scaler = GradScaler("cpu", enabled=False)
    posts, losses = accumulate_gradients(model, [batch], dist_context, scaler, torch.float32)
    (loss,) = dist_context.all_reduce(losses["tags"])
    step = {"ids": batch.ids, "posts": posts, "loss": loss / posts, "arm": arm.name}
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    torch.save((step, gradients), Path(config["folder"]) / f"{dist_context.rank}.pt")
    for _ in shard.iter_batches(batch_size=512):  # consume the rest, so that Ray Data ends the epoch
        pass


@pytest.mark.slow  # `test_streaming.py` has the shares of the workers, `test_distributed.py` their common step
def test_two_streaming_workers_step_as_one(augmented: Path, encoders: Path, tmp_path: Path) -> None:
    arm = open_arm(Store(augmented), "original")
    settings = RecognizerSettings(
        text=EncoderSettings(model=str(encoders / "text")), visual=EncoderSettings(model=str(encoders / "visual"))
    )
    trainer = TorchTrainer(
        save_first_step,
        train_loop_config={"arm": arm, "settings": settings, "folder": str(tmp_path)},
        scaling_config=ray.train.ScalingConfig(num_workers=2, resources_per_worker={"CPU": 1}),
        run_config=ray.train.RunConfig(storage_path=str(tmp_path / "ray")),
        datasets={"train": stream_posts(arm.store, arm.keys("train"), seed=0)},
        dataset_config=UnequalSplit(),
    )
    trainer.fit()
    (step_0, gradients_0), (step_1, gradients_1) = (
        torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)
    )
    ids = [*step_0["ids"], *step_1["ids"]]
    assert len(set(ids)) == len(ids) == step_0["posts"] == 16
    assert len(step_0["ids"]) == 8
    assert_equal_weights(gradients_0, gradients_1)

    torch.manual_seed(0)
    recognizer, _ = build_recognizer("bert-resnet-crf", settings, TYPES)
    recognizer.model.eval()
    examples = {example.id: example for example in arm.examples(arm.keys("train"))}
    features = encode_examples([examples[name] for name in ids], recognizer.tokenizer)
    batch = recognizer.make_collator()(features)
    single = DistContext(torch.device("cpu"))
    scaler = GradScaler("cpu", enabled=False)
    _, losses = accumulate_gradients(recognizer.model, [batch], single, scaler, torch.float32)
    assert losses["tags"] / len(ids) == pytest.approx(step_0["loss"], abs=1e-5)
    gradients = {name: weight.grad for name, weight in recognizer.model.named_parameters() if weight.grad is not None}
    assert gradients.keys() == gradients_0.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradients_0[name], gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.slow  # the step itself is tested above
def test_two_streaming_workers_train(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings], overrides: Sequence[str]
) -> None:
    run = copied(augmented)
    settings = small(*overrides, "workers.feed=stream", "workers.count=2")
    result = train(str(run), settings, system="bert-crf", arm="original", name="streamed", quiet=True)
    assert result.epochs == 2
    assert (run / result.folder / "model.safetensors").exists()


def worker_processes() -> set[psutil.Process]:
    workers = set()
    for process in psutil.Process().children(recursive=True):
        try:
            if "RayTrainWorker" in " ".join(process.cmdline()):
                workers.add(process)
        except psutil.Error:
            continue
    return workers


@pytest.mark.promise(1)
@pytest.mark.slow
def test_resumes_after_a_killed_worker(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings], overrides: Sequence[str]
) -> None:
    run = copied(augmented)
    checkpoints = run / "models" / "killed" / "checkpoints"
    killed: list[int] = []

    def kill() -> None:
        while not list(checkpoints.glob("epoch-*/state.json")):
            time.sleep(0.01)
        for process in worker_processes():
            killed.append(process.pid)
            process.kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    settings = small(*overrides, "training.epochs=12", "training.patience=12")
    result = train(str(run), settings, system="bert-crf", arm="original", name="killed", quiet=True)
    killer.join(timeout=5)
    assert killed
    assert result.epochs == 12
    undisturbed = train(str(run), settings, system="bert-crf", arm="original", name="undisturbed", quiet=True)
    assert undisturbed.best.f1 == result.best.f1
    assert_equal_weights(weights(run, "undisturbed"), weights(run, "killed"))


def long_command(run: Path, *overrides: str) -> Sequence[str]:
    """Return a command that trains long enough to be interrupted."""
    command = ("train", "--run", str(run), "--config", "demo", "--model", "bert-crf", "--arm", "original")
    return (*command, "--name", "n", *overrides, "training.epochs=20", "training.patience=20")


def assert_resumes(command: Sequence[str]) -> None:
    code, output, errors = finish(start(*command))
    assert (code, errors) == (0, "")
    assert "epoch   1 " not in output
    assert "best of 20 epochs" in output


@pytest.mark.slow
def test_resumes_after_a_killed_driver(
    augmented: Path, copied: Callable[..., Path], small_words: Sequence[str], overrides: Sequence[str]
) -> None:
    run = copied(augmented)
    command = long_command(run, *small_words, *overrides)
    checkpoints = run / "models" / "n" / "checkpoints"
    kill_when(start(*command), lambda: bool(list(checkpoints.glob("epoch-*/state.json"))))
    assert not (run / "models" / "n" / "training.json").exists()
    assert_resumes(command)


@pytest.mark.promise(14)
@pytest.mark.slow
def test_sigterm_stops_without_noise_and_resumes(
    augmented: Path, copied: Callable[..., Path], small_words: Sequence[str], overrides: Sequence[str]
) -> None:
    run = copied(augmented)
    command = long_command(run, *small_words, *overrides)
    checkpoints = run / "models" / "n" / "checkpoints"
    driver = start(*command)
    while not list(checkpoints.glob("epoch-*/state.json")):
        assert driver.poll() is None, finish(driver)
        time.sleep(0.01)
    driver.terminate()
    code, _, errors = finish(driver)
    assert code == 143
    assert errors == "stopped: published files stay, start the same command again to resume\n"
    assert not (run / "models" / "n" / "training.json").exists()
    assert_resumes(command)


@pytest.mark.parametrize(
    ("workers", "message"),
    [
        (("workers.count=8", "workers.cpus=1", "workers.feed=stream"), "Ray Data needs 0.5 more"),
        (("workers.count=3", "workers.cpus=4"), "workers.cpus"),
        (("workers.count=5", "workers.gpus=1"), "workers.gpus"),
    ],
)
def test_rejects_workers_that_do_not_fit(
    augmented: Path,
    copied: Callable[..., Path],
    small: Callable[..., Settings],
    overrides: Sequence[str],
    workers: Sequence[str],
    message: str,
) -> None:
    settings = small(*overrides, *workers, "wait_for_gpus_s=0.1")
    with pytest.raises(ClusterError, match=message):
        train(str(copied(augmented)), settings, system="bert-crf", arm="original", quiet=True)


def test_rejects_unknown_arm_and_system(augmented: Path, small: Callable[..., Settings]) -> None:
    with pytest.raises(RunError, match=r"--arm fixed-0\.3"):
        train(str(augmented), small(), system="bert-crf", arm="fixed-0.3", quiet=True)
    with pytest.raises(SettingsError, match="unknown recognizer 'bert-rcf'"):
        train(str(augmented), small(), system="bert-rcf", arm="original", quiet=True)


@pytest.mark.parametrize(
    ("count", "gpus", "batch", "share"),
    [(4, 1.0, 32, "8 posts"), (2, 1.0, 32, None), (1, 1.0, 8, None), (8, 0.0, 32, None)],
)
def test_warns_of_small_shares(count: int, gpus: float, batch: int, share: str | None) -> None:
    warning = small_share_warning(Workers(count=count, gpus=gpus), batch)
    if share is None:
        assert warning is None
    else:
        assert warning is not None
        assert warning.startswith(share)
