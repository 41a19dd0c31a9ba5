"""Mixing ratios and descriptions of all arms."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.errors import SettingsError
from amia.mixing.arms import ARMS, check_arm, describe_arm, mixing_ratio, needs_synthesis, needs_theta_synthesized

SCORES = {"theta": 0.8, "theta_synthesized": 0.5, "cosine": 0.25, "cosine_range": (0.1, 0.4)}
PROBABILITIES = st.floats(0, 1)
LIKELY = st.floats(0.01, 1)
"""Probabilities with which the rule of arm `two-sided` divides."""


def ratio_of(arm: str, has_image: bool = True, has_synthesis: bool = True, **scores: object) -> float | None:
    return mixing_ratio(arm, **{**SCORES, **scores}, has_image=has_image, has_synthesis=has_synthesis)


@pytest.mark.promise(18)
@pytest.mark.parametrize(
    ("arm", "both", "no_image", "no_synthesis"),
    [
        ("text", None, None, None),
        ("original", 1, None, 1),
        ("synthesized", 0, 0, 1),
        ("adaptive", 0.8, 0, 1),
        ("two-sided", pytest.approx(0.8 / 0.9), 0, 1),
        ("cosine", 0.25, None, 1),
        ("cosine-minmax", pytest.approx(0.5), None, 1),
        ("fixed-0.3", 0.3, None, 1),
        ("fixed-0.5", 0.5, None, 1),
        ("fixed-0.7", 0.7, None, 1),
        ("fixed-0", 0, None, 1),
        ("fixed-1", 1, None, 1),
        ("random", 1, None, 1),
        ("noise", 1, None, 1),
        ("constant", 0.8, 0, 1),
        ("shuffled", 0.8, 0, 1),
        ("two-sided-shuffled", pytest.approx(0.8 / 0.9), 0, 1),
    ],
)
def test_ratios_of_the_documented_table(arm, both, no_image, no_synthesis):
    assert ratio_of(arm) == both
    assert ratio_of(arm, has_image=False) == no_image
    assert ratio_of(arm, has_synthesis=False) == no_synthesis
    assert ratio_of(arm, has_image=False, has_synthesis=False) is None


def test_post_without_image_needs_no_score():
    for arm in ARMS:
        ratio_of(arm, has_image=False, theta=None, theta_synthesized=None, cosine=None, cosine_range=None)


@given(
    st.sampled_from(list(ARMS)),
    st.floats(-1, 1),
    st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(sorted).map(tuple),
    PROBABILITIES,
    PROBABILITIES,
)
def test_ratio_is_within_0_and_1(arm, cosine, cosine_range, theta, theta_synthesized):
    scores = {"theta": theta, "theta_synthesized": theta_synthesized, "cosine": cosine, "cosine_range": cosine_range}
    for has_image, has_synthesis in itertools.product((True, False), repeat=2):
        ratio = ratio_of(arm, has_image, has_synthesis, **scores)
        assert ratio is None or 0 <= ratio <= 1
        if not has_synthesis and ratio is not None:
            assert ratio == 1
        if not has_image and ratio is not None:
            assert ratio == 0


def two_sided(theta: float, theta_synthesized: float) -> float:
    ratio = ratio_of("two-sided", theta=theta, theta_synthesized=theta_synthesized)
    assert ratio is not None
    return ratio


@given(PROBABILITIES, LIKELY)
def test_two_sided_ratio_is_the_probability_that_the_own_image_matches_if_any_does(theta, theta_synthesized):
    outcomes = {
        (own, other): (theta if own else 1 - theta) * (theta_synthesized if other else 1 - theta_synthesized)
        for own, other in itertools.product((True, False), repeat=2)
    }
    any_matches = sum(probability for outcome, probability in outcomes.items() if any(outcome))
    expected = (outcomes[True, True] + outcomes[True, False]) / any_matches
    assert two_sided(theta, theta_synthesized) == pytest.approx(expected, abs=1e-12)


@given(st.floats(0.01, 0.99), LIKELY)
def test_two_sided_divides_the_odds_of_theta_by_theta_v(theta, theta_synthesized):
    ratio = two_sided(theta, theta_synthesized)
    assert ratio * (1 - theta) * theta_synthesized == pytest.approx((1 - ratio) * theta, abs=1e-12)


@given(PROBABILITIES)
def test_two_sided_equals_adaptive_if_the_synthesized_image_surely_matches(theta):
    assert two_sided(theta, 1) == pytest.approx(theta, abs=1e-15)


@given(LIKELY)
def test_two_sided_shows_the_only_image_that_matches(probability):
    assert two_sided(probability, 0) == 1
    assert two_sided(0, probability) == 0


@given(st.tuples(PROBABILITIES, PROBABILITIES).map(sorted), LIKELY)
def test_two_sided_ratio_rises_with_theta(thetas, theta_synthesized):
    low, high = (two_sided(theta, theta_synthesized) for theta in thetas)
    assert low <= high + 1e-15


@given(PROBABILITIES, st.tuples(PROBABILITIES, PROBABILITIES).map(sorted))
def test_two_sided_ratio_falls_with_theta_v_and_never_below_theta(theta, thetas_synthesized):
    high, low = (two_sided(theta, theta_synthesized) for theta_synthesized in thetas_synthesized)
    assert high >= low - 1e-15
    assert low >= theta - 1e-15


@pytest.mark.parametrize(
    ("theta", "theta_synthesized", "ratio"),
    [
        (0, 0, 1),
        (0.00999, 0.00999, 1),
        (0, 0.01, 0),
        (0.00999, 0.01, pytest.approx(0.00999 / (0.00999 + 0.99001 * 0.01))),
        (0.01, 0.00999, pytest.approx(0.01 / (0.01 + 0.99 * 0.00999))),
        (0.01, 0, 1),
    ],
)
def test_two_sided_keeps_the_own_image_if_neither_reaches_one_percent(theta, theta_synthesized, ratio):
    assert two_sided(theta, theta_synthesized) == ratio


@pytest.mark.parametrize(
    ("arm", "message"),
    [("adaptve", "adaptive"), ("fixed-1.5", "from 0 to 1"), ("fixed-x", "from 0 to 1"), ("", "unknown")],
)
def test_rejects_unknown_arm(arm, message):
    with pytest.raises(SettingsError, match=message):
        ratio_of(arm)


@pytest.mark.parametrize("negatives", ["batch", "expected"])
def test_removed_arm_names_its_replacement(negatives):
    with pytest.raises(SettingsError, match=f"'adaptive' .*triplet.negatives={negatives}"):
        check_arm(f"adaptive-{negatives}")


@pytest.mark.parametrize(
    ("arm", "score"),
    [
        ("adaptive", "theta"),
        ("two-sided", "theta"),
        ("two-sided", "theta_synthesized"),
        ("cosine", "cosine"),
        ("cosine-minmax", "cosine"),
        ("cosine-minmax", "cosine_range"),
    ],
)
def test_missing_score_is_named(arm, score):
    with pytest.raises(SettingsError, match=f"needs {score},"):
        ratio_of(arm, **{score: None})


def test_arms_without_synthesis():
    assert [arm for arm in ARMS if not needs_synthesis(arm)] == ["text", "original", "random", "noise"]


def test_arms_that_score_synthesized_images():
    assert [arm for arm in ARMS if needs_theta_synthesized(arm)] == ["two-sided", "two-sided-shuffled"]


def test_descriptions_are_distinct() -> None:
    assert len({describe_arm(arm) for arm in ARMS}) == len(ARMS)
    with_share = [arm for arm in ARMS if "with a share of" in describe_arm(arm)]
    assert with_share == [arm for arm in ARMS if arm.startswith("fixed-")]
    assert describe_arm("fixed-0.35").endswith("a share of 0.35 of the former")


def test_unknown_arm_has_no_description() -> None:
    with pytest.raises(SettingsError, match="did you mean 'adaptive'"):
        describe_arm("adaptve")
