"""Training as a whole: it repeats, it goes on after a kill, and it leaves the best epoch behind."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load

from amia.errors import CorpusError, RunError
from amia.mner.features import Example, Feature, encode_example
from amia.mner.metrics import score
from amia.mner.predictor import Recognizer
from amia.mner.training.checkpoint import Files
from amia.mner.training.data import EpochLoader, InMemoryLoader
from amia.mner.training.distributed import DistContext
from amia.mner.training.settings import TrainingSettings
from amia.mner.training.trainer import EpochReport, fit
from tests.helpers.learnable import B_LOC, B_PER, MemoryCheckpoints, image_recognizer, labeled_posts, word_recognizer

WORLD = DistContext(torch.device("cpu"))
TRAIN, VALIDATION = labeled_posts(32), labeled_posts(12, seed=1)
SETTINGS = TrainingSettings(epochs=4, batch=8, micro_batch=3, lr_encoder=0.003, lr_new=0.02, device="cpu")


def picture(number: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)).save(data, "PNG")
    return data.getvalue()


def trained(
    recognizer: Recognizer,
    checkpoints: MemoryCheckpoints | None = None,
    *,
    feed: EpochLoader | None = None,
    validation: Sequence[Example] = VALIDATION,
    report: Callable[[EpochReport], None] = lambda _: None,
    **more: object,
) -> list[EpochReport]:
    settings = SETTINGS.model_copy(update=more)
    examples = [replace(each, image=picture(n) if n % 3 else None) for n, each in enumerate(TRAIN)]
    feed = feed or InMemoryLoader(encode_example(examples, recognizer.reader), 8, settings.seed, WORLD)
    checkpoints = checkpoints or MemoryCheckpoints()
    return fit(recognizer, feed, validation, recognizer.batches(), settings, checkpoints, world=WORLD, report=report)


def timeless(reports: Sequence[EpochReport]) -> list[dict[str, object]]:
    return [
        {name: value for name, value in asdict(each).items() if name not in ("posts_per_s", "waited")}
        for each in reports
    ]


def assert_equal_weights(one: Recognizer, other: Recognizer) -> None:
    mine, theirs = one.model.state_dict(), other.model.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(each, theirs[name]) for name, each in mine.items())


class KilledError(Exception):
    """What stands for the end of the process."""


class DyingCheckpoints(MemoryCheckpoints):
    """The process ends when the second epoch has been kept."""

    def keep(self, epoch: int, files: Files, best: int) -> None:
        super().keep(epoch, files, best)
        if epoch == 2:
            raise KilledError


@pytest.mark.parametrize("make", [word_recognizer, image_recognizer])
def test_killed_and_started_again_it_ends_as_if_it_had_not_been(make: Callable[..., Recognizer]) -> None:
    straight, checkpoints = make(seed=0), MemoryCheckpoints()
    expected = trained(straight, checkpoints)
    assert [each.epoch for each in expected] == [1, 2, 3, 4]
    assert straight.model.config.dropout > 0

    dying = DyingCheckpoints()
    with pytest.raises(KilledError):
        trained(make(seed=0), dying)
    # Another process: whatever it starts from, and whatever was random before, is not what counts.
    later = MemoryCheckpoints()
    later.needed, later.ever = dict(dying.needed), dict(dying.ever)
    fresh, told = make(seed=1), list[EpochReport]()
    torch.manual_seed(123)
    found = trained(fresh, later, report=told.append)
    assert timeless(found) == timeless(expected)
    assert [each.epoch for each in told] == [3, 4]
    assert_equal_weights(fresh, straight)
    for name in ("model.safetensors", "optimizer.safetensors", "random.safetensors"):
        assert later.ever[4][name] == checkpoints.ever[4][name], name


def test_the_same_seed_the_same_weights_another_seed_others() -> None:
    one, again, other = word_recognizer(), word_recognizer(), word_recognizer()
    first = trained(one)
    torch.manual_seed(77)
    assert timeless(trained(again)) == timeless(first)
    assert_equal_weights(one, again)
    # Not by the order of posts alone, but by what dropout drops.
    trained(other, seed=1, feed=InMemoryLoader(encode_example(TRAIN, other.reader), 8, SETTINGS.seed, WORLD))
    assert not torch.equal(one.model.classifier.weight, other.model.classifier.weight)


class ChangingFeed:
    """Teaches what is right in the second and third epoch, and else that persons are places and places persons."""

    steps = 4

    def __init__(self, recognizer: Recognizer) -> None:
        wrong = {B_PER: B_LOC, B_LOC: B_PER}
        lies = [replace(each, labels=tuple(wrong.get(label, label) for label in each.labels or ())) for each in TRAIN]
        self._right, self._wrong = (encode_example(each, recognizer.reader) for each in (TRAIN, lies))

    def epoch(self, number: int) -> Iterator[Sequence[Feature]]:
        items = self._right if number in (2, 3) else self._wrong
        return (items[start : start + 8] for start in range(0, 32, 8))


def test_the_best_epoch_is_left_behind() -> None:
    recognizer, checkpoints, told = word_recognizer(dropout=0.0), MemoryCheckpoints(), list[EpochReport]()
    reports = trained(recognizer, checkpoints, feed=ChangingFeed(recognizer), report=told.append, epochs=5, lr_new=0.1)
    assert told == reports
    scores = [each.f1 for each in reports]
    assert scores[0] < scores[1]
    best, highest = list[bool](), -1.0
    for each in scores:
        best.append(each > highest)
        highest = max(highest, each)
    assert [each.best for each in reports] == best
    chosen = scores.index(highest) + 1
    assert scores[4] < highest
    assert chosen in (2, 3)
    assert checkpoints.needed.keys() == {chosen, 5}
    assert not recognizer.model.training
    kept, last = (load(checkpoints.ever[epoch]["model.safetensors"]) for epoch in (chosen, 5))
    for name, each in recognizer.model.named_parameters():
        assert torch.equal(each, kept[name])
    assert not torch.equal(recognizer.model.classifier.weight, last["classifier.weight"])
    # The report's figures are those of the recognizer that is left.
    labels = recognizer.model.config.labels
    gold = [[labels[label] for label in each.labels or ()] for each in VALIDATION]
    micro = score(gold, [list(each.tags) for each in recognizer.tag(VALIDATION)]).micro
    told_best = reports[chosen - 1]
    assert (told_best.precision, told_best.recall, told_best.f1) == (micro.precision, micro.recall, micro.f1)


@pytest.mark.parametrize("patience", [1, 3])
def test_without_a_better_epoch_it_ends_and_the_first_of_equals_is_kept(patience: int) -> None:
    recognizer, checkpoints = word_recognizer(), MemoryCheckpoints()
    still = {"epochs": 9, "patience": patience, "lr_new": 1e-6, "warmup": 0.0}
    reports = trained(recognizer, checkpoints, **still)
    assert len({each.f1 for each in reports}) == 1, "it hardly moves"
    assert [each.best for each in reports] == [True] + [False] * patience
    first, last = (load(checkpoints.ever[epoch]["model.safetensors"]) for epoch in (1, 1 + patience))
    for name, each in recognizer.model.named_parameters():
        assert torch.equal(each, first[name])
    assert not torch.equal(first["classifier.weight"], last["classifier.weight"])
    # Started again, it is over.
    fresh, told = word_recognizer(seed=1), list[EpochReport]()
    assert trained(fresh, checkpoints, report=told.append, **still) == reports
    assert not told
    assert not fresh.model.training
    assert_equal_weights(fresh, recognizer)


def test_the_reported_loss_is_the_mean_over_the_posts() -> None:
    recognizer = word_recognizer(dropout=0.0)
    recognizer.model.train()
    batches, items = recognizer.batches(), encode_example(TRAIN, recognizer.reader)
    with torch.no_grad():
        expected = sum(float(recognizer.model(batches.of([item])).total()) for item in items) / len(items)
    (told,) = trained(recognizer, epochs=1, lr_new=1e-9, warmup=0.0)
    assert told.loss == {"tags": pytest.approx(expected, rel=1e-5)}
    assert told.lr == 0.0, "the last epoch ends at none"
    assert told.posts_per_s > 0
    assert 0 <= told.waited <= 1


def test_without_posts_to_learn_from_or_to_choose_by() -> None:
    recognizer = word_recognizer()
    with pytest.raises(CorpusError, match="no labeled posts to train on"):
        trained(recognizer, feed=InMemoryLoader([], 8, 0, WORLD))
    with pytest.raises(CorpusError, match="choose the best epoch"):
        trained(recognizer, validation=[])


def test_a_loss_that_is_no_number_ends_it_and_is_not_kept() -> None:
    checkpoints = MemoryCheckpoints()
    with pytest.raises(RunError, match="epoch 1: the loss is no number"):
        trained(word_recognizer(), checkpoints, lr_new=1e37, warmup=0.0)
    assert not checkpoints.ever
