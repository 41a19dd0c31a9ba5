"""The sample of posts: bounded, seeded, the same in any order, and with the extremes in it."""

import random
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from amia.report.sampling import DECILES, BottomK, DecileSample, decile_of, keyed

FIGURES = st.tuples(st.floats(0, 1), st.floats(0, 4))
POSTS = st.dictionaries(st.text(max_size=6), FIGURES, max_size=80)
Posts = dict[str, tuple[float, float]]


def sampled(posts: Posts, seed: int, each: int = 3, extremes: int = 2) -> DecileSample[str]:
    sample = DecileSample[str](each, extremes, ("theta", "loss"))
    for name, (theta, loss) in posts.items():
        sample.offer((keyed(seed, name), name), theta, {"theta": theta, "loss": loss}, name)
    return sample


@given(POSTS, st.integers(0, 5))
def test_each_tenth_holds_the_posts_with_the_smallest_keys(posts: Posts, seed: int) -> None:
    sample = sampled(posts, seed)
    tenths: defaultdict[int, list[str]] = defaultdict(list)
    for name, (theta, _) in posts.items():
        tenths[9 if theta == 1 else int(10 * theta)].append(name)
    for number, decile in enumerate(sample.deciles):
        inside = sorted(tenths[number], key=lambda name: (keyed(seed, name), name))
        assert decile.items == inside[:3]
        assert decile.seen == len(inside)


@given(POSTS, st.integers(0, 5))
def test_the_extremes_are_in(posts: Posts, seed: int) -> None:
    extremes = sampled(posts, seed).extremes
    assert set(extremes) == {"lowest theta", "highest theta", "lowest loss", "highest loss"}
    for place, name in enumerate(("theta", "loss")):
        values = sorted(figures[place] for figures in posts.values())
        assert [posts[each][place] for each in extremes[f"lowest {name}"].items] == values[:2]
        assert [posts[each][place] for each in extremes[f"highest {name}"].items] == values[::-1][:2]


@given(POSTS, st.randoms(use_true_random=False))
def test_the_order_of_posts_plays_no_part(posts: Posts, rng: random.Random) -> None:
    names = list(posts)
    rng.shuffle(names)
    one, other = sampled(posts, 0), sampled({name: posts[name] for name in names}, 0)
    assert [each.items for each in one.deciles] == [each.items for each in other.deciles]
    assert {end: each.items for end, each in one.extremes.items()} == {
        end: each.items for end, each in other.extremes.items()
    }


def test_another_seed_chooses_other_posts_of_the_same_tenths() -> None:
    posts = {f"post-{number}": ((number % 100) / 100, 0.0) for number in range(2000)}
    one, other = sampled(posts, 0, each=5), sampled(posts, 1, each=5)
    assert all(
        len(set(left.items) & set(right.items)) < 5 for left, right in zip(one.deciles, other.deciles, strict=True)
    )
    assert [decile.seen for decile in one.deciles] == [200] * DECILES
    assert sampled(posts, 0, each=5).deciles[3].items == one.deciles[3].items


def test_every_post_of_a_tenth_is_as_likely_as_another() -> None:
    times: defaultdict[str, int] = defaultdict(int)
    posts = {f"post-{number}": (0.5, 0.0) for number in range(20)}
    for seed in range(600):
        for name in sampled(posts, seed, each=5).deciles[5].items:
            times[name] += 1
    assert len(times) == 20
    assert all(100 < count < 200 for count in times.values())  # 150 expected, standard deviation 11


def test_the_ends_of_the_scale_are_in_its_first_and_last_tenth() -> None:
    assert (decile_of(0.0), decile_of(0.1), decile_of(0.999), decile_of(1.0)) == (0, 1, 9, 9)


def test_nothing_is_kept_where_nothing_is_asked_for() -> None:
    none = BottomK[str](0)
    none.offer((1, "a"), "a")
    assert (none.items, none.seen) == ([], 1)
