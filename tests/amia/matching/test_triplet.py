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


def is_negative(posts: Embeddings, row: int, others: Embeddings, other: int) -> bool:
    return (
        posts.ids[row] != others.ids[other]
        and posts.text_keys[row] != others.text_keys[other]
        and posts.image_keys[row] != others.image_keys[other]
    )


def reference_losses(posts: Embeddings, others: Embeddings, margin: float, draws: int | None) -> np.ndarray:
    """Return `[n, 3]`: both losses and the cosine, averaged over every draw of negatives (None: all at once)."""
    table = []
    for row in range(len(posts)):
        text, image = unit(posts.texts[row]), unit(posts.images[row])
        allowed = [other for other in range(len(others)) if is_negative(posts, row, others, other)]
        all_draws = list(itertools.combinations(allowed, min(draws or len(allowed), len(allowed))))
        i2t = [max(0, margin - image @ text + max(image @ unit(others.texts[o]) for o in draw)) for draw in all_draws]
        t2i = [max(0, margin - text @ image + max(text @ unit(others.images[o]) for o in draw)) for draw in all_draws]
        table.append((np.mean(i2t), np.mean(t2i), text @ image))
    return np.array(table)


def assert_equal(actual: Losses, table: np.ndarray) -> None:
    assert np.allclose(actual.i2t, table[:, 0], atol=1e-6)
    assert np.allclose(actual.t2i, table[:, 1], atol=1e-6)
    assert np.allclose(actual.cosine, table[:, 2], atol=1e-6)
    assert np.array_equal(actual.total, actual.i2t + actual.t2i)


@given(st.integers(0, 10**6), st.integers(1, 9), st.sampled_from([0.0, 0.1, 0.5]), st.integers(1, 4))
def test_expectation_against_all_draws(posts, seed, draws, margin, kinds):
    # Posts and bank share ids, and some texts are equal.
    texts = [f"text {row % (kinds + 4)}" for row in range(9)]
    all_posts = posts(9, d=3, seed=seed, texts=texts)
    bank, selected = Bank.of([all_posts], 8), all_posts.select([8, 0, 3])
    assert_equal(
        expected_losses(selected, bank, margin=margin, negatives=draws), reference_losses(selected, bank, margin, draws)
    )


def test_expectation_is_mean_of_batches(posts):
    all_posts = posts(200, d=16)
    actual = expected_losses(all_posts.select([0]), Bank.of([all_posts], 200), negatives=20)
    rng = np.random.default_rng(1)
    draws = [
        reference_losses(all_posts.select([0]), all_posts.select(1 + rng.choice(199, 20, replace=False)), 0.1, None)[
            0, :2
        ].sum()
        for _ in range(400)
    ]
    assert actual.total[0] == pytest.approx(np.mean(draws), abs=4 * np.std(draws) / 20)


def test_draws_all_of_small_bank(posts):
    all_posts = posts(5)
    bank = Bank.of([all_posts], 5)
    assert_equal(expected_losses(all_posts, bank, negatives=63), reference_losses(all_posts, bank, 0.1, None))


def test_independent_of_other_posts(posts):
    all_posts, bank = posts(300, d=32, name="q"), Bank.of([posts(400, d=32, seed=1)], 400)
    reference = expected_losses(all_posts, bank)
    others = posts(300, d=32, seed=9, name="o")
    rng = np.random.default_rng(0)
    for size in (1, 2, 77, 128, 300):
        prefix = expected_losses(all_posts.select(range(size)), bank)
        kept = rng.permutation(size)[: -(-size // 2)]  # the other rows of the block are replaced
        rows = [row if row in set(kept.tolist()) else -1 for row in range(size)]
        mixed = Bank.of([all_posts, others], 600).select([row if row >= 0 else 300 + i for i, row in enumerate(rows)])
        mixed_losses = expected_losses(mixed, bank)
        order = rng.permutation(300)[:size]
        reordered = expected_losses(all_posts.select(order), bank)
        for name in ("i2t", "t2i", "total", "cosine"):
            assert np.array_equal(getattr(prefix, name), getattr(reference, name)[:size])
            assert np.array_equal(getattr(mixed_losses, name)[kept], getattr(reference, name)[kept])
            assert np.abs(getattr(reordered, name) - getattr(reference, name)[order]).max() < 1e-6


def test_half_precision_is_close(posts):
    wide = posts(40, d=64)
    half = Embeddings(wide.ids, wide.texts.astype("f2"), wide.images.astype("f2"), wide.text_keys, wide.image_keys)
    a, b = (expected_losses(embeddings, Bank.of([embeddings], 40)) for embeddings in (wide, half))
    assert np.abs(a.total - b.total).max() < 1e-3


@given(st.integers(0, 10**6), st.integers(1, 17))
def test_batches_against_loop(posts, seed, n):
    all_posts = posts(n, d=4, seed=seed, texts=[f"text {row % 11}" for row in range(n)])
    fillers = Bank.of([posts(9, d=4, seed=seed + 1, name="f", texts=[f"text {7 + row}" for row in range(9)])], 9)
    actual = batch_losses(all_posts, batch=6, fillers=fillers)
    for start in range(0, n, 6):
        batch = all_posts.select(range(start, min(start + 6, n)))
        usable = [o for o in range(9) if all(is_negative(batch, row, fillers, o) for row in range(len(batch)))]
        others = Bank.of([batch, fillers.select(usable[: 6 - len(batch)])], 6)
        part = Losses(*(getattr(actual, name)[start : start + 6] for name in ("i2t", "t2i", "total", "cosine")))
        assert_equal(part, reference_losses(batch, others, 0.1, None))


def test_settings_select_negatives(posts):
    all_posts, bank = posts(20), Bank.of([posts(9, name="f")], 9)
    batch = losses(all_posts, bank, TripletSettings(negatives="batch", batch=8, margin=0.2))
    expected = losses(all_posts, bank, TripletSettings(hardest_of=3, margin=0.2))
    assert np.array_equal(batch.total, batch_losses(all_posts, margin=0.2, batch=8, fillers=bank).total)
    assert np.array_equal(expected.total, expected_losses(all_posts, bank, margin=0.2, negatives=3).total)


def test_no_posts(posts):
    bank = Bank.of([posts(3)], 3)
    assert expected_losses(posts(0), bank).total.shape == (0,)
    assert batch_losses(posts(0), fillers=bank).total.shape == (0,)


def test_rejects_post_without_negative(posts):
    single = posts(1)
    with pytest.raises(MixtureError, match="'p0' has nothing to be compared with"):
        expected_losses(single, Bank.of([single], 1))
    with pytest.raises(MixtureError, match="'p0' has nothing to be compared with"):
        batch_losses(single, fillers=Bank.of([single], 1))
    twins = posts(2, texts=["same", "same"])
    with pytest.raises(MixtureError, match="same text"):
        expected_losses(twins, Bank.of([twins], 2))


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_rejects_invalid_embedding(posts, bad):
    broken, bank = posts(200), Bank.of([posts(9, name="b")], 9)
    broken.texts[150] = bad
    with pytest.raises(MixtureError, match="'p150': its embedding is zero or not finite"):
        expected_losses(broken, bank)
    with pytest.raises(MixtureError, match="'p150': its embedding"):
        batch_losses(broken, fillers=bank)


def test_rejects_other_encoder(posts):
    with pytest.raises(MixtureError, match="different encoders"):
        expected_losses(posts(3, d=8), Bank.of([posts(3, d=16)], 3))
