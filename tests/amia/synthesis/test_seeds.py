"""Seeds of posts and redraws."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amia.synthesis.seeds import post_seed, redraw_seed


@given(st.integers(), st.text(), st.integers(1, 9))
def test_seed_range(run_seed, post_id, redraw):
    seed = post_seed(run_seed, post_id)
    for value in (seed, redraw_seed(seed, redraw)):
        assert 0 <= value < 2**63
        assert torch.Generator("cpu").manual_seed(value).initial_seed() == value


@pytest.mark.promise(23)
def test_seeds_are_distinct():
    seeds = {post_seed(run, post) for run in range(20) for post in ("1", "2", "11", "")}
    seeds |= {redraw_seed(seed, redraw) for seed in list(seeds) for redraw in range(1, 4)}
    assert len(seeds) == 20 * 4 * 4


def test_seed_is_stable():
    assert post_seed(0, "17_06_4705") == 2976244074353233796
