"""Training: epochs of steps, a look at the validation posts after each, the best one kept."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import torch
from torch.amp import GradScaler
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from amia.accelerator import resolve_dtype
from amia.errors import CorpusError, RunError
from amia.mner.data_collator import Batch
from amia.mner.features import Example, Feature
from amia.mner.metrics import Counts
from amia.mner.model import RecognizerModel
from amia.mner.predictor import Recognizer
from amia.mner.spans import lenient_spans
from amia.mner.training.checkpoint import Files, load_weights, pack, unpack
from amia.mner.training.data import EpochLoader
from amia.mner.training.distributed import DistContext
from amia.mner.training.optimizer import make_optimizer, make_schedule
from amia.mner.training.settings import TrainingSettings
from amia.mner.visual_features import DataCollator
from amia.utils.prefetch import prefetch

__all__ = ["Checkpoints", "EpochReport", "TrainStep", "add_gradients", "fit"]


# MERGED FROM amia.mner.training.step: One optimizer step.
def add_gradients(
    model: RecognizerModel, batches: Iterable[Batch], world: DistContext, scaler: GradScaler, dtype: torch.dtype
) -> tuple[float, dict[str, float]]:
    """Gradients of the mean loss over the global batch: all micro-batches of all workers.

    The mean is over posts, so it is the same however the posts were cut among micro-batches and workers. Returns the
    number of posts, 0 when no worker has any left, and the sums of each loss over this worker's.
    """
    batches = list(batches)
    (posts,) = world.sums(sum(map(len, batches)))
    parts: dict[str, float] = {}
    for batch in batches:
        moved = batch.to(model.device)
        with torch.autocast(model.device.type, dtype, enabled=dtype is not torch.float32):
            output = model(moved)
        scaler.scale(output.total().sum() / posts).backward()
        for name, loss in output.losses.items():
            parts[name] = parts.get(name, 0.0) + float(loss.detach().sum())
    if posts:
        world.add_up_gradients(each for each in model.parameters() if each.requires_grad)
    return posts, parts


@dataclass(slots=True)
class TrainStep:
    """What a step needs besides posts."""

    model: RecognizerModel
    optimizer: AdamW
    schedule: LambdaLR
    world: DistContext
    clip: float
    dtype: torch.dtype
    scaler: GradScaler

    def step(self, batches: Iterable[Batch]) -> tuple[float, dict[str, float]]:
        """Learn from one global batch; returns as `add_gradients`."""
        self.optimizer.zero_grad(set_to_none=True)
        posts, parts = add_gradients(self.model, batches, self.world, self.scaler, self.dtype)
        if posts:
            self.scaler.unscale_(self.optimizer)
            clip_grad_norm_((each for each in self.model.parameters() if each.requires_grad), self.clip)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.schedule.step()
        return posts, parts


NOTHING = "no labeled posts to train on: the split `train` needs tags"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """What one epoch came to."""

    epoch: int
    """From 1."""
    loss: dict[str, float]
    """Mean over the training posts of each part of the loss."""
    precision: float
    """Micro, over the validation posts; so are recall and F1, all in [0, 1]."""
    recall: float
    f1: float
    best: bool
    """Whether this is the best F1 so far, strictly."""
    lr: float
    """Of new layers, at the epoch's end."""
    posts_per_s: float
    """Training posts a second, all workers together."""
    waited: float
    """Share of the first worker's training time that it waited for batches."""


class Checkpoints(Protocol):
    """Where a training keeps its state."""

    def latest(self) -> Files | None:
        """The state after the last finished epoch, or None before any."""
        ...

    def of_epoch(self, epoch: int) -> Files:
        """The state after the best epoch so far, which is kept."""
        ...

    def keep(self, epoch: int, files: Files, best: int) -> None:
        """Keep the state after an epoch; only it and that of epoch `best` are needed from now on."""
        ...


def fit(
    recognizer: Recognizer,
    feed: EpochLoader,
    validation: Sequence[Example],
    batches: DataCollator,
    settings: TrainingSettings,
    checkpoints: Checkpoints,
    *,
    world: DistContext,
    report: Callable[[EpochReport], None],
) -> list[EpochReport]:
    """Train in place, and leave the weights of the best epoch by F1 on the validation posts. Every worker calls it.

    `validation` is this worker's share of them. Goes on after the last epoch that `checkpoints` knows. Returns the
    reports of all epochs. Raises CorpusError when there is nothing to learn from or to choose by, and RunError when the
    loss is no number.
    """
    model = recognizer.model
    if not feed.steps:
        raise CorpusError(NOTHING)
    if not world.sums(len(validation))[0]:
        raise CorpusError("no labeled posts to choose the best epoch by: the corpus needs a split `valid` with tags")
    epochs = settings.epochs or model.recipe.epochs
    world.share_weights(model)
    optimizer = make_optimizer(model, settings)
    dtype = resolve_dtype(settings.dtype, model.device, torch.bfloat16)
    scaler = GradScaler(model.device.type, enabled=dtype is torch.float16)
    schedule = make_schedule(optimizer, epochs * feed.steps, settings.warmup)
    stepper = TrainStep(model, optimizer, schedule, world, settings.clip, dtype, scaler)
    torch.manual_seed(settings.seed * 1009 + world.rank)  # dropout: each worker its own
    reports: list[EpochReport] = []
    if (files := checkpoints.latest()) is not None:
        progress = unpack(files, model, optimizer, schedule, world)
        reports = [EpochReport(**each) for each in progress["reports"]]
        scaler.load_state_dict(progress["scaler"])
    while (done := len(reports)) < epochs and done - _best(reports) < settings.patience:
        loss, seconds, waited, posts = _epoch(stepper, feed, batches, settings, done + 1)
        counts = _look(recognizer, validation, batches, world)
        before = max((each.f1 for each in reports), default=-1.0)
        told = EpochReport(
            epoch=done + 1,
            loss=loss,
            precision=counts.precision,
            recall=counts.recall,
            f1=counts.f1,
            best=counts.f1 > before,
            lr=float(schedule.get_last_lr()[-1]),
            posts_per_s=posts / seconds,
            waited=waited / seconds,
        )
        reports.append(told)
        progress = {"reports": [asdict(each) for each in reports], "scaler": scaler.state_dict()}
        files = pack(model, optimizer, schedule, world, progress)
        if world.rank == 0:
            report(told)
            checkpoints.keep(told.epoch, files, _best(reports))
    if world.rank == 0:  # which alone knows that the best epoch is written, and not removed yet
        load_weights(checkpoints.of_epoch(_best(reports)), model)
    world.share_weights(model)
    model.eval()
    return reports


def _best(reports: Sequence[EpochReport]) -> int:
    """The epoch with the best F1, the first of equals; 0 before any."""
    return max((each.epoch for each in reports if each.best), default=0)


def _epoch(
    stepper: TrainStep, feed: EpochLoader, batches: DataCollator, settings: TrainingSettings, number: int
) -> tuple[dict[str, float], float, float, float]:
    """Mean losses, seconds, seconds waited for batches, posts of all workers."""
    stepper.model.train()
    micro = settings.micro_batch
    shares = prefetch(_batches(share, batches, micro) for share in feed.epoch(number))
    begun, waited = time.perf_counter(), 0.0
    total, parts = 0.0, dict[str, float]()
    while True:
        asked = time.perf_counter()
        share = next(shares, [])
        waited += time.perf_counter() - asked
        posts, losses = stepper.step(share)
        if not posts:
            break
        total += posts
        for name, loss in losses.items():
            parts[name] = parts.get(name, 0.0) + loss
    if not total:
        raise CorpusError(NOTHING)  # a stream knows its posts, and not how many of them have labels
    names = stepper.model.losses  # of the model, not of this worker's batches: it may have had none
    sums = stepper.world.sums(*(parts.get(name, 0.0) for name in names))
    mean = {name: value / total for name, value in zip(names, sums, strict=True)}
    if any(value != value for value in mean.values()):
        raise RunError(f"epoch {number}: the loss is no number any more; lower training.lr_encoder or training.lr_new")
    return mean, time.perf_counter() - begun, waited, total


def _batches(share: Sequence[Feature], batches: DataCollator, micro: int | None) -> list[Batch]:
    size = micro or len(share) or 1
    return [batches.of(share[start : start + size]) for start in range(0, len(share), size)]


def _look(recognizer: Recognizer, validation: Sequence[Example], batches: DataCollator, world: DistContext) -> Counts:
    """Lenient counts over the validation posts of all workers."""
    names = recognizer.model.config.labels
    right = predicted = gold = 0
    for example, tagged in zip(validation, recognizer.tag(validation, batches=batches), strict=True):
        true = set(lenient_spans([names[label] for label in example.labels or ()]))
        found = set(lenient_spans(tagged.tags))
        right, predicted, gold = right + len(true & found), predicted + len(found), gold + len(true)
    return Counts(*map(int, world.sums(right, predicted, gold)))
