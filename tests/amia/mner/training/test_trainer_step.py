"""One step: the gradient of the mean over all posts, however they were cut; clipping; nothing where no posts are."""

from collections.abc import Callable

import pytest
import torch
from torch.amp import GradScaler

from amia.mner.data_collator import Batch, collate
from amia.mner.features import EncodedPost
from amia.mner.model import RecognizerModel
from amia.mner.training.distributed import DistContext
from amia.mner.training.optimizer import make_optimizer, make_schedule
from amia.mner.training.settings import TrainingSettings
from amia.mner.training.trainer import TrainStep, add_gradients

LENGTHS = [5, 2, 7, 1, 4, 3, 6]
IMAGES = [True, False, True, True, False, True, True]
CPU = torch.device("cpu")
Make = Callable[..., RecognizerModel]


@pytest.fixture
def posts(piece_posts: Callable[..., list[EncodedPost]]) -> list[EncodedPost]:
    return piece_posts(LENGTHS)


def cut(posts: list[EncodedPost], *sizes: int) -> list[Batch]:
    """The same posts with the same pixels in batches of these sizes."""
    pixels = torch.randn(len(posts), 3, 40, 40, generator=torch.Generator().manual_seed(0))
    batches, start = [], 0
    for size in sizes:
        batch = collate(posts[start : start + size])
        batch.pixels = pixels[start : start + size]
        batch.has_image = torch.tensor(IMAGES[start : start + size])
        batches.append(batch)
        start += size
    assert start == len(posts)
    return batches


def gradients(model: RecognizerModel, batches: list[Batch]) -> tuple[float, dict[str, float], dict[str, torch.Tensor]]:
    model.zero_grad()
    posts, losses = add_gradients(model, batches, DistContext(CPU), GradScaler("cpu", enabled=False), torch.float32)
    return posts, losses, {name: each.grad for name, each in model.named_parameters() if each.grad is not None}


@pytest.mark.parametrize("trained", [False, True])
def test_micro_batches_of_any_size_step_as_one_batch_does(
    bert_system: Make, posts: list[EncodedPost], trained: bool
) -> None:
    model = bert_system("bert-resnet-crf", train_visual=trained).train()
    count, losses, whole = gradients(model, cut(posts, 7))
    assert count == 7
    learn = {name for name, each in model.named_parameters() if each.requires_grad}
    assert whole.keys() == learn
    assert sum(bool(each.any()) for each in whole.values()) > 30
    # By hand: the mean of what each post says alone.
    model.zero_grad()
    alone = torch.stack([model(batch).total()[0] for batch in cut(posts, *[1] * 7)])
    alone.mean().backward()
    assert losses == {"tags": pytest.approx(float(alone.detach().sum()), rel=1e-6)}
    expected = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    for sizes in ((7,), (1, 4, 2), (6, 1), (3, 3, 1)):
        count, some, found = gradients(model, cut(posts, *sizes))
        assert count == 7
        assert some == {"tags": pytest.approx(losses["tags"], rel=1e-6)}
        assert found.keys() == expected.keys()
        for name, gradient in expected.items():
            scale = max(1.0, float(gradient.abs().max()))
            torch.testing.assert_close(found[name], gradient, atol=1e-6 * scale, rtol=0)


def stepper(model: RecognizerModel, clip: float, steps: int = 10) -> TrainStep:
    optimizer = make_optimizer(model, TrainingSettings(lr_encoder=0.01, lr_new=0.1))
    schedule = make_schedule(optimizer, steps, 0.0)
    return TrainStep(
        model, optimizer, schedule, DistContext(CPU), clip, torch.float32, GradScaler("cpu", enabled=False)
    )


def test_a_gradient_that_is_too_long_is_shortened_as_a_whole(bert_system: Make, posts: list[EncodedPost]) -> None:
    model = bert_system("bert-resnet-crf").train()
    _, losses, free = gradients(model, cut(posts, 4, 3))
    free = {name: each.clone() for name, each in free.items()}
    norm = torch.stack([each.square().sum() for each in free.values()]).sum().sqrt()
    assert norm > 0.5
    before = {name: each.detach().clone() for name, each in model.named_parameters()}
    step = stepper(model, clip=0.5)
    told = step.step(cut(posts, 4, 3))
    assert told == (7, losses)
    for name, each in model.named_parameters():
        if name in free:
            torch.testing.assert_close(each.grad, free[name] * 0.5 / norm, atol=1e-6, rtol=1e-4)
            assert not torch.equal(each, before[name]), name
        else:
            assert torch.equal(each, before[name]), name
    assert step.schedule.last_epoch == 1


def test_the_gradient_of_a_step_is_its_own(bert_system: Make, posts: list[EncodedPost]) -> None:
    first, second = bert_system("bert-resnet-crf").train(), bert_system("bert-resnet-crf").train()
    step = stepper(first, clip=1e9)
    step.step(cut(posts, 7))
    second.load_state_dict(first.state_dict())
    step.step(cut(posts, 5, 2))
    _, _, expected = gradients(second, cut(posts, 5, 2))
    assert all(torch.equal(first.get_parameter(name).grad, gradient) for name, gradient in expected.items())


def test_without_posts_nothing_moves(bert_system: Make) -> None:
    model = bert_system("bert-resnet-crf").train()
    before = {name: each.detach().clone() for name, each in model.named_parameters()}
    step = stepper(model, clip=1.0)
    assert step.step([]) == (0, {})
    assert all(torch.equal(each, before[name]) for name, each in model.named_parameters())
    assert step.schedule.last_epoch == 0
    assert not step.optimizer.state
