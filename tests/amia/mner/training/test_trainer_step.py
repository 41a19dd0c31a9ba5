"""Test one optimizer step: gradients of the mean over all posts, clipping, and empty batches."""

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
from amia.mner.training.trainer import TrainStep, accumulate_gradients

LENGTHS = [5, 2, 7, 1, 4, 3, 6]
HAS_IMAGE = [True, False, True, True, False, True, True]
CPU = torch.device("cpu")
BertSystem = Callable[..., RecognizerModel]


@pytest.fixture
def posts(encoded_posts: Callable[..., list[EncodedPost]]) -> list[EncodedPost]:
    return encoded_posts(LENGTHS)


def split_batches(posts: list[EncodedPost], *sizes: int) -> list[Batch]:
    """Collate the same posts, with the same pixels, in batches of these sizes."""
    pixel_values = torch.randn(len(posts), 3, 40, 40, generator=torch.Generator().manual_seed(0))
    batches, start = [], 0
    for size in sizes:
        batch = collate(posts[start : start + size])
        batch.pixel_values = pixel_values[start : start + size]
        batch.has_image = torch.tensor(HAS_IMAGE[start : start + size])
        batches.append(batch)
        start += size
    assert start == len(posts)
    return batches


def named_gradients(model: RecognizerModel) -> dict[str, torch.Tensor]:
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def compute_gradients(
    model: RecognizerModel, batches: list[Batch]
) -> tuple[float, dict[str, float], dict[str, torch.Tensor]]:
    model.zero_grad()
    scaler = GradScaler("cpu", enabled=False)
    num_posts, losses = accumulate_gradients(model, batches, DistContext(CPU), scaler, torch.float32)
    return num_posts, losses, named_gradients(model)


@pytest.mark.parametrize("trained", [False, True])
def test_gradients_do_not_depend_on_micro_batches(
    bert_system: BertSystem, posts: list[EncodedPost], trained: bool
) -> None:
    model = bert_system("bert-resnet-crf", train_visual=trained).train()
    num_posts, losses, gradients = compute_gradients(model, split_batches(posts, 7))
    assert num_posts == 7
    assert gradients.keys() == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert sum(bool(gradient.any()) for gradient in gradients.values()) > 30
    # The expected gradients: of the mean of the losses of single posts.
    model.zero_grad()
    single_losses = torch.stack([model(batch).total()[0] for batch in split_batches(posts, *[1] * 7)])
    single_losses.mean().backward()
    assert losses == {"tags": pytest.approx(float(single_losses.detach().sum()), rel=1e-6)}
    expected = named_gradients(model)
    for sizes in ((7,), (1, 4, 2), (6, 1), (3, 3, 1)):
        num_posts, split_losses, gradients = compute_gradients(model, split_batches(posts, *sizes))
        assert num_posts == 7
        assert split_losses == {"tags": pytest.approx(losses["tags"], rel=1e-6)}
        assert gradients.keys() == expected.keys()
        for name, gradient in expected.items():
            scale = max(1.0, float(gradient.abs().max()))
            torch.testing.assert_close(gradients[name], gradient, atol=1e-6 * scale, rtol=0)


def make_train_step(model: RecognizerModel, clip: float, steps: int = 10) -> TrainStep:
    optimizer = make_optimizer(model, TrainingSettings(lr_encoder=0.01, lr_new=0.1))
    schedule = make_schedule(optimizer, steps, 0.0)
    scaler = GradScaler("cpu", enabled=False)
    return TrainStep(model, optimizer, schedule, DistContext(CPU), clip, torch.float32, scaler)


def test_clips_the_norm_of_all_gradients(bert_system: BertSystem, posts: list[EncodedPost]) -> None:
    model = bert_system("bert-resnet-crf").train()
    _, losses, gradients = compute_gradients(model, split_batches(posts, 4, 3))
    gradients = {name: gradient.clone() for name, gradient in gradients.items()}
    norm = torch.stack([gradient.square().sum() for gradient in gradients.values()]).sum().sqrt()
    assert norm > 0.5
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    train_step = make_train_step(model, clip=0.5)
    assert train_step(split_batches(posts, 4, 3)) == (7, losses)
    for name, parameter in model.named_parameters():
        if name in gradients:
            torch.testing.assert_close(parameter.grad, gradients[name] * 0.5 / norm, atol=1e-6, rtol=1e-4)
            assert not torch.equal(parameter, before[name]), name
        else:
            assert torch.equal(parameter, before[name]), name
    assert train_step.schedule.last_epoch == 1


def test_gradients_are_reset_between_steps(bert_system: BertSystem, posts: list[EncodedPost]) -> None:
    model, copy = bert_system("bert-resnet-crf").train(), bert_system("bert-resnet-crf").train()
    train_step = make_train_step(model, clip=1e9)
    train_step(split_batches(posts, 7))
    copy.load_state_dict(model.state_dict())
    train_step(split_batches(posts, 5, 2))
    _, _, expected = compute_gradients(copy, split_batches(posts, 5, 2))
    assert all(torch.equal(model.get_parameter(name).grad, gradient) for name, gradient in expected.items())


def test_no_update_without_posts(bert_system: BertSystem) -> None:
    model = bert_system("bert-resnet-crf").train()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    train_step = make_train_step(model, clip=1.0)
    assert train_step([]) == (0, {})
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    assert train_step.schedule.last_epoch == 0
    assert not train_step.optimizer.state
