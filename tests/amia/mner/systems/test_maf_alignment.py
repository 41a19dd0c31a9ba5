"""Test the alignment loss against a plain loop over posts."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.systems.maf import Alignment, alignment_losses


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def losses_by_loop(texts: list[list[float]], images: list[list[float]], negatives: list[list[bool]]) -> list[float]:
    losses = []
    for post in range(len(texts)):
        others = [other for other in range(len(texts)) if negatives[post][other]]
        positive = math.exp(cosine(texts[post], images[post]) / 0.179)
        to_image = [math.exp(cosine(texts[post], images[other]) / 0.179) for other in others]
        to_text = [math.exp(cosine(texts[other], images[post]) / 0.179) for other in others]
        losses.append(
            -0.7 * math.log(positive / (positive + sum(to_image)))
            - 0.3 * math.log(positive / (positive + sum(to_text)))
        )
    return losses


@given(st.integers(0, 10**6), st.integers(1, 6))
def test_equals_a_loop(seed, posts):
    generator = torch.Generator().manual_seed(seed)
    texts, images = torch.randn(2, posts, 5, generator=generator)
    random_mask = torch.rand(posts, posts, generator=generator) < 0.7
    negatives = (random_mask & random_mask.T).fill_diagonal_(False)
    losses = alignment_losses(texts, images, negatives)
    expected = losses_by_loop(texts.tolist(), images.tolist(), negatives.tolist())
    assert losses.tolist() == pytest.approx(expected, abs=1e-4)


def test_zero_loss_and_gradient_without_negatives():
    torch.manual_seed(0)
    texts, images = torch.randn(3, 8), torch.randn(3, 6)
    images[1] = 0.0
    negatives = torch.zeros(3, 3, dtype=torch.bool)
    negatives[0, 2] = negatives[2, 0] = True
    texts.requires_grad_()
    images.requires_grad_()
    torch.manual_seed(1)
    losses = Alignment(8, 6)(texts, images, negatives)
    assert losses[1] == 0
    assert (losses[[0, 2]] > 0).all()
    losses.sum().backward()
    for inputs in (texts, images):
        assert (inputs.grad[1] == 0).all()
        assert (inputs.grad[[0, 2]] != 0).any(1).all()


def test_uses_float32_under_autocast():
    texts, images = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    negatives = ~torch.eye(4, dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16):
        losses = alignment_losses(texts, images, negatives)
    assert torch.equal(losses, alignment_losses(texts, images, negatives))
