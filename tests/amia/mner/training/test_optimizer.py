"""Which weight learns how fast; the rise and fall of both rates."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import AdamW

from amia.mner.model import RecognizerModel
from amia.mner.training.optimizer import make_optimizer, make_schedule
from amia.mner.training.settings import TrainingSettings
from tests.helpers.learnable import word_recognizer


def assert_grouped(model: RecognizerModel, settings: TrainingSettings, encoder: float, new: float) -> None:
    found: dict[int, dict[str, float]] = {}
    for group in make_optimizer(model, settings).param_groups:
        for weights in group["params"]:
            assert id(weights) not in found, "in one group only"
            found[id(weights)] = {"lr": group["lr"], "weight_decay": group["weight_decay"]}
    expected = {}
    for name, weights in model.named_parameters():
        if weights.requires_grad:
            pretrained = name.startswith(("text.encoder.", "visual.backbone."))
            decay = settings.weight_decay if weights.ndim > 1 else 0.0
            expected[id(weights)] = {"lr": encoder if pretrained else new, "weight_decay": decay}
    assert found == expected


@pytest.mark.parametrize("trained", [False, True])
def test_every_weight_that_learns_is_in_one_group(bert_system: Callable[..., RecognizerModel], trained: bool) -> None:
    model = bert_system("bert-resnet-crf", train_visual=trained)
    settings = TrainingSettings(lr_encoder=0.25, lr_new=0.5, weight_decay=0.125)
    assert_grouped(model, settings, encoder=0.25, new=0.5)
    groups = make_optimizer(model, settings).param_groups
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {
        (0.25, 0.125), (0.25, 0.0), (0.5, 0.125), (0.5, 0.0)
    }  # fmt: skip
    learn = {id(weights) for group in groups for weights in group["params"]}
    assert {id(weights) in learn for weights in model.visual.parameters()} == {trained}
    assert groups[-1]["lr"] == 0.5, "the last is what reports call the rate of new layers"


def test_what_is_not_set_is_the_systems_own(bert_system: Callable[..., RecognizerModel]) -> None:
    assert_grouped(bert_system("maf"), TrainingSettings(), encoder=5e-5, new=1e-4)
    assert_grouped(bert_system("bert"), TrainingSettings(lr_new=0.5), encoder=5e-5, new=0.5)
    assert_grouped(word_recognizer().model, TrainingSettings(lr_encoder=0.5), encoder=0.5, new=1e-3)


@given(
    steps=st.integers(1, 60),
    warmup=st.floats(0, 1, exclude_max=True),
    rates=st.lists(st.floats(1e-6, 1), min_size=1, max_size=3),
)
def test_rates_rise_and_fall_in_straight_lines(steps: int, warmup: float, rates: list[float]) -> None:
    optimizer = AdamW([{"params": [torch.zeros(1, requires_grad=True)], "lr": rate} for rate in rates])
    schedule = make_schedule(optimizer, steps, warmup)
    rising = round(warmup * steps)
    for step in range(steps + 2):
        if step < rising:
            share = (step + 1) / rising
        elif step < steps:
            share = 1 - (step - rising) / (steps - rising)
        else:
            share = 0.0
        assert schedule.get_last_lr() == pytest.approx([rate * share for rate in rates])
        assert [group["lr"] for group in optimizer.param_groups] == schedule.get_last_lr()
        optimizer.step()
        schedule.step()
