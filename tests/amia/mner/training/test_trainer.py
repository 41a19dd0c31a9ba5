"""Test `fit`: reproducibility, resuming, the choice of the best epoch, and errors."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load

from amia.errors import CorpusError, RunError
from amia.mner.features import Example, Feature, encode_examples
from amia.mner.metrics import score
from amia.mner.predictor import Recognizer
from amia.mner.training.checkpoint import CheckpointFiles
from amia.mner.training.data import EpochLoader, InMemoryLoader
from amia.mner.training.distributed import DistContext
from amia.mner.training.settings import TrainingSettings
from amia.mner.training.trainer import EpochReport, fit
from tests.helpers.learnable import B_LOC, B_PER, MemoryCheckpoints, image_recognizer, labeled_posts, word_recognizer

DIST_CONTEXT = DistContext(torch.device("cpu"))
TRAIN, VALIDATION = labeled_posts(32), labeled_posts(12, seed=1)
SETTINGS = TrainingSettings(epochs=4, batch=8, micro_batch=3, lr_encoder=0.003, lr_new=0.02, device="cpu")


def make_image(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def train(
    recognizer: Recognizer,
    checkpoints: MemoryCheckpoints | None = None,
    *,
    loader: EpochLoader | None = None,
    validation: Sequence[Example] = VALIDATION,
    on_epoch_end: Callable[[EpochReport], None] = lambda _: None,
    **settings: object,
) -> list[EpochReport]:
    all_settings = SETTINGS.model_copy(update=settings)
    if loader is None:
        examples = [replace(post, image=make_image(index) if index % 3 else None) for index, post in enumerate(TRAIN)]
        features = encode_examples(examples, recognizer.tokenizer)
        loader = InMemoryLoader(features, 8, all_settings.seed, DIST_CONTEXT)
    return fit(
        recognizer,
        loader,
        validation,
        recognizer.make_collator(),
        all_settings,
        checkpoints or MemoryCheckpoints(),
        dist_context=DIST_CONTEXT,
        on_epoch_end=on_epoch_end,
    )


def without_times(reports: Sequence[EpochReport]) -> list[dict[str, object]]:
    return [
        {name: value for name, value in asdict(report).items() if name not in ("posts_per_s", "waited")}
        for report in reports
    ]


def assert_equal_weights(recognizer: Recognizer, expected: Recognizer) -> None:
    weights, expected_weights = recognizer.model.state_dict(), expected.model.state_dict()
    assert weights.keys() == expected_weights.keys()
    assert all(torch.equal(tensor, expected_weights[name]) for name, tensor in weights.items())


class KilledError(Exception):
    """Simulates the end of the process."""


class KillingCheckpoints(MemoryCheckpoints):
    """Kills the process after the second epoch is saved."""

    def save(self, epoch: int, files: CheckpointFiles, best_epoch: int) -> None:
        super().save(epoch, files, best_epoch)
        if epoch == 2:
            raise KilledError


@pytest.mark.parametrize("make_recognizer", [word_recognizer, image_recognizer])
def test_resumed_training_equals_uninterrupted_one(make_recognizer: Callable[..., Recognizer]) -> None:
    uninterrupted, checkpoints = make_recognizer(seed=0), MemoryCheckpoints()
    expected = train(uninterrupted, checkpoints)
    assert [report.epoch for report in expected] == [1, 2, 3, 4]
    assert uninterrupted.model.config.dropout > 0

    killed_checkpoints = KillingCheckpoints()
    with pytest.raises(KilledError):
        train(make_recognizer(seed=0), killed_checkpoints)
    # The new process has other initial weights and another random state, which must not matter.
    resumed_checkpoints = MemoryCheckpoints()
    resumed_checkpoints.kept, resumed_checkpoints.all = dict(killed_checkpoints.kept), dict(killed_checkpoints.all)
    resumed, new_reports = make_recognizer(seed=1), list[EpochReport]()
    torch.manual_seed(123)
    reports = train(resumed, resumed_checkpoints, on_epoch_end=new_reports.append)
    assert without_times(reports) == without_times(expected)
    assert [report.epoch for report in new_reports] == [3, 4]
    assert_equal_weights(resumed, uninterrupted)
    for name in ("model.safetensors", "optimizer.safetensors", "random.safetensors"):
        assert resumed_checkpoints.all[4][name] == checkpoints.all[4][name], name


def test_seed_determines_the_weights() -> None:
    first, repeated, other = word_recognizer(), word_recognizer(), word_recognizer()
    reports = train(first)
    torch.manual_seed(77)
    assert without_times(train(repeated)) == without_times(reports)
    assert_equal_weights(first, repeated)
    # Another seed changes dropout too, not only the order of posts.
    same_order = InMemoryLoader(encode_examples(TRAIN, other.tokenizer), 8, SETTINGS.seed, DIST_CONTEXT)
    train(other, seed=1, loader=same_order)
    assert not torch.equal(first.model.classifier.weight, other.model.classifier.weight)


class ChangingLoader:
    """Yields correct labels in the epochs 2 and 3; in others the types PER and LOC are swapped."""

    steps_per_epoch = 4

    def __init__(self, recognizer: Recognizer) -> None:
        swapped = {B_PER: B_LOC, B_LOC: B_PER}
        wrong = [
            replace(post, labels=tuple(swapped.get(label, label) for label in post.labels or ())) for post in TRAIN
        ]
        self._correct, self._wrong = (encode_examples(posts, recognizer.tokenizer) for posts in (TRAIN, wrong))

    def iter_epoch(self, epoch: int) -> Iterator[Sequence[Feature]]:
        features = self._correct if epoch in (2, 3) else self._wrong
        return (features[start : start + 8] for start in range(0, 32, 8))


def test_ends_with_the_best_epoch() -> None:
    recognizer, checkpoints, callback_reports = word_recognizer(dropout=0.0), MemoryCheckpoints(), list[EpochReport]()
    loader = ChangingLoader(recognizer)
    reports = train(recognizer, checkpoints, loader=loader, on_epoch_end=callback_reports.append, epochs=5, lr_new=0.1)
    assert callback_reports == reports
    f1_scores = [report.f1 for report in reports]
    assert f1_scores[0] < f1_scores[1]
    is_best, highest = list[bool](), -1.0
    for f1 in f1_scores:
        is_best.append(f1 > highest)
        highest = max(highest, f1)
    assert [report.best for report in reports] == is_best
    best_epoch = f1_scores.index(highest) + 1
    assert f1_scores[4] < highest
    assert best_epoch in (2, 3)
    assert checkpoints.kept.keys() == {best_epoch, 5}
    assert not recognizer.model.training
    best, last = (load(checkpoints.all[epoch]["model.safetensors"]) for epoch in (best_epoch, 5))
    for name, parameter in recognizer.model.named_parameters():
        assert torch.equal(parameter, best[name])
    assert not torch.equal(recognizer.model.classifier.weight, last["classifier.weight"])
    # The scores of the report are those of the final recognizer.
    labels = recognizer.model.config.labels
    gold = [[labels[label] for label in post.labels or ()] for post in VALIDATION]
    micro = score(gold, [list(tagged.tags) for tagged in recognizer.tag(VALIDATION)]).micro
    best_report = reports[best_epoch - 1]
    assert (best_report.precision, best_report.recall, best_report.f1) == (micro.precision, micro.recall, micro.f1)


@pytest.mark.parametrize("patience", [1, 3])
def test_stops_early_and_keeps_the_first_of_equal_epochs(patience: int) -> None:
    recognizer, checkpoints = word_recognizer(), MemoryCheckpoints()
    settings = {"epochs": 9, "patience": patience, "lr_new": 1e-6, "warmup": 0.0}
    reports = train(recognizer, checkpoints, **settings)
    assert len({report.f1 for report in reports}) == 1, "the learning rate is too small to change F1"
    assert [report.best for report in reports] == [True] + [False] * patience
    first, last = (load(checkpoints.all[epoch]["model.safetensors"]) for epoch in (1, 1 + patience))
    for name, parameter in recognizer.model.named_parameters():
        assert torch.equal(parameter, first[name])
    assert not torch.equal(first["classifier.weight"], last["classifier.weight"])
    # A resumed training stops at once.
    resumed, new_reports = word_recognizer(seed=1), list[EpochReport]()
    assert train(resumed, checkpoints, on_epoch_end=new_reports.append, **settings) == reports
    assert not new_reports
    assert not resumed.model.training
    assert_equal_weights(resumed, recognizer)


def test_reported_loss_is_the_mean_over_posts() -> None:
    recognizer = word_recognizer(dropout=0.0)
    recognizer.model.train()
    collator, features = recognizer.make_collator(), encode_examples(TRAIN, recognizer.tokenizer)
    with torch.no_grad():
        losses = [float(recognizer.model(collator([feature])).total()) for feature in features]
    (report,) = train(recognizer, epochs=1, lr_new=1e-9, warmup=0.0)
    assert report.loss == {"tags": pytest.approx(sum(losses) / len(losses), rel=1e-5)}
    assert report.lr == 0.0, "the schedule ends at 0"
    assert report.posts_per_s > 0
    assert 0 <= report.waited <= 1


def test_rejects_empty_training_or_validation() -> None:
    recognizer = word_recognizer()
    with pytest.raises(CorpusError, match="no labeled posts to train on"):
        train(recognizer, loader=InMemoryLoader([], 8, 0, DIST_CONTEXT))
    with pytest.raises(CorpusError, match="choose the best epoch"):
        train(recognizer, validation=[])


def test_nan_loss_stops_without_a_checkpoint() -> None:
    checkpoints = MemoryCheckpoints()
    with pytest.raises(RunError, match="epoch 1: the loss is NaN"):
        train(word_recognizer(), checkpoints, lr_new=1e37, warmup=0.0)
    assert not checkpoints.all
