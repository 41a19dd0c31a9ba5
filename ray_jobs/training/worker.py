"""What each training worker does: read its posts, make the recognizer, train, and leave the result in the run."""

import hashlib
import json
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from amia.accelerator import resolve_device
from amia.mner.builder import build_recognizer
from amia.mner.features import encode_example
from amia.mner.predictor import Recognizer
from amia.mner.settings import RecognizerSettings
from amia.mner.training.data import EpochLoader, InMemoryLoader
from amia.mner.training.distributed import DistContext
from amia.mner.training.settings import TrainingSettings
from amia.mner.training.trainer import EpochReport, fit
from amia.mner.visual_features import FeatureCache
from ray_jobs.storage.arm import Arm
from ray_jobs.training.checkpoints import StoreCheckpoints
from ray_jobs.training.streaming import StreamingLoader
from ray_jobs.training.tensorboard import publish_curves
from ray_jobs.training.worker_messages import WorkerReporter

__all__ = ["DONE", "Training", "train_one"]

DONE = "training.json"
"""Published last: a model's folder with it is whole."""
PACKAGES = ("amia", "numpy", "ray", "tokenizers", "torch", "transformers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One recognizer to be trained; travels to the workers."""

    arm: Arm
    folder: str
    """`models/<name>` of the run."""
    system: str
    types: list[str]
    recognizer: RecognizerSettings
    settings: TrainingSettings
    identity: dict[str, Any]
    caches: str
    """Folder on each machine for features of images."""
    decoders: int
    """Threads of each worker that decode images."""


def train_one(training: Training, teller: WorkerReporter, source: Any = None) -> list[EpochReport]:
    """Train, alone or as one of several workers; `source`: this worker's share of a stream, None: from memory.

    Goes on after the last epoch whose checkpoint stands in the run. Raises whatever of `amia.errors` stands in the way.
    """
    arm, settings = training.arm, training.settings
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    device = resolve_device(settings.device)
    world = DistContext(device)
    torch.manual_seed(settings.seed)
    recognizer, notice = build_recognizer(
        training.system,
        training.recognizer,
        training.types,
        training=arm.tokens(["train"]),
        other=arm.tokens([split for split in arm.manifest["splits"] if split != "train"]),
    )
    if world.rank == 0:
        teller.say(notice)
    torch.nn.Module.to(recognizer.model, device)
    checkpoints = StoreCheckpoints(arm.store, f"{training.folder}/checkpoints")
    validation = arm.examples(arm.keys("validation"))[world.rank :: world.size]
    feed = _feed(training, recognizer, source, world)

    def report(told: EpochReport) -> None:
        publish_curves(arm.store, f"{training.folder}/tensorboard", told)
        teller.epoch(told)

    reports = fit(
        recognizer,
        feed,
        validation,
        recognizer.batches(_cache(training, recognizer), decoders=training.decoders),
        settings,
        checkpoints,
        world=world,
        report=report,
    )
    if world.rank == 0:
        _publish(training, recognizer, reports)
        checkpoints.clear()
    return reports


def _feed(training: Training, recognizer: Recognizer, source: Any, world: DistContext) -> EpochLoader:
    arm, seed = training.arm, training.settings.seed
    batch = training.settings.batch or recognizer.model.recipe.batch
    if source is None:
        items = encode_example(arm.examples(arm.keys("train")), recognizer.reader)
        return InMemoryLoader(items, batch, seed, world)
    posts = arm.manifest["splits"].get("train", 0)
    return StreamingLoader(source, recognizer.reader, posts=posts, batch=batch, seed=seed, workers=world.size)


def _cache(training: Training, recognizer: Recognizer) -> FeatureCache | None:
    """Features of the backbone on this machine's disk, shared by every training with the same weights and pixels."""
    if not training.settings.cache_gb or training.recognizer.train_visual:
        return None
    weights = training.identity["settings"]["encoders"].get("visual encoder")
    if weights is None:
        return None
    told = json.dumps([weights, recognizer.model.config.pixels], sort_keys=True)
    name = hashlib.sha256(told.encode()).hexdigest()[:24]
    return FeatureCache(Path(training.caches) / f"features-{name}.sqlite", int(training.settings.cache_gb * 1e9))


def _publish(training: Training, recognizer: Recognizer, reports: list[EpochReport]) -> None:
    """The recognizer's folder, its curves, and last what says that all of it is there."""
    store, folder = training.arm.store, training.folder
    with tempfile.TemporaryDirectory() as scratch:
        recognizer.save(Path(scratch))
        for path in sorted(Path(scratch).rglob("*")):
            if path.is_file():
                store.create(f"{folder}/{path.relative_to(scratch).as_posix()}", path.read_bytes())
    lines = "".join(json.dumps(asdict(each)) + "\n" for each in reports)
    store.create(f"{folder}/metrics.jsonl", lines.encode())
    best = max(reports, key=lambda each: (each.best, each.epoch))
    about = {
        "identity": training.identity,
        "best": asdict(best),
        "epochs": len(reports),
        "versions": {name: version(name) for name in PACKAGES},
    }
    store.create(f"{folder}/{DONE}", json.dumps(about, indent=1, sort_keys=True).encode())
