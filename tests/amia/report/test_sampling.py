"""Tests of sampling: bounded, seeded, independent of order, and including the extremes."""

import random
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from amia.report.sampling import DECILES, BottomK, DecileSample, decile_of, seeded_key

FIGURES = st.tuples(st.floats(0, 1), st.floats(0, 4))
POSTS = st.dictionaries(st.text(max_size=6), FIGURES, max_size=80)
Posts = dict[str, tuple[float, float]]


def sample_posts(posts: Posts, seed: int, per_decile: int = 3) -> DecileSample[str]:
    sample = DecileSample[str](per_decile, 2, ("theta", "loss"))
    for name, (theta, loss) in posts.items():
        sample.add((seeded_key(seed, name), name), theta, {"theta": theta, "loss": loss}, name)
    return sample


@given(POSTS, st.integers(0, 5))
def test_deciles_keep_the_smallest_keys(posts: Posts, seed: int) -> None:
    sample = sample_posts(posts, seed)
    by_decile: defaultdict[int, list[str]] = defaultdict(list)
    for name, (theta, _) in posts.items():
        by_decile[9 if theta == 1 else int(10 * theta)].append(name)
    for index, decile in enumerate(sample.deciles):
        names = sorted(by_decile[index], key=lambda name: (seeded_key(seed, name), name))
        assert decile.items == names[:3]
        assert decile.seen == len(names)


@given(POSTS, st.integers(0, 5))
def test_extremes(posts: Posts, seed: int) -> None:
    extremes = sample_posts(posts, seed).extremes
    assert set(extremes) == {"lowest theta", "highest theta", "lowest loss", "highest loss"}
    for index, value in enumerate(("theta", "loss")):
        values = sorted(figures[index] for figures in posts.values())
        assert [posts[name][index] for name in extremes[f"lowest {value}"].items] == values[:2]
        assert [posts[name][index] for name in extremes[f"highest {value}"].items] == values[::-1][:2]


@given(POSTS, st.randoms(use_true_random=False))
def test_order_does_not_matter(posts: Posts, rng: random.Random) -> None:
    names = list(posts)
    rng.shuffle(names)
    first, second = sample_posts(posts, 0), sample_posts({name: posts[name] for name in names}, 0)
    assert [decile.items for decile in first.deciles] == [decile.items for decile in second.deciles]
    assert {end: sample.items for end, sample in first.extremes.items()} == {
        end: sample.items for end, sample in second.extremes.items()
    }


def test_seed_changes_the_sample() -> None:
    posts = {f"post-{number}": ((number % 100) / 100, 0.0) for number in range(2000)}
    first, second = sample_posts(posts, 0, per_decile=5), sample_posts(posts, 1, per_decile=5)
    assert all(
        len(set(left.items) & set(right.items)) < 5 for left, right in zip(first.deciles, second.deciles, strict=True)
    )
    assert [decile.seen for decile in first.deciles] == [200] * DECILES
    assert sample_posts(posts, 0, per_decile=5).deciles[3].items == first.deciles[3].items


def test_sampling_is_uniform() -> None:
    counts: defaultdict[str, int] = defaultdict(int)
    posts = {f"post-{number}": (0.5, 0.0) for number in range(20)}
    for seed in range(600):
        for name in sample_posts(posts, seed, per_decile=5).deciles[5].items:
            counts[name] += 1
    assert len(counts) == 20
    assert all(100 < count < 200 for count in counts.values())  # 150 expected, standard deviation 11


def test_decile_of_the_ends_of_the_scale() -> None:
    assert (decile_of(0.0), decile_of(0.1), decile_of(0.999), decile_of(1.0)) == (0, 1, 9, 9)


def test_sample_of_size_zero() -> None:
    sample = BottomK[str](0)
    sample.add((1, "a"), "a")
    assert (sample.items, sample.seen) == ([], 1)
