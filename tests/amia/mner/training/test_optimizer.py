"""Test parameter groups and the learning rate schedule."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import AdamW
from transformers import get_linear_schedule_with_warmup

from amia.mner.model import RecognizerModel
from amia.mner.training.optimizer import make_optimizer, make_schedule
from amia.mner.training.settings import TrainingSettings
from tests.helpers.learnable import word_recognizer


def assert_groups(model: RecognizerModel, settings: TrainingSettings, lr_encoder: float, lr_new: float) -> None:
    options: dict[int, dict[str, float]] = {}
    for group in make_optimizer(model, settings).param_groups:
        for parameter in group["params"]:
            assert id(parameter) not in options, "in one group only"
            options[id(parameter)] = {"lr": group["lr"], "weight_decay": group["weight_decay"]}
    expected = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_pretrained = name.startswith(("text.encoder.", "visual.backbone."))
            weight_decay = settings.weight_decay if parameter.ndim > 1 else 0.0
            expected[id(parameter)] = {"lr": lr_encoder if is_pretrained else lr_new, "weight_decay": weight_decay}
    assert options == expected


@pytest.mark.parametrize("trained", [False, True])
def test_each_trained_parameter_is_in_one_group(bert_system: Callable[..., RecognizerModel], trained: bool) -> None:
    model = bert_system("bert-resnet-crf", train_visual=trained)
    settings = TrainingSettings(lr_encoder=0.25, lr_new=0.5, weight_decay=0.125)
    assert_groups(model, settings, lr_encoder=0.25, lr_new=0.5)
    groups = make_optimizer(model, settings).param_groups
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {
        (0.25, 0.125), (0.25, 0.0), (0.5, 0.125), (0.5, 0.0)
    }  # fmt: skip
    in_groups = {id(parameter) for group in groups for parameter in group["params"]}
    assert {id(parameter) in in_groups for parameter in model.visual.parameters()} == {trained}
    assert groups[-1]["lr"] == 0.5, "reports take the learning rate of new layers from the last group"


def test_defaults_are_the_systems_recipe(bert_system: Callable[..., RecognizerModel]) -> None:
    assert_groups(bert_system("maf"), TrainingSettings(), lr_encoder=5e-5, lr_new=1e-4)
    assert_groups(bert_system("bert"), TrainingSettings(lr_new=0.5), lr_encoder=5e-5, lr_new=0.5)
    assert_groups(word_recognizer().model, TrainingSettings(lr_encoder=0.5), lr_encoder=0.5, lr_new=1e-3)


@given(
    steps=st.integers(1, 60),
    warmup=st.floats(0, 1, exclude_max=True),
    learning_rates=st.lists(st.floats(1e-6, 1), min_size=1, max_size=3),
)
def test_schedule_is_piecewise_linear(steps: int, warmup: float, learning_rates: list[float]) -> None:
    optimizer = AdamW([{"params": [torch.zeros(1, requires_grad=True)], "lr": rate} for rate in learning_rates])
    schedule = make_schedule(optimizer, steps, warmup)
    warmup_steps = round(warmup * steps)
    for step in range(steps + 2):
        if step < warmup_steps:
            factor = (step + 1) / warmup_steps
        elif step < steps:
            factor = 1 - (step - warmup_steps) / (steps - warmup_steps)
        else:
            factor = 0.0
        assert schedule.get_last_lr() == pytest.approx([rate * factor for rate in learning_rates])
        assert [group["lr"] for group in optimizer.param_groups] == schedule.get_last_lr()
        optimizer.step()
        schedule.step()


def test_schedule_differs_from_transformers_only_in_warmup() -> None:
    steps, warmup_steps = 20, 5

    def rates(make: Callable[[AdamW], torch.optim.lr_scheduler.LambdaLR]) -> list[float]:
        optimizer = AdamW([torch.zeros(1, requires_grad=True)], lr=0.5)
        schedule, values = make(optimizer), list[float]()
        for _ in range(steps + 1):
            values += schedule.get_last_lr()
            optimizer.step()
            schedule.step()
        return values

    ours = rates(lambda optimizer: make_schedule(optimizer, steps, warmup_steps / steps))
    theirs = rates(lambda optimizer: get_linear_schedule_with_warmup(optimizer, warmup_steps, steps))
    assert ours[warmup_steps:] == theirs[warmup_steps:]
    assert ours[: warmup_steps - 1] == theirs[1:warmup_steps]
    assert theirs[0] == 0 < ours[0]
