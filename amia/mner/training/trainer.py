"""Training: epochs of optimizer steps, evaluation on the validation posts after each, and the best epoch kept."""

import math
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
from amia.mner.data_collator import Batch, DataCollator
from amia.mner.features import Example, Feature
from amia.mner.metrics import SpanCounts
from amia.mner.model import RecognizerModel
from amia.mner.predictor import Recognizer
from amia.mner.spans import lenient_spans
from amia.mner.training.checkpoint import CheckpointFiles, load_weights, pack_checkpoint, unpack_checkpoint
from amia.mner.training.data import EpochLoader
from amia.mner.training.distributed import DistContext
from amia.mner.training.optimizer import make_optimizer, make_schedule
from amia.mner.training.settings import TrainingSettings
from amia.utils.prefetch import prefetch

__all__ = ["Checkpoints", "EpochReport", "TrainStep", "accumulate_gradients", "fit"]

NO_TRAINING_POSTS = "no labeled posts to train on: the split `train` needs tags"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """Results of one epoch."""

    epoch: int
    """From 1."""
    loss: dict[str, float]
    """Mean of each term of the loss over the training posts."""
    precision: float
    """Micro-averaged over the validation posts, like recall and F1; all in [0, 1]."""
    recall: float
    f1: float
    best: bool
    """Whether F1 is strictly higher than in all previous epochs."""
    lr: float
    """Learning rate of new layers at the end of the epoch."""
    posts_per_s: float
    """Training posts per second, over all workers."""
    waited: float
    """Fraction of rank 0's training time that it waited for batches."""


class Checkpoints(Protocol):
    """Storage of the state of a training."""

    def load_latest(self) -> CheckpointFiles | None:
        """Load the state after the last finished epoch. None: there is none."""
        ...

    def load_epoch(self, epoch: int) -> CheckpointFiles:
        """Load the state after the best epoch so far, which is always kept."""
        ...

    def save(self, epoch: int, files: CheckpointFiles, best_epoch: int) -> None:
        """Save the state after an epoch. All others except that of `best_epoch` are no longer needed."""
        ...


def fit(
    recognizer: Recognizer,
    loader: EpochLoader,
    validation: Sequence[Example],
    collator: DataCollator,
    settings: TrainingSettings,
    checkpoints: Checkpoints,
    *,
    dist_context: DistContext,
    on_epoch_end: Callable[[EpochReport], None],
) -> list[EpochReport]:
    """Train in place, ending with the weights of the best epoch by F1 on the validation posts. Every worker calls it.

    `validation` is this worker's share of them. Resumes after the last epoch in `checkpoints`. Returns the reports of
    all epochs. Raises CorpusError if there are no posts for training or validation, and RunError if the loss is NaN.
    """
    model = recognizer.model
    if not loader.steps_per_epoch:
        raise CorpusError(NO_TRAINING_POSTS)
    if not dist_context.all_reduce(len(validation))[0]:
        raise CorpusError("no labeled posts to choose the best epoch by: the corpus needs a split `valid` with tags")
    epochs = settings.epochs or model.recipe.epochs
    dist_context.broadcast(model)
    optimizer = make_optimizer(model, settings)
    dtype = resolve_dtype(settings.dtype, model.device, torch.bfloat16)
    scaler = GradScaler(model.device.type, enabled=dtype is torch.float16)
    schedule = make_schedule(optimizer, epochs * loader.steps_per_epoch, settings.warmup)
    train_step = TrainStep(model, optimizer, schedule, dist_context, settings.clip, dtype, scaler)
    torch.manual_seed(settings.seed * 1009 + dist_context.rank)  # for dropout, different in each worker
    reports: list[EpochReport] = []
    if (files := checkpoints.load_latest()) is not None:
        progress = unpack_checkpoint(files, model, optimizer, schedule, dist_context)
        reports = [EpochReport(**report) for report in progress["reports"]]
        scaler.load_state_dict(progress["scaler"])
    while (finished := len(reports)) < epochs and finished - _best_epoch(reports) < settings.patience:
        loss, seconds, waited, posts = _train_epoch(train_step, loader, collator, settings, finished + 1)
        counts = _evaluate(recognizer, validation, collator, dist_context)
        best_f1 = max((report.f1 for report in reports), default=-1.0)
        report = EpochReport(
            epoch=finished + 1,
            loss=loss,
            precision=counts.precision,
            recall=counts.recall,
            f1=counts.f1,
            best=counts.f1 > best_f1,
            lr=float(schedule.get_last_lr()[-1]),
            posts_per_s=posts / seconds,
            waited=waited / seconds,
        )
        reports.append(report)
        progress = {"reports": [asdict(report) for report in reports], "scaler": scaler.state_dict()}
        files = pack_checkpoint(model, optimizer, schedule, dist_context, progress)
        if dist_context.rank == 0:
            on_epoch_end(report)
            checkpoints.save(report.epoch, files, _best_epoch(reports))
    if dist_context.rank == 0:  # on other ranks the files may not be written yet, or already be removed
        load_weights(checkpoints.load_epoch(_best_epoch(reports)), model)
    dist_context.broadcast(model)
    model.eval()
    return reports


@dataclass(slots=True)
class TrainStep:
    """One optimizer step on a global batch."""

    model: RecognizerModel
    optimizer: AdamW
    schedule: LambdaLR
    dist_context: DistContext
    clip: float
    dtype: torch.dtype
    scaler: GradScaler

    def __call__(self, batches: Iterable[Batch]) -> tuple[float, dict[str, float]]:
        """Update the weights with this worker's micro-batches; returns the result of `accumulate_gradients`."""
        self.optimizer.zero_grad(set_to_none=True)
        posts, losses = accumulate_gradients(self.model, batches, self.dist_context, self.scaler, self.dtype)
        if posts:
            self.scaler.unscale_(self.optimizer)
            clip_grad_norm_((weights for weights in self.model.parameters() if weights.requires_grad), self.clip)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.schedule.step()
        return posts, losses


def accumulate_gradients(
    model: RecognizerModel, batches: Iterable[Batch], dist_context: DistContext, scaler: GradScaler, dtype: torch.dtype
) -> tuple[float, dict[str, float]]:
    """Compute the gradients of the mean loss over the global batch: all micro-batches of all workers.

    The mean is over posts, so it does not depend on how they are split among micro-batches and workers. Returns the
    number of posts of all workers (0 if none has any left), and the sum of each loss over this worker's posts.
    """
    batches = list(batches)
    (posts,) = dist_context.all_reduce(sum(map(len, batches)))
    losses: dict[str, float] = {}
    for batch in batches:
        batch_on_device = batch.to(model.device)
        with torch.autocast(model.device.type, dtype, enabled=dtype is not torch.float32):
            output = model(batch_on_device)
        scaler.scale(output.total().sum() / posts).backward()
        for name, loss in output.losses.items():
            losses[name] = losses.get(name, 0.0) + float(loss.detach().sum())
    if posts:
        dist_context.all_reduce_gradients(weights for weights in model.parameters() if weights.requires_grad)
    return posts, losses


def _best_epoch(reports: Sequence[EpochReport]) -> int:
    """Return the epoch with the highest F1, the first one if several are equal; 0 before any."""
    return max((report.epoch for report in reports if report.best), default=0)


def _train_epoch(
    train_step: TrainStep, loader: EpochLoader, collator: DataCollator, settings: TrainingSettings, epoch: int
) -> tuple[dict[str, float], float, float, float]:
    """Return mean losses, seconds, seconds that were spent waiting for batches, and the posts of all workers."""
    train_step.model.train()
    steps = prefetch(_micro_batches(posts, collator, settings.micro_batch) for posts in loader.iter_epoch(epoch))
    start, waited = time.perf_counter(), 0.0
    total_posts, loss_sums = 0.0, dict[str, float]()
    while True:
        wait_start = time.perf_counter()
        batches = next(steps, [])
        waited += time.perf_counter() - wait_start
        num_posts, losses = train_step(batches)
        if not num_posts:
            break
        total_posts += num_posts
        for name, loss in losses.items():
            loss_sums[name] = loss_sums.get(name, 0.0) + loss
    if not total_posts:
        raise CorpusError(NO_TRAINING_POSTS)  # a streaming loader does not know how many of its posts have labels
    names = train_step.model.loss_names  # not those of this worker's batches, as it may have had none
    sums = train_step.dist_context.all_reduce(*(loss_sums.get(name, 0.0) for name in names))
    mean_losses = {name: loss_sum / total_posts for name, loss_sum in zip(names, sums, strict=True)}
    if any(map(math.isnan, mean_losses.values())):
        raise RunError(f"epoch {epoch}: the loss is NaN; lower training.lr_encoder or training.lr_new")
    return mean_losses, time.perf_counter() - start, waited, total_posts


def _micro_batches(posts: Sequence[Feature], collator: DataCollator, micro_batch: int | None) -> list[Batch]:
    size = micro_batch or len(posts) or 1
    return [collator(posts[start : start + size]) for start in range(0, len(posts), size)]


def _evaluate(
    recognizer: Recognizer, validation: Sequence[Example], collator: DataCollator, dist_context: DistContext
) -> SpanCounts:
    """Return lenient span counts over the validation posts of all workers."""
    labels = recognizer.model.config.labels
    correct = num_predicted = num_gold = 0
    for example, tagged in zip(validation, recognizer.tag(validation, collator=collator), strict=True):
        gold = set(lenient_spans([labels[label] for label in example.labels or ()]))
        predicted = set(lenient_spans(tagged.tags))
        correct += len(gold & predicted)
        num_predicted += len(predicted)
        num_gold += len(gold)
    return SpanCounts(*map(int, dist_context.all_reduce(correct, num_predicted, num_gold)))
