"""Test batches against plain loops over rows and columns, and batching as permutations of indices."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.data_collator import Batch, collate, length_grouped_batches
from amia.mner.features import EncodedPost

SUBWORD_POSTS = [
    EncodedPost(id="a", input_ids=(1, 7, 8, 9, 2), first_subwords=(1, 3), labels=(3, 4)),
    EncodedPost(id="b", input_ids=(1, 5, 2), first_subwords=(1,), labels=(1, 5, 6)),  # truncated: two words are missing
    EncodedPost(id="c", input_ids=(1, 5, 6, 7, 8, 2), first_subwords=(1, 2, 4), labels=(0, 1, 2)),
]
WORD_POSTS = [
    EncodedPost(id="a", word_ids=(4, 5, 6), char_ids=((2, 3), (4,), (5, 6, 7, 8)), labels=(0, 0, 1)),
    EncodedPost(id="b", word_ids=(9,), char_ids=((3,),), labels=(2,)),
]


def assert_padded(tensor: torch.Tensor, rows: Sequence[Sequence[int]], fill: int = 0) -> None:
    assert tensor.dtype == torch.long
    assert tensor.shape == (len(rows), max(map(len, rows)))
    for row, values in enumerate(rows):
        for column in range(tensor.shape[1]):
            assert tensor[row, column] == (values[column] if column < len(values) else fill)


def assert_mask(mask: torch.Tensor, lengths: Sequence[int]) -> None:
    assert mask.dtype == torch.bool
    assert mask.tolist() == [[column < length for column in range(max(lengths))] for length in lengths]


@pytest.mark.parametrize("pad_id", [0, 11])
def test_pads_subwords(pad_id: int) -> None:
    batch = collate(SUBWORD_POSTS, pad_id)
    assert batch.ids == ["a", "b", "c"]
    assert len(batch) == 3
    assert_padded(batch.input_ids, [post.input_ids for post in SUBWORD_POSTS], pad_id)
    assert_mask(batch.attention_mask, [5, 3, 6])
    assert_padded(batch.first_subwords, [post.first_subwords for post in SUBWORD_POSTS])
    assert_mask(batch.word_mask, [2, 1, 3])
    assert batch.labels is not None
    assert_padded(batch.labels, [(3, 4), (1,), (0, 1, 2)])
    assert not len(batch.word_ids)
    assert not len(batch.char_ids)
    assert batch.has_image.tolist() == [False] * 3
    assert (batch.pixel_values, batch.regions, batch.pooled) == (None, None, None)


def test_pads_words_and_characters() -> None:
    batch = collate(WORD_POSTS)
    assert_padded(batch.word_ids, [post.word_ids for post in WORD_POSTS])
    assert_mask(batch.word_mask, [3, 1])
    assert batch.labels is not None
    assert_padded(batch.labels, [(0, 0, 1), (2,)])
    assert batch.char_ids.dtype == torch.long
    assert batch.char_ids.shape == (2, 3, 4)
    for row, post in enumerate(WORD_POSTS):
        for word in range(3):
            for position in range(4):
                is_character = word < len(post.char_ids) and position < len(post.char_ids[word])
                expected = post.char_ids[word][position] if is_character else 0
                assert batch.char_ids[row, word, position] == expected
    assert not len(batch.input_ids)


def test_posts_without_labels() -> None:
    assert collate([EncodedPost(id="a", input_ids=(1, 3, 2), first_subwords=(1,))]).labels is None


def test_to_moves_all_tensors() -> None:
    batch = collate(SUBWORD_POSTS)
    batch.pixel_values = torch.ones(3, 3, 2, 2)
    moved = batch.to(torch.device("meta"))
    tensors = [getattr(moved, name) for name in Batch.__slots__ if isinstance(getattr(moved, name), torch.Tensor)]
    assert len(tensors) == 9
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert moved.ids == batch.ids
    assert batch.input_ids.device.type == "cpu"


LENGTHS = st.lists(st.integers(1, 40), max_size=60)


@given(lengths=LENGTHS, size=st.integers(1, 9), seed=st.none() | st.integers(0, 2**40), window=st.integers(1, 4))
def test_each_index_is_in_one_batch(lengths: list[int], size: int, seed: int | None, window: int) -> None:
    batches = list(length_grouped_batches(lengths, size, seed=seed, window=window))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    rest = len(lengths) % size
    assert sorted(map(len, batches), reverse=True) == [size] * (len(lengths) // size) + ([rest] if rest else [])
    assert batches == list(length_grouped_batches(lengths, size, seed=seed, window=window))


@given(lengths=LENGTHS, size=st.integers(1, 9))
def test_longest_first_without_a_seed(lengths: list[int], size: int) -> None:
    batches = list(length_grouped_batches(lengths, size, seed=None))
    assert [lengths[index] for batch in batches for index in batch] == sorted(lengths, reverse=True)
    assert {len(batch) for batch in batches[:-1]} <= {size}


def test_order_depends_on_the_seed() -> None:
    lengths = [1 + index % 7 for index in range(200)]
    orders = [[tuple(batch) for batch in length_grouped_batches(lengths, 8, seed=seed)] for seed in range(5)]
    assert len({tuple(order) for order in orders}) == 5
    assert len({tuple(sorted(order)) for order in orders}) == 5, "not the same batches in another order"


def test_batches_have_similar_lengths_in_random_order() -> None:
    lengths = torch.randint(1, 60, (1000,), generator=torch.Generator().manual_seed(0)).tolist()
    batches = list(length_grouped_batches(lengths, 10, seed=3))
    max_lengths = [max(lengths[index] for index in batch) for batch in batches]
    ranges = [
        max_length - min(lengths[index] for index in batch)
        for max_length, batch in zip(max_lengths, batches, strict=True)
    ]
    assert sum(ranges) / len(ranges) < 4, "near 50 without grouping"
    increases = sum(after > before for before, after in pairwise(max_lengths))
    assert 30 < increases < 70, "of 99"
