"""Batches against plain loops over rows and columns; epochs as permutations of places."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.data_collator import Batch, collate, in_batches
from amia.mner.features import EncodedPost

BERT = [
    EncodedPost(id="a", pieces=(1, 7, 8, 9, 2), first=(1, 3), labels=(3, 4)),
    EncodedPost(
        id="b", pieces=(1, 5, 2), first=(1,), labels=(1, 5, 6)
    ),  # longer than the encoder: two words are cut off
    EncodedPost(id="c", pieces=(1, 5, 6, 7, 8, 2), first=(1, 2, 4), labels=(0, 1, 2)),
]
LSTM = [
    EncodedPost(id="a", words=(4, 5, 6), chars=((2, 3), (4,), (5, 6, 7, 8)), labels=(0, 0, 1)),
    EncodedPost(id="b", words=(9,), chars=((3,),), labels=(2,)),
]


def assert_padded(found: torch.Tensor, rows: Sequence[Sequence[int]], fill: int = 0) -> None:
    assert found.dtype == torch.long
    assert found.shape == (len(rows), max(map(len, rows)))
    for row, numbers in enumerate(rows):
        for column in range(found.shape[1]):
            assert found[row, column] == (numbers[column] if column < len(numbers) else fill)


def assert_mask(found: torch.Tensor, lengths: Sequence[int]) -> None:
    assert found.dtype == torch.bool
    assert found.tolist() == [[column < length for column in range(max(lengths))] for length in lengths]


@pytest.mark.parametrize("pad", [0, 11])
def test_pieces_padded_to_the_longest_of_the_batch(pad: int) -> None:
    batch = collate(BERT, pad)
    assert batch.ids == ["a", "b", "c"]
    assert len(batch) == 3
    assert_padded(batch.pieces, [post.pieces for post in BERT], pad)
    assert_mask(batch.pieces_mask, [5, 3, 6])
    assert_padded(batch.first, [post.first for post in BERT])
    assert_mask(batch.words_mask, [2, 1, 3])
    assert batch.labels is not None
    assert_padded(batch.labels, [(3, 4), (1,), (0, 1, 2)])
    assert not len(batch.words)
    assert not len(batch.chars)
    assert batch.has_image.tolist() == [False] * 3
    assert (batch.pixels, batch.regions, batch.pooled) == (None, None, None)


def test_words_and_their_characters_padded_to_the_longest() -> None:
    batch = collate(LSTM)
    assert_padded(batch.words, [post.words for post in LSTM])
    assert_mask(batch.words_mask, [3, 1])
    assert batch.labels is not None
    assert_padded(batch.labels, [(0, 0, 1), (2,)])
    assert batch.chars.dtype == torch.long
    assert batch.chars.shape == (2, 3, 4)
    for row, post in enumerate(LSTM):
        for word in range(3):
            for place in range(4):
                there = word < len(post.chars) and place < len(post.chars[word])
                assert batch.chars[row, word, place] == (post.chars[word][place] if there else 0)
    assert not len(batch.pieces)


def test_without_labels() -> None:
    assert collate([EncodedPost(id="a", pieces=(1, 3, 2), first=(1,))]).labels is None


def test_on_another_device_all_of_it_is() -> None:
    batch = collate(BERT)
    batch.pixels = torch.ones(3, 3, 2, 2)
    moved = batch.to(torch.device("meta"))
    tensors = [getattr(moved, name) for name in Batch.__slots__ if isinstance(getattr(moved, name), torch.Tensor)]
    assert len(tensors) == 9
    assert {each.device.type for each in tensors} == {"meta"}
    assert moved.ids == batch.ids
    assert batch.pieces.device.type == "cpu"


LENGTHS = st.lists(st.integers(1, 40), max_size=60)


@given(lengths=LENGTHS, size=st.integers(1, 9), seed=st.none() | st.integers(0, 2**40), window=st.integers(1, 4))
def test_every_place_once_in_batches_of_one_size(lengths: list[int], size: int, seed: int | None, window: int) -> None:
    batches = list(in_batches(lengths, size, seed=seed, window=window))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    short = len(lengths) % size
    assert sorted(map(len, batches), reverse=True) == [size] * (len(lengths) // size) + ([short] if short else [])
    assert batches == list(in_batches(lengths, size, seed=seed, window=window))


@given(lengths=LENGTHS, size=st.integers(1, 9))
def test_without_a_seed_longest_first(lengths: list[int], size: int) -> None:
    batches = list(in_batches(lengths, size, seed=None))
    assert [lengths[place] for batch in batches for place in batch] == sorted(lengths, reverse=True)
    assert {len(batch) for batch in batches[:-1]} <= {size}


def test_another_seed_another_order() -> None:
    lengths = [1 + place % 7 for place in range(200)]
    orders = [[tuple(batch) for batch in in_batches(lengths, 8, seed=seed)] for seed in range(5)]
    assert len({tuple(order) for order in orders}) == 5
    assert len({tuple(sorted(order)) for order in orders}) == 5, "not the same batches in another order"


def test_batches_of_similar_lengths_in_no_order_of_length() -> None:
    lengths = torch.randint(1, 60, (1000,), generator=torch.Generator().manual_seed(0)).tolist()
    batches = list(in_batches(lengths, 10, seed=3))
    longest = [max(lengths[place] for place in batch) for batch in batches]
    spread = [top - min(lengths[place] for place in batch) for top, batch in zip(longest, batches, strict=True)]
    assert sum(spread) / len(spread) < 4, "near 50 where posts come as they are"
    rises = sum(after > before for before, after in pairwise(longest))
    assert 30 < rises < 70, "of 99"
