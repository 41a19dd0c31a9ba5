"""Labels by themselves, against sums written out."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.layers.decoders import Softmax


def probabilities(row: list[float]) -> list[float]:
    total = sum(map(math.exp, row))
    return [math.exp(each) / total for each in row]


@given(st.integers(0, 10**6), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_against_loops(seed, lengths):
    chance = torch.Generator().manual_seed(seed)
    emissions = 2 * torch.randn(len(lengths), max(lengths), 4, generator=chance)
    labels = torch.randint(0, 4, emissions.shape[:2], generator=chance)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    every = [
        [probabilities(word) for word in row[:length]] for row, length in zip(emissions.tolist(), lengths, strict=True)
    ]
    softmax = Softmax()
    expected = [
        -sum(math.log(word[label]) for word, label in zip(post, gold, strict=False)) / len(post)
        for post, gold in zip(every, labels.tolist(), strict=True)
    ]
    assert softmax.loss(emissions, labels, mask).tolist() == pytest.approx(expected, abs=1e-5)
    assert softmax.decode(emissions, mask) == [[word.index(max(word)) for word in post] for post in every]
    spans = [[(0, (1,)), (len(post) - 1, (3,)), (0, (0, 2)[: len(post)])] for post in every]
    assert softmax.span_scores(emissions, mask, spans) == [
        pytest.approx(
            [math.prod(post[start + place][label] for place, label in enumerate(path)) for start, path in found],
            abs=1e-5,
        )
        for post, found in zip(every, spans, strict=True)
    ]


def test_an_ill_fitting_mask():
    emissions, mask = torch.zeros(1, 3, 4), torch.tensor([[True, False, True]])
    with pytest.raises(ValueError, match="from its first word to its last"):
        Softmax().loss(emissions, torch.zeros(1, 3, dtype=torch.long), mask)
    with pytest.raises(ValueError, match="does not fit"):
        Softmax().decode(emissions, mask[:, :2])
