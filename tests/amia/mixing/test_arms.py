import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.errors import SettingsError
from amia.mixing.arms import ARMS, mixing_ratio, needs_synthesis

SCORES = {"theta": 0.8, "cosine": 0.25, "cosine_range": (0.1, 0.4)}


def of(arm: str, has_image: bool = True, has_synthesis: bool = True, **scores: object) -> float | None:
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
        ("adaptive-batch", 0.8, 0, 1),
        ("adaptive-expected", 0.8, 0, 1),
    ],
)
def test_the_table(arm, both, no_image, no_synthesis):
    assert of(arm) == both
    assert of(arm, has_image=False) == no_image
    assert of(arm, has_synthesis=False) == no_synthesis
    assert of(arm, has_image=False, has_synthesis=False) is None


def test_a_post_without_an_image_needs_no_score():
    for arm in ARMS:
        of(arm, has_image=False, theta=None, cosine=None, cosine_range=None)


@given(
    st.sampled_from(ARMS),
    st.floats(-1, 1),
    st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(sorted).map(tuple),
    st.floats(0, 1),
)
def test_never_outside_0_and_1(arm, cosine, cosine_range, theta):
    for has_image, has_synthesis in itertools.product((True, False), repeat=2):
        one = of(arm, has_image, has_synthesis, theta=theta, cosine=cosine, cosine_range=cosine_range)
        assert one is None or 0 <= one <= 1
        if not has_synthesis and one is not None:
            assert one == 1
        if not has_image and one is not None:
            assert one == 0


@pytest.mark.parametrize(
    ("arm", "says"),
    [("adaptve", "adaptive"), ("fixed-1.5", "from 0 to 1"), ("fixed-x", "from 0 to 1"), ("", "unknown")],
)
def test_an_unknown_arm(arm, says):
    with pytest.raises(SettingsError, match=says):
        of(arm)


@pytest.mark.parametrize(
    ("arm", "score"),
    [("adaptive", "theta"), ("cosine", "cosine"), ("cosine-minmax", "cosine"), ("cosine-minmax", "cosine_range")],
)
def test_a_missing_score(arm, score):
    with pytest.raises(SettingsError, match=f"needs {score}"):
        of(arm, **{score: None})


def test_which_arms_look_at_synthesis():
    assert [arm for arm in ARMS if not needs_synthesis(arm)] == ["text", "original", "random", "noise"]
