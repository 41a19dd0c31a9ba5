"""Test which images MAF swaps, and which posts are negatives of each other."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.systems.maf import negative_mask, swap_images


@given(st.integers(0, 100), st.integers(0, 10**6))
def test_swaps_a_quarter_in_pairs(count, seed):
    torch.manual_seed(seed)
    has_image = (torch.rand(count) < 0.7).tolist()
    posts, partners = (indices.tolist() for indices in swap_images(torch.tensor(has_image, dtype=torch.bool)))
    assert len(posts) == sum(has_image) // 8 * 2
    assert len(set(posts)) == len(posts)
    assert all(has_image[post] for post in posts)
    partner_of = dict(zip(posts, partners, strict=True))
    assert all(partner_of[partner_of[post]] == post != partner_of[post] for post in posts)


def test_swap_depends_on_torchs_random_state():
    has_image = torch.tensor([True, False] * 16)
    torch.manual_seed(0)
    swaps = [tuple(swap_images(has_image)[0].tolist()) for _ in range(200)]
    torch.manual_seed(0)
    assert [tuple(swap_images(has_image)[0].tolist()) for _ in range(200)] == swaps
    counts = [sum(post in swap for swap in swaps) for post in range(0, 32, 2)]
    assert sum(counts) == 200 * 4
    assert min(counts) > 20  # expected 50 with a standard deviation of 6


@pytest.mark.parametrize("images", [0, 1, 7])
def test_no_swap_with_fewer_than_8_images(images):
    assert [len(indices) for indices in swap_images(torch.arange(9) < images)] == [0, 0]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()), min_size=1, max_size=8))
def test_negatives_differ_in_text_and_image(posts):
    input_ids = torch.tensor([[1, text, 2] for text, _, _ in posts])
    pooled = torch.tensor([[0.5, float(image)] for _, image, _ in posts], requires_grad=True)
    has_image = torch.tensor([present for _, _, present in posts])
    mask = negative_mask(input_ids, pooled, has_image)
    assert mask.tolist() == [[a[0] != b[0] and a[1] != b[1] and a[2] and b[2] for b in posts] for a in posts]
