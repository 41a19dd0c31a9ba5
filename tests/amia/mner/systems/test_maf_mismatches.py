"""Who swaps with whom, and who is no negative."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amia.mner.systems.maf import differing, swap_images


@given(st.integers(0, 100), st.integers(0, 10**6))
def test_a_quarter_swap_in_pairs(count, seed):
    torch.manual_seed(seed)
    images = (torch.rand(count) < 0.7).tolist()
    posts, others = (places.tolist() for places in swap_images(torch.tensor(images, dtype=torch.bool)))
    assert len(posts) == sum(images) // 8 * 2
    assert len(set(posts)) == len(posts)
    assert all(images[post] for post in posts)
    goes = dict(zip(posts, others, strict=True))
    assert all(goes[goes[post]] == post != goes[post] for post in posts)


def test_the_quarter_is_drawn_anew_from_torchs_random_state():
    has_image = torch.tensor([True, False] * 16)
    torch.manual_seed(0)
    draws = [tuple(swap_images(has_image)[0].tolist()) for _ in range(200)]
    torch.manual_seed(0)
    assert [tuple(swap_images(has_image)[0].tolist()) for _ in range(200)] == draws
    counts = [sum(place in draw for draw in draws) for place in range(0, 32, 2)]
    assert sum(counts) == 200 * 4
    assert min(counts) > 20  # 50 expected, standard deviation 6


@pytest.mark.parametrize("images", [0, 1, 7])
def test_too_few_images(images):
    assert [len(places) for places in swap_images(torch.arange(9) < images)] == [0, 0]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()), min_size=1, max_size=8))
def test_who_differs(posts):
    pieces = torch.tensor([[1, text, 2] for text, _, _ in posts])
    pooled = torch.tensor([[0.5, float(image)] for _, image, _ in posts], requires_grad=True)
    has_image = torch.tensor([present for _, _, present in posts])
    found = differing(pieces, pooled, has_image)
    assert found.tolist() == [[a[0] != b[0] and a[1] != b[1] and a[2] and b[2] for b in posts] for a in posts]
