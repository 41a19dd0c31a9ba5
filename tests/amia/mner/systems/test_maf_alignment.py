"""Alignment against a plain loop over posts."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.systems.maf import Alignment, alignment_losses


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def loop(texts: list[list[float]], images: list[list[float]], compared: list[list[bool]]) -> list[float]:
    losses = []
    for post in range(len(texts)):
        others = [other for other in range(len(texts)) if compared[post][other]]
        own = math.exp(cosine(texts[post], images[post]) / 0.179)
        to_image = [math.exp(cosine(texts[post], images[other]) / 0.179) for other in others]
        to_text = [math.exp(cosine(texts[other], images[post]) / 0.179) for other in others]
        losses.append(-0.7 * math.log(own / (own + sum(to_image))) - 0.3 * math.log(own / (own + sum(to_text))))
    return losses


@given(st.integers(0, 10**6), st.integers(1, 6))
def test_against_a_loop(seed, posts):
    chance = torch.Generator().manual_seed(seed)
    texts, images = torch.randn(2, posts, 5, generator=chance)
    half = torch.rand(posts, posts, generator=chance) < 0.7
    compared = (half & half.T).fill_diagonal_(False)
    found = alignment_losses(texts, images, compared)
    assert found.tolist() == pytest.approx(loop(texts.tolist(), images.tolist(), compared.tolist()), abs=1e-4)


def test_who_has_nobody_to_compare_loses_nothing_and_moves_nothing():
    torch.manual_seed(0)
    texts, images = torch.randn(3, 8), torch.randn(3, 6)
    images[1] = 0.0
    compared = torch.zeros(3, 3, dtype=torch.bool)
    compared[0, 2] = compared[2, 0] = True
    texts.requires_grad_()
    images.requires_grad_()
    torch.manual_seed(1)
    losses = Alignment(8, 6)(texts, images, compared)
    assert losses[1] == 0
    assert (losses[[0, 2]] > 0).all()
    losses.sum().backward()
    for inputs in (texts, images):
        assert (inputs.grad[1] == 0).all()
        assert (inputs.grad[[0, 2]] != 0).any(1).all()


def test_float32_in_mixed_precision():
    texts, images = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    compared = ~torch.eye(4, dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = alignment_losses(texts, images, compared)
    assert torch.equal(mixed, alignment_losses(texts, images, compared))
