"""The work of a training worker: read the posts, build the recognizer, train it, and publish the result in the run."""

import hashlib
import json
import tempfile
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch

from amia.accelerator import resolve_device
from amia.errors import AmiaError
from amia.mner.builder import build_recognizer
from amia.mner.features import encode_examples
from amia.mner.predictor import Recognizer
from amia.mner.settings import RecognizerSettings
from amia.mner.training.data import EpochLoader, InMemoryLoader
from amia.mner.training.distributed import DistContext
from amia.mner.training.settings import TrainingSettings
from amia.mner.training.trainer import EpochReport, fit
from amia.mner.visual_features import FeatureCache
from ray_jobs.storage.arm import Arm
from ray_jobs.storage.layout import CHECKPOINTS, CURVES, TRAINING_FILE
from ray_jobs.training.checkpoints import StoreCheckpoints
from ray_jobs.training.streaming import StreamingLoader
from ray_jobs.training.tensorboard import publish_curves
from ray_jobs.training.worker_messages import WorkerReporter

__all__ = ["Training", "train_loop_per_worker", "train_recognizer"]

PACKAGES = ("amia", "numpy", "ray", "tokenizers", "torch", "transformers")
"""Packages whose versions are recorded with the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One recognizer to train. It travels to the workers by pickle."""

    arm: Arm
    folder: str
    """`models/<name>` of the run."""
    system: str
    types: list[str]
    """Entity types."""
    recognizer: RecognizerSettings
    settings: TrainingSettings
    identity: dict[str, Any]
    """The identity of `folder`."""
    cache_folder: str
    """Folder on each machine for the features of images."""
    decode_threads: int
    """Number of threads per worker that decode images."""

    @property
    def name(self) -> str:
        """Name of the model, as `amia evaluate` and `amia predict` take it."""
        return self.folder.partition("/")[2]


def train_loop_per_worker(config: dict[str, Any]) -> None:
    """Run in each worker of Ray Train. `config` holds `training`, `reporter` and `streaming`.

    Errors of `amia.errors` are reported to the driver. A single worker then returns, so that Ray Train does not retry.
    """
    training, reporter = config["training"], config["reporter"]
    if training.settings.device == "auto":
        device = str(ray.train.torch.get_device())
        training = replace(training, settings=training.settings.model_copy(update={"device": device}))
    stream = ray.train.get_dataset_shard("train") if config["streaming"] else None
    try:
        train_recognizer(training, reporter, stream)
    except AmiaError as error:
        reporter.report_error(error)
        if ray.train.get_context().get_world_size() > 1:
            raise  # the other workers may be waiting for this one, so Ray Train has to stop them


def train_recognizer(training: Training, reporter: WorkerReporter, stream: Any = None) -> list[EpochReport]:
    """Train alone or as one of several workers, and publish the result.

    `stream`: this worker's share of a streamed data set; None trains from memory. Training continues after the last
    epoch whose checkpoint is in the run. Returns the reports of all epochs. Raises AmiaError.
    """
    arm, settings = training.arm, training.settings
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    device = resolve_device(settings.device)
    dist_context = DistContext(device)
    torch.manual_seed(settings.seed)
    recognizer, notice = build_recognizer(
        training.system,
        training.recognizer,
        training.types,
        training=arm.tokens(["train"]),
        other=arm.tokens([split for split in arm.manifest["splits"] if split != "train"]),
    )
    if dist_context.rank == 0:
        reporter.log(notice)
    torch.nn.Module.to(recognizer.model, device)
    checkpoints = StoreCheckpoints(arm.store, f"{training.folder}/{CHECKPOINTS}")
    validation = arm.examples(arm.keys("validation"))[dist_context.rank :: dist_context.world_size]
    loader = _train_loader(training, recognizer, stream, dist_context)

    def on_epoch_end(epoch: EpochReport) -> None:
        publish_curves(arm.store, f"{training.folder}/{CURVES}", epoch)
        reporter.report_epoch(epoch)

    reports = fit(
        recognizer,
        loader,
        validation,
        recognizer.make_collator(_feature_cache(training, recognizer), decode_threads=training.decode_threads),
        settings,
        checkpoints,
        dist_context=dist_context,
        on_epoch_end=on_epoch_end,
    )
    if dist_context.rank == 0:
        _publish(training, recognizer, reports)
        checkpoints.clear()
    return reports


def _train_loader(training: Training, recognizer: Recognizer, stream: Any, dist_context: DistContext) -> EpochLoader:
    arm, seed = training.arm, training.settings.seed
    batch = training.settings.batch or recognizer.model.recipe.batch
    if stream is None:
        features = encode_examples(arm.examples(arm.keys("train")), recognizer.tokenizer)
        return InMemoryLoader(features, batch, seed, dist_context)
    posts = arm.manifest["splits"].get("train", 0)
    return StreamingLoader(
        stream, recognizer.tokenizer, posts=posts, batch=batch, seed=seed, workers=dist_context.world_size
    )


def _feature_cache(training: Training, recognizer: Recognizer) -> FeatureCache | None:
    """Open the cache of image features on this machine's disk.

    All trainings with the same weights and image preprocessing share it. Returns None if the cache is turned off, or
    the backbone is trained or absent.
    """
    if not training.settings.cache_gb or training.recognizer.train_visual:
        return None
    weights = training.identity["settings"]["encoders"].get("visual encoder")
    if weights is None:
        return None
    key = json.dumps([weights, recognizer.model.config.pixels], sort_keys=True)
    name = hashlib.sha256(key.encode()).hexdigest()[:24]
    return FeatureCache(Path(training.cache_folder) / f"features-{name}.sqlite", int(training.settings.cache_gb * 1e9))


def _publish(training: Training, recognizer: Recognizer, reports: list[EpochReport]) -> None:
    """Publish the recognizer's folder and the reports, and last the file that marks the model as complete."""
    store, folder = training.arm.store, training.folder
    with tempfile.TemporaryDirectory() as scratch:
        recognizer.save(Path(scratch))
        for path in sorted(Path(scratch).rglob("*")):
            if path.is_file():
                store.create(f"{folder}/{path.relative_to(scratch).as_posix()}", path.read_bytes())
    lines = "".join(json.dumps(asdict(report)) + "\n" for report in reports)
    store.create(f"{folder}/metrics.jsonl", lines.encode())
    best = max(reports, key=lambda report: (report.best, report.epoch))
    summary = {
        "identity": training.identity,
        "best": asdict(best),
        "epochs": len(reports),
        "versions": {name: version(name) for name in PACKAGES},
    }
    store.create(f"{folder}/{TRAINING_FILE}", json.dumps(summary, indent=1, sort_keys=True).encode())
