"""Test `SoftmaxDecoder` against plain loops."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.layers.decoders import SoftmaxDecoder


def softmax(row: list[float]) -> list[float]:
    total = sum(map(math.exp, row))
    return [math.exp(value) / total for value in row]


@given(st.integers(0, 10**6), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_equals_a_loop(seed, lengths):
    generator = torch.Generator().manual_seed(seed)
    emissions = 2 * torch.randn(len(lengths), max(lengths), 4, generator=generator)
    labels = torch.randint(0, 4, emissions.shape[:2], generator=generator)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    probabilities = [
        [softmax(word) for word in row[:length]] for row, length in zip(emissions.tolist(), lengths, strict=True)
    ]
    decoder = SoftmaxDecoder()
    expected = [
        -sum(math.log(word[label]) for word, label in zip(post, gold, strict=False)) / len(post)
        for post, gold in zip(probabilities, labels.tolist(), strict=True)
    ]
    assert decoder.loss(emissions, labels, mask).tolist() == pytest.approx(expected, abs=1e-5)
    assert decoder.decode(emissions, mask) == [[word.index(max(word)) for word in post] for post in probabilities]
    spans = [[(0, (1,)), (len(post) - 1, (3,)), (0, (0, 2)[: len(post)])] for post in probabilities]
    assert decoder.span_scores(emissions, mask, spans) == [
        pytest.approx(
            [math.prod(post[start + i][label] for i, label in enumerate(path)) for start, path in post_spans],
            abs=1e-5,
        )
        for post, post_spans in zip(probabilities, spans, strict=True)
    ]


def test_rejects_invalid_masks():
    emissions, mask = torch.zeros(1, 3, 4), torch.tensor([[True, False, True]])
    with pytest.raises(ValueError, match="from its first word to its last"):
        SoftmaxDecoder().loss(emissions, torch.zeros(1, 3, dtype=torch.long), mask)
    with pytest.raises(ValueError, match="does not fit"):
        SoftmaxDecoder().decode(emissions, mask[:, :2])
