"""Test `CRF` against plain loops over all label sequences."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.layers.decoders import CRF

LABELS = ("O", "B-A", "I-A", "B-B", "I-B")


def make_crf(seed: int, constrained: bool) -> CRF:
    crf = CRF(LABELS, constrained=constrained)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return crf


def is_valid_bio2(path: tuple[int, ...]) -> bool:
    names = ["O", *(LABELS[label] for label in path)]
    return all(
        name[0] != "I" or (previous != "O" and previous[2:] == name[2:]) for previous, name in itertools.pairwise(names)
    )


def score_all_paths(crf: CRF, emissions: torch.Tensor, constrained: bool) -> dict[tuple[int, ...], float]:
    """Return the score of each label sequence for one post's emissions [W, L]."""
    start, end, transitions = crf.start.tolist(), crf.end.tolist(), crf.transitions.tolist()
    rows, scores = emissions.tolist(), {}
    for path in itertools.product(range(len(LABELS)), repeat=len(rows)):
        if constrained and not is_valid_bio2(path):
            continue
        score = start[path[0]] + end[path[-1]]
        for word, label in enumerate(path):
            score += rows[word][label]
        for previous, label in itertools.pairwise(path):
            score += transitions[previous][label]
        scores[path] = score
    return scores


def make_emissions(seed: int, lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return emissions [B, W, L], with large values in the padding, and the mask."""
    generator = torch.Generator().manual_seed(seed)
    emissions = 2 * torch.randn(len(lengths), max(lengths), len(LABELS), generator=generator)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return emissions.masked_fill(~mask[:, :, None], 77.0), mask


with_and_without_constraints = pytest.mark.parametrize("constrained", [False, True])


@with_and_without_constraints
@given(st.integers(0, 10**6), st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_loss_and_viterbi_equal_a_loop(constrained, seed, lengths):
    crf, (emissions, mask) = make_crf(seed, constrained), make_emissions(seed + 1, lengths)
    path_scores = [score_all_paths(crf, emissions[row, :length], constrained) for row, length in enumerate(lengths)]
    gold = [sorted(scores)[seed % len(scores)] for scores in path_scores]
    labels = torch.tensor([[*path, *[3] * (mask.shape[1] - len(path))] for path in gold])
    expected = [
        math.log(sum(map(math.exp, scores.values()))) - scores[path]
        for scores, path in zip(path_scores, gold, strict=True)
    ]
    loss = crf.loss(emissions, labels, mask)
    assert loss.dtype == torch.float32
    assert loss.tolist() == pytest.approx(expected, abs=1e-4)
    assert crf.decode(emissions, mask) == [list(max(scores, key=scores.__getitem__)) for scores in path_scores]


@with_and_without_constraints
@given(st.integers(0, 10**6), st.integers(1, 4), st.data())
def test_span_score_equals_a_loop(constrained, seed, length, data):
    crf, (emissions, mask) = make_crf(seed, constrained), make_emissions(seed + 1, [length, 4])
    path_scores = score_all_paths(crf, emissions[0, :length], constrained)
    start = data.draw(st.integers(0, length - 1))
    labels = tuple(data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=length - start)))
    with_span = [score for path, score in path_scores.items() if path[start : start + len(labels)] == labels]
    expected = sum(map(math.exp, with_span)) / sum(map(math.exp, path_scores.values()))
    scores = crf.span_scores(emissions, mask, [[(start, labels)], []])
    assert scores == [[pytest.approx(expected, abs=1e-4)], []]


@pytest.mark.parametrize("length", [1, 4])
def test_marginals_of_a_word_sum_to_1(length):
    crf, (emissions, mask) = make_crf(3, True), make_emissions(4, [length])
    spans = [(length - 1, (label,)) for label in range(len(LABELS))]
    assert sum(crf.span_scores(emissions, mask, [spans])[0]) == pytest.approx(1, abs=1e-5)


def test_constraints_hold_for_extreme_emissions():
    crf = make_crf(5, True)
    emissions = torch.zeros(1, 4, len(LABELS))
    emissions[0, :, 2] = 50.0  # I-A everywhere
    path = crf.decode(emissions, torch.ones(1, 4, dtype=torch.bool))[0]
    assert [LABELS[label] for label in path] == ["B-A", "I-A", "I-A", "I-A"]


@with_and_without_constraints
def test_padding_has_no_effect(constrained):
    crf, (emissions, mask) = make_crf(1, constrained), make_emissions(2, [3, 5, 1])
    labels = torch.tensor([[1, 2, 0, 0, 0], [0, 3, 4, 0, 1], [0, 0, 0, 0, 0]])
    batched = crf.loss(emissions, labels, mask)
    batched.sum().backward()
    batched_gradients = {name: parameter.grad.clone() for name, parameter in crf.named_parameters()}
    crf.zero_grad()
    for row, length in enumerate([3, 5, 1]):
        single_emissions, single_mask = emissions[row : row + 1, :length], mask[row : row + 1, :length]
        single = crf.loss(single_emissions, labels[row : row + 1, :length], single_mask)
        single.sum().backward()
        assert single.item() == pytest.approx(batched[row].item(), abs=1e-5)
        assert crf.decode(single_emissions, single_mask)[0] == crf.decode(emissions, mask)[row]
    for name, parameter in crf.named_parameters():
        assert torch.allclose(parameter.grad, batched_gradients[name], atol=1e-5), name


def test_gradients_are_finite_and_zero_in_the_padding():
    crf, (emissions, mask) = make_crf(1, True), make_emissions(2, [2, 4])
    emissions.requires_grad_()
    crf.loss(emissions, torch.zeros(2, 4, dtype=torch.long), mask).sum().backward()
    assert emissions.grad.isfinite().all()
    assert (emissions.grad[0, 2:] == 0).all()
    assert (emissions.grad[0, :2] != 0).any()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([[True, True]], "does not fit"),
        ([[True, True, True]], "does not fit"),
        ([[True, True, True], [True, False, True]], "from its first word to its last"),
        ([[True, True, True], [False, False, False]], "from its first word to its last"),
        ([[True, True, True], [False, True, True]], "from its first word to its last"),
    ],
)
def test_rejects_invalid_masks(mask, message):
    crf, emissions, mask = make_crf(0, True), torch.zeros(2, 3, len(LABELS)), torch.tensor(mask)
    with pytest.raises(ValueError, match=message):
        crf.loss(emissions, torch.zeros(2, 3, dtype=torch.long), mask)
    with pytest.raises(ValueError, match=message):
        crf.decode(emissions, mask)
    with pytest.raises(ValueError, match=message):
        crf.span_scores(emissions, mask, [[], []])
