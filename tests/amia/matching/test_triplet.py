"""Eqs. 1-7 against plain loops over posts and every possible draw."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.errors import MixtureError
from amia.matching.bank import Bank, Embeddings
from amia.matching.triplet import Losses, TripletSettings, batch_losses, expected_losses, losses


def unit(vector: np.ndarray) -> np.ndarray:
    wide = vector.astype(np.float64)
    return wide / np.sqrt((wide * wide).sum())


def differs(posts: Embeddings, row: int, others: Embeddings, other: int) -> bool:
    return (
        posts.ids[row] != others.ids[other]
        and posts.text_keys[row] != others.text_keys[other]
        and posts.image_keys[row] != others.image_keys[other]
    )


def loop(posts: Embeddings, others: Embeddings, margin: float, draws: int | None) -> np.ndarray:
    """`[n, 3]`: both losses and the cosine, averaged over every draw of negatives (None: all at once)."""
    table = []
    for row in range(len(posts)):
        text, image = unit(posts.texts[row]), unit(posts.images[row])
        allowed = [other for other in range(len(others)) if differs(posts, row, others, other)]
        drawn = list(itertools.combinations(allowed, min(draws or len(allowed), len(allowed))))
        i2t = [max(0, margin - image @ text + max(image @ unit(others.texts[o]) for o in one)) for one in drawn]
        t2i = [max(0, margin - text @ image + max(text @ unit(others.images[o]) for o in one)) for one in drawn]
        table.append((np.mean(i2t), np.mean(t2i), text @ image))
    return np.array(table)


def same(found: Losses, table: np.ndarray) -> None:
    assert np.allclose(found.i2t, table[:, 0], atol=1e-6)
    assert np.allclose(found.t2i, table[:, 1], atol=1e-6)
    assert np.allclose(found.cosine, table[:, 2], atol=1e-6)
    assert np.array_equal(found.total, found.i2t + found.t2i)


@given(st.integers(0, 10**6), st.integers(1, 9), st.sampled_from([0.0, 0.1, 0.5]), st.integers(1, 4))
def test_expectation_against_every_draw(posts, seed, draws, margin, kinds):
    # Posts and bank share ids, and a few texts are equal.
    texts = [f"text {row % (kinds + 4)}" for row in range(9)]
    everyone = posts(9, d=3, seed=seed, texts=texts)
    bank, some = Bank.of([everyone], 8), everyone.select([8, 0, 3])
    same(expected_losses(some, bank, margin=margin, negatives=draws), loop(some, bank, margin, draws))


def test_expectation_is_the_mean_of_many_batches(posts):
    everyone = posts(200, d=16)
    found = expected_losses(everyone.select([0]), Bank.of([everyone], 200), negatives=20)
    rng = np.random.default_rng(1)
    draws = [
        loop(everyone.select([0]), everyone.select(1 + rng.choice(199, 20, replace=False)), 0.1, None)[0, :2].sum()
        for _ in range(400)
    ]
    assert found.total[0] == pytest.approx(np.mean(draws), abs=4 * np.std(draws) / 20)


def test_fewer_than_asked_for_are_all_drawn(posts):
    everyone = posts(5)
    bank = Bank.of([everyone], 5)
    same(expected_losses(everyone, bank, negatives=63), loop(everyone, bank, 0.1, None))


def test_the_same_bits_in_any_company(posts):
    everyone, bank = posts(300, d=32, name="q"), Bank.of([posts(400, d=32, seed=1)], 400)
    whole = expected_losses(everyone, bank)
    others = posts(300, d=32, seed=9, name="o")
    rng = np.random.default_rng(0)
    for size in (1, 2, 77, 128, 300):
        alone = expected_losses(everyone.select(range(size)), bank)
        kept = rng.permutation(size)[: -(-size // 2)]  # the others of the block are strangers
        rows = [place if place in set(kept.tolist()) else -1 for place in range(size)]
        among = Bank.of([everyone, others], 600).select([row if row >= 0 else 300 + i for i, row in enumerate(rows)])
        strange = expected_losses(among, bank)
        moved = rng.permutation(300)[:size]
        elsewhere = expected_losses(everyone.select(moved), bank)
        for name in ("i2t", "t2i", "total", "cosine"):
            assert np.array_equal(getattr(alone, name), getattr(whole, name)[:size])
            assert np.array_equal(getattr(strange, name)[kept], getattr(whole, name)[kept])
            assert np.abs(getattr(elsewhere, name) - getattr(whole, name)[moved]).max() < 1e-6


def test_half_precision_moves_losses_little(posts):
    wide = posts(40, d=64)
    half = Embeddings(wide.ids, wide.texts.astype("f2"), wide.images.astype("f2"), wide.text_keys, wide.image_keys)
    a, b = (expected_losses(one, Bank.of([one], 40)) for one in (wide, half))
    assert np.abs(a.total - b.total).max() < 1e-3


@given(st.integers(0, 10**6), st.integers(1, 17))
def test_batches_against_a_loop(posts, seed, n):
    everyone = posts(n, d=4, seed=seed, texts=[f"text {row % 11}" for row in range(n)])
    fillers = Bank.of([posts(9, d=4, seed=seed + 1, name="f", texts=[f"text {7 + row}" for row in range(9)])], 9)
    found = batch_losses(everyone, batch=6, fillers=fillers)
    for start in range(0, n, 6):
        own = everyone.select(range(start, min(start + 6, n)))
        free = [o for o in range(9) if all(differs(own, row, fillers, o) for row in range(len(own)))]
        others = Bank.of([own, fillers.select(free[: 6 - len(own)])], 6)
        part = Losses(*(getattr(found, name)[start : start + 6] for name in ("i2t", "t2i", "total", "cosine")))
        same(part, loop(own, others, 0.1, None))


def test_settings_choose_the_way(posts):
    everyone, bank = posts(20), Bank.of([posts(9, name="f")], 9)
    batch = losses(everyone, bank, TripletSettings(negatives="batch", batch=8, margin=0.2))
    expected = losses(everyone, bank, TripletSettings(hardest_of=3, margin=0.2))
    assert np.array_equal(batch.total, batch_losses(everyone, margin=0.2, batch=8, fillers=bank).total)
    assert np.array_equal(expected.total, expected_losses(everyone, bank, margin=0.2, negatives=3).total)


def test_no_posts(posts):
    bank = Bank.of([posts(3)], 3)
    assert expected_losses(posts(0), bank).total.shape == (0,)
    assert batch_losses(posts(0), fillers=bank).total.shape == (0,)


def test_a_post_with_nobody_to_compare(posts):
    one = posts(1)
    with pytest.raises(MixtureError, match="'p0' has nothing to be compared with"):
        expected_losses(one, Bank.of([one], 1))
    with pytest.raises(MixtureError, match="'p0' has nothing to be compared with"):
        batch_losses(one, fillers=Bank.of([one], 1))
    twins = posts(2, texts=["same", "same"])
    with pytest.raises(MixtureError, match="same text"):
        expected_losses(twins, Bank.of([twins], 2))


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_vector_that_is_none(posts, bad):
    broken, bank = posts(200), Bank.of([posts(9, name="b")], 9)
    broken.texts[150] = bad
    with pytest.raises(MixtureError, match="'p150': its embedding is zero or not finite"):
        expected_losses(broken, bank)
    with pytest.raises(MixtureError, match="'p150': its embedding"):
        batch_losses(broken, fillers=bank)


def test_posts_and_bank_of_two_encoders(posts):
    with pytest.raises(MixtureError, match="different encoders"):
        expected_losses(posts(3, d=8), Bank.of([posts(3, d=16)], 3))
