"""Mixing ratios and descriptions of all arms."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.errors import SettingsError
from amia.mixing.arms import ARMS, check_arm, describe_arm, mixing_ratio, needs_synthesis

SCORES = {"theta": 0.8, "cosine": 0.25, "cosine_range": (0.1, 0.4)}


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
    ],
)
def test_ratios_of_the_documented_table(arm, both, no_image, no_synthesis):
    assert ratio_of(arm) == both
    assert ratio_of(arm, has_image=False) == no_image
    assert ratio_of(arm, has_synthesis=False) == no_synthesis
    assert ratio_of(arm, has_image=False, has_synthesis=False) is None


def test_post_without_image_needs_no_score():
    for arm in ARMS:
        ratio_of(arm, has_image=False, theta=None, cosine=None, cosine_range=None)


@given(
    st.sampled_from(list(ARMS)),
    st.floats(-1, 1),
    st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(sorted).map(tuple),
    st.floats(0, 1),
)
def test_ratio_is_within_0_and_1(arm, cosine, cosine_range, theta):
    for has_image, has_synthesis in itertools.product((True, False), repeat=2):
        ratio = ratio_of(arm, has_image, has_synthesis, theta=theta, cosine=cosine, cosine_range=cosine_range)
        assert ratio is None or 0 <= ratio <= 1
        if not has_synthesis and ratio is not None:
            assert ratio == 1
        if not has_image and ratio is not None:
            assert ratio == 0


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
    [("adaptive", "theta"), ("cosine", "cosine"), ("cosine-minmax", "cosine"), ("cosine-minmax", "cosine_range")],
)
def test_missing_score_is_named(arm, score):
    with pytest.raises(SettingsError, match=f"needs {score}"):
        ratio_of(arm, **{score: None})


def test_arms_without_synthesis():
    assert [arm for arm in ARMS if not needs_synthesis(arm)] == ["text", "original", "random", "noise"]


def test_descriptions_are_distinct() -> None:
    assert len({describe_arm(arm) for arm in ARMS}) == len(ARMS)
    with_share = [arm for arm in ARMS if "with a share of" in describe_arm(arm)]
    assert with_share == [arm for arm in ARMS if arm.startswith("fixed-")]
    assert describe_arm("fixed-0.35").endswith("a share of 0.35 of the former")


def test_unknown_arm_has_no_description() -> None:
    with pytest.raises(SettingsError, match="did you mean 'adaptive'"):
        describe_arm("adaptve")
