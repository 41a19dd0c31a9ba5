"""`amia train` on real Ray Train: workers share a step, kills cost no more than an epoch, hangs are refused."""

import json
import threading
import time
from collections.abc import Callable, Sequence
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
from amia.mner.builder import build_recognizer as start_recognizer
from amia.mner.settings import EncoderSettings, RecognizerSettings
from amia.mner.training.distributed import DistContext
from amia.mner.training.trainer import add_gradients
from ray_jobs.jobs.train import train
from ray_jobs.settings.job import Settings
from ray_jobs.storage.arm import Arm, open_arm
from ray_jobs.storage.store import Store
from ray_jobs.training.streaming import StreamingLoader, UnequalSplit, stream
from tests.helpers.drivers import finish, kill_when, start
from tests.helpers.encoders import save_tiny_encoders

QUICK = ("training.epochs=3", "training.batch=8", "training.threads=1", "workers.gpus=0")
TYPES = ["PER", "LOC", "ORG", "MISC"]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    folder = tmp_path_factory.mktemp("encoders")
    save_tiny_encoders(folder)
    return folder


@pytest.fixture(scope="module")
def words(encoders: Path) -> Sequence[str]:
    return (*QUICK, f"recognizer.text.model={encoders / 'text'}", f"recognizer.visual.model={encoders / 'visual'}")


def weights(run: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(run / "models" / name / "model.safetensors")


def test_a_recognizer_comes_out_of_a_run(
    augmented: Path,
    copied: Callable[..., Path],
    small: Callable[..., Settings],
    words: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = copied(augmented)
    done = train(str(run), small(*words), system="bert-resnet-crf", arm="original", name="first", quiet=True)
    folder = run / done.folder
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert done.best.f1 == max(line["f1"] for line in lines)
    assert len(list((folder / "tensorboard").glob("events.out.tfevents.*"))) == 3
    assert not list(folder.rglob("*.bin")) + list(folder.rglob("*.pt")) + list(folder.rglob("*.pkl"))
    assert not (folder / "checkpoints").exists()
    assert not (folder / "ray").exists()
    assert list((tmp_path / "cache" / "amia").glob("features-*.sqlite"))
    recognizer = amia.mner.load(folder)
    assert isinstance(recognizer.predict("Nova Quist sings in Paris"), list)
    # The same again: nothing is trained, another seed is refused under this name.
    assert train(str(run), small(*words), system="bert-resnet-crf", arm="original", name="first", quiet=True) == done
    with pytest.raises(IdentityError, match="seed"):
        train(str(run), small(*words, "training.seed=7"), system="bert-resnet-crf", arm="original", name="first")
    # And under another name it repeats to the bit.
    train(str(run), small(*words), system="bert-resnet-crf", arm="original", name="second", quiet=True)
    first, second = weights(run, "first"), weights(run, "second")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def first_step(config: dict[str, Any]) -> None:
    """Runs in a worker: the gradients of its first step, and the posts it was handed."""
    arm: Arm = config["arm"]
    torch.manual_seed(0)
    recognizer, _ = start_recognizer("bert-resnet-crf", config["settings"], TYPES)
    model = recognizer.model
    model.eval()  # no dropout
    world = DistContext(torch.device("cpu"))
    source = ray.train.get_dataset_shard("train")
    feed = StreamingLoader(source, recognizer.reader, posts=60, batch=16, seed=0, workers=world.size)
    share = next(feed.epoch(1))
    batch = recognizer.batches().of(share)
    posts, parts = add_gradients(model, [batch], world, GradScaler("cpu", enabled=False), torch.float32)
    (loss,) = world.sums(parts["tags"])
    told = {"ids": batch.ids, "posts": posts, "loss": loss / posts, "arm": arm.name}
    gradients = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    torch.save((told, gradients), Path(config["folder"]) / f"{world.rank}.pt")
    for _ in source.iter_batches(batch_size=512):  # the rest of the epoch, so that Ray Data ends it
        pass


def test_two_workers_fed_by_ray_data_step_as_one_does(augmented: Path, encoders: Path, tmp_path: Path) -> None:
    arm = open_arm(Store(augmented), "original")
    settings = RecognizerSettings(
        text=EncoderSettings(model=str(encoders / "text")), visual=EncoderSettings(model=str(encoders / "visual"))
    )
    trainer = TorchTrainer(
        first_step,
        train_loop_config={"arm": arm, "settings": settings, "folder": str(tmp_path)},
        scaling_config=ray.train.ScalingConfig(num_workers=2, resources_per_worker={"CPU": 1}),
        run_config=ray.train.RunConfig(storage_path=str(tmp_path / "ray")),
        datasets={"train": stream(arm.store, arm.keys("train"), seed=0)},
        dataset_config=UnequalSplit(),
    )
    trainer.fit()
    (one, left), (other, right) = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    ids = [*one["ids"], *other["ids"]]
    assert len(set(ids)) == len(ids) == one["posts"] == 16
    assert len(one["ids"]) == 8
    assert all(torch.equal(left[name], right[name]) for name in left)

    torch.manual_seed(0)
    recognizer, _ = start_recognizer("bert-resnet-crf", settings, TYPES)
    recognizer.model.eval()
    examples = {each.id: each for each in arm.examples(arm.keys("train"))}
    items = [amia.mner.features.encode_example([examples[name]], recognizer.reader)[0] for name in ids]
    batch = recognizer.batches().of(items)
    alone = DistContext(torch.device("cpu"))
    _, parts = add_gradients(recognizer.model, [batch], alone, GradScaler("cpu", enabled=False), torch.float32)
    assert parts["tags"] / len(ids) == pytest.approx(one["loss"], abs=1e-5)
    gradients = {name: each.grad for name, each in recognizer.model.named_parameters() if each.grad is not None}
    assert gradients.keys() == left.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(left[name], gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.slow  # the step itself is tested above
def test_streamed_by_two_workers_every_post_is_seen(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings], words: Sequence[str]
) -> None:
    run = copied(augmented)
    settings = small(*words, "workers.feed=stream", "workers.count=2", "training.epochs=2")
    done = train(str(run), settings, system="bert-crf", arm="original", name="streamed", quiet=True)
    assert done.epochs == 2
    assert (run / done.folder / "model.safetensors").exists()


def worker_processes() -> set[psutil.Process]:
    found = set()
    for process in psutil.Process().children(recursive=True):
        try:
            if "RayTrainWorker" in " ".join(process.cmdline()):
                found.add(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.promise(1)
@pytest.mark.slow
def test_a_killed_worker_goes_on_after_its_last_epoch(
    augmented: Path, copied: Callable[..., Path], small: Callable[..., Settings], words: Sequence[str]
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
    settings = small(*words, "training.epochs=12", "training.patience=12")
    done = train(str(run), settings, system="bert-crf", arm="original", name="killed", quiet=True)
    killer.join(timeout=5)
    assert killed
    assert done.epochs == 12
    undisturbed = train(str(run), settings, system="bert-crf", arm="original", name="calm", quiet=True)
    assert undisturbed.best.f1 == done.best.f1
    calm, disturbed = weights(run, "calm"), weights(run, "killed")
    assert all(torch.equal(calm[name], disturbed[name]) for name in calm)


@pytest.mark.slow
def test_a_killed_driver_s_command_goes_on_when_started_again(
    augmented: Path, copied: Callable[..., Path], small_words: Sequence[str], words: Sequence[str]
) -> None:
    run = copied(augmented)
    command = ("train", "--run", str(run), "--config", "demo", "--model", "bert-crf", "--arm", "original")
    command += ("--name", "n", *small_words, *words, "training.epochs=20", "training.patience=20")
    checkpoints = run / "models" / "n" / "checkpoints"
    kill_when(start(*command), lambda: bool(list(checkpoints.glob("epoch-*/state.json"))))
    assert not (run / "models" / "n" / "training.json").exists()
    code, said, complained = finish(start(*command))
    assert (code, complained) == (0, "")
    assert "epoch   1 " not in said
    assert "best of 20 epochs" in said


@pytest.mark.promise(14)
@pytest.mark.slow
def test_sigterm_ends_a_training_without_noise_and_it_goes_on_when_started_again(
    augmented: Path, copied: Callable[..., Path], small_words: Sequence[str], words: Sequence[str]
) -> None:
    run = copied(augmented)
    command = ("train", "--run", str(run), "--config", "demo", "--model", "bert-crf", "--arm", "original")
    command += ("--name", "n", *small_words, *words, "training.epochs=20", "training.patience=20")
    checkpoints = run / "models" / "n" / "checkpoints"
    driver = start(*command)
    while not list(checkpoints.glob("epoch-*/state.json")):
        assert driver.poll() is None, finish(driver)
        time.sleep(0.01)
    driver.terminate()
    code, _, complained = finish(driver)
    assert code == 143
    assert complained == "stopped: what is published stays, and the same command goes on from there\n"
    assert not (run / "models" / "n" / "training.json").exists()
    code, said, complained = finish(start(*command))
    assert (code, complained) == (0, "")
    assert "epoch   1 " not in said
    assert "best of 20 epochs" in said


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("workers.count=8", "workers.cpus=1", "workers.feed=stream"), "Ray Data needs 0.5 more"),
        (("workers.count=3", "workers.cpus=4"), "workers.cpus"),
        (("workers.count=5", "workers.gpus=1"), "workers.gpus"),
    ],
)
def test_workers_that_would_wait_for_ever_are_refused(
    augmented: Path,
    copied: Callable[..., Path],
    small: Callable[..., Settings],
    words: Sequence[str],
    asked: Sequence[str],
    said: str,
) -> None:
    with pytest.raises(ClusterError, match=said):
        train(
            str(copied(augmented)),
            small(*words, *asked, "wait_for_gpus_s=1"),
            system="bert-crf",
            arm="original",
            quiet=True,
        )


def test_what_is_not_there_is_said(augmented: Path, small: Callable[..., Settings]) -> None:
    with pytest.raises(RunError, match=r"--arm fixed-0\.3"):
        train(str(augmented), small(), system="bert-crf", arm="fixed-0.3", quiet=True)
    with pytest.raises(SettingsError, match="no recognizer 'bert-rcf'"):
        train(str(augmented), small(), system="bert-rcf", arm="original", quiet=True)
