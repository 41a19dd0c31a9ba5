"""The chain against plain loops over every label sequence."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.layers.decoders import CRF

LABELS = ("O", "B-A", "I-A", "B-B", "I-B")


def chain(seed: int, constrained: bool) -> CRF:
    crf = CRF(LABELS, constrained=constrained)
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in crf.parameters():
            weights.copy_(torch.randn(weights.shape, generator=chance))
    return crf


def allowed(path: tuple[int, ...]) -> bool:
    names = ["O", *(LABELS[label] for label in path)]
    return all(
        name[0] != "I" or (before != "O" and before[2:] == name[2:]) for before, name in itertools.pairwise(names)
    )


def scored(crf: CRF, emissions: torch.Tensor, constrained: bool) -> dict[tuple[int, ...], float]:
    """The score of every sequence for one post's emissions [W, L]."""
    start, end, moves = crf.start.tolist(), crf.end.tolist(), crf.transitions.tolist()
    rows, scores = emissions.tolist(), {}
    for path in itertools.product(range(len(LABELS)), repeat=len(rows)):
        if constrained and not allowed(path):
            continue
        score = start[path[0]] + end[path[-1]]
        for word, label in enumerate(path):
            score += rows[word][label]
        for before, label in itertools.pairwise(path):
            score += moves[before][label]
        scores[path] = score
    return scores


def drawn(seed: int, lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Emissions [B, W, L], wild beyond a post's end, and the mask."""
    emissions = 2 * torch.randn(len(lengths), max(lengths), len(LABELS), generator=torch.Generator().manual_seed(seed))
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return emissions.masked_fill(~mask[:, :, None], 77.0), mask


cases = pytest.mark.parametrize("constrained", [False, True])
lengths_of = st.lists(st.integers(1, 4), min_size=1, max_size=3)


@cases
@given(st.integers(0, 10**6), lengths_of)
def test_likelihood_and_best_sequence(constrained, seed, lengths):
    crf, (emissions, mask) = chain(seed, constrained), drawn(seed + 1, lengths)
    every = [scored(crf, emissions[row, :length], constrained) for row, length in enumerate(lengths)]
    gold = [sorted(scores)[seed % len(scores)] for scores in every]
    labels = torch.tensor([[*path, *[3] * (mask.shape[1] - len(path))] for path in gold])
    expected = [
        math.log(sum(map(math.exp, scores.values()))) - scores[path] for scores, path in zip(every, gold, strict=True)
    ]
    found = crf.loss(emissions, labels, mask)
    assert found.dtype == torch.float32
    assert found.tolist() == pytest.approx(expected, abs=1e-4)
    assert crf.decode(emissions, mask) == [list(max(scores, key=scores.__getitem__)) for scores in every]


@cases
@given(st.integers(0, 10**6), st.integers(1, 4), st.data())
def test_probability_of_a_span(constrained, seed, length, data):
    crf, (emissions, mask) = chain(seed, constrained), drawn(seed + 1, [length, 4])
    scores = scored(crf, emissions[0, :length], constrained)
    start = data.draw(st.integers(0, length - 1))
    labels = tuple(data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=length - start)))
    walked = [score for path, score in scores.items() if path[start : start + len(labels)] == labels]
    expected = sum(map(math.exp, walked)) / sum(map(math.exp, scores.values()))
    found = crf.span_scores(emissions, mask, [[(start, labels)], []])
    assert found == [[pytest.approx(expected, abs=1e-4)], []]


@pytest.mark.parametrize("length", [1, 4])
def test_a_words_labels_share_one_probability(length):
    crf, (emissions, mask) = chain(3, True), drawn(4, [length])
    spans = [(length - 1, (label,)) for label in range(len(LABELS))]
    assert sum(crf.span_scores(emissions, mask, [spans])[0]) == pytest.approx(1, abs=1e-5)


def test_whatever_the_emissions_constraints_hold():
    crf = chain(5, True)
    emissions = torch.zeros(1, 4, len(LABELS))
    emissions[0, :, 2] = 50.0  # I-A everywhere
    assert [LABELS[label] for label in crf.decode(emissions, torch.ones(1, 4, dtype=torch.bool))[0]] == [
        "B-A",
        "I-A",
        "I-A",
        "I-A",
    ]


@cases
def test_padding_changes_nothing(constrained):
    crf, (emissions, mask) = chain(1, constrained), drawn(2, [3, 5, 1])
    labels = torch.tensor([[1, 2, 0, 0, 0], [0, 3, 4, 0, 1], [0, 0, 0, 0, 0]])
    together = crf.loss(emissions, labels, mask)
    together.sum().backward()
    with_padding = {name: weights.grad.clone() for name, weights in crf.named_parameters()}
    crf.zero_grad()
    for row, length in enumerate([3, 5, 1]):
        one = (emissions[row : row + 1, :length], mask[row : row + 1, :length])
        alone = crf.loss(one[0], labels[row : row + 1, :length], one[1])
        alone.sum().backward()
        assert alone.item() == pytest.approx(together[row].item(), abs=1e-5)
        assert crf.decode(*one)[0] == crf.decode(emissions, mask)[row]
    for name, weights in crf.named_parameters():
        assert torch.allclose(weights.grad, with_padding[name], atol=1e-5), name


def test_gradients_are_finite_and_stop_at_a_posts_end():
    crf, (emissions, mask) = chain(1, True), drawn(2, [2, 4])
    emissions.requires_grad_()
    crf.loss(emissions, torch.zeros(2, 4, dtype=torch.long), mask).sum().backward()
    assert emissions.grad.isfinite().all()
    assert (emissions.grad[0, 2:] == 0).all()
    assert (emissions.grad[0, :2] != 0).any()


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        ([[True, True]], "does not fit"),
        ([[True, True, True]], "does not fit"),
        ([[True, True, True], [True, False, True]], "from its first word to its last"),
        ([[True, True, True], [False, False, False]], "from its first word to its last"),
        ([[True, True, True], [False, True, True]], "from its first word to its last"),
    ],
)
def test_an_ill_fitting_mask(mask, said):
    crf, emissions, mask = chain(0, True), torch.zeros(2, 3, len(LABELS)), torch.tensor(mask)
    with pytest.raises(ValueError, match=said):
        crf.loss(emissions, torch.zeros(2, 3, dtype=torch.long), mask)
    with pytest.raises(ValueError, match=said):
        crf.decode(emissions, mask)
    with pytest.raises(ValueError, match=said):
        crf.span_scores(emissions, mask, [[], []])
