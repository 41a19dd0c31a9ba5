"""A cell's result: made of what a recognizer said, kept as JSON, refused where it cannot be."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.errors import RunError
from amia.experiments.results import PARTS, CellResult
from amia.mner.evaluation import ScoredPost, slice_reports
from tests.helpers.simulated_results import cell

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
tags = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=6)
posts = st.lists(st.tuples(tags, st.sampled_from([None, 0.0, 0.5, 0.51, 1.0]), st.booleans()), max_size=6)


def judged(drawn: list[Any]) -> list[ScoredPost]:
    return [
        ScoredPost(
            id=f"post-{place}",
            tokens=("word",) * len(both),
            tags=None,
            gold=tuple(gold for gold, _ in both),
            predicted=tuple(predicted for _, predicted in both),
            theta=theta,
            has_image=has_image,
        )
        for place, (both, theta, has_image) in enumerate(drawn)
    ]


@given(drawn=posts)
def test_a_part_adds_up_to_the_slice_of_that_name(drawn):
    said = judged(drawn)
    result = CellResult.of(said, data="tweets", recognizer="umt", arm="adaptive", seed=3)
    reports = slice_reports(said, {})
    for part in PARTS:
        assert result.score(part) == reports[part].micro
        assert result.mask(part).sum() == reports[part].posts


@given(drawn=posts, swapped=st.booleans())
def test_json_and_back(drawn, swapped):
    result = CellResult.of(judged(drawn), data="t|w", recognizer="umt", arm="noise", seed=3, swapped=swapped)
    back = CellResult.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False)))
    assert back.to_json() == result.to_json()
    for name in ("counts", "theta", "has_image"):
        np.testing.assert_array_equal(getattr(back, name), getattr(result, name))
        assert getattr(back, name).dtype == getattr(result, name).dtype
    assert (back.ids, back.name) == (result.ids, result.name)


def told(**other: Any) -> dict[str, Any]:
    return {**cell([[1, 2, 1], [0, 0, 1]]).to_json(), **other}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (told(seed="0"), "seed: "),
        (told(seed=None), "seed: "),
        (told(color="red"), "color: "),
        ({"data": "tweets"}, "recognizer: "),
        ([], "no result of a cell"),
        (told(gold=[1, -1]), r"gold\.1: "),
        (told(gold=[1, 2**70]), r"gold\.1: "),
        (told(gold=[1, 0.5]), r"gold\.1: "),
        (told(theta=[0.1, float("nan")]), r"theta\.1: "),
        (told(theta=[0.1, 1.5]), "post post-1: theta"),
        (told(theta=[0.1]), "theta: 1, "),
        (told(has_image=[True]), "has_image: 1"),
        (told(has_image=[1, 0]), r"has_image\.0: "),
        (told(predicted=[2]), "lengths differ"),
        (told(ids=["a"]), "lengths differ"),
        (told(ids=["a", "a"]), "twice"),
        (told(true_positives=[2, 0]), "post post-0: counts"),
        (told(true_positives=[1, 1]), "post post-1: counts"),
    ],
)
def test_what_is_no_result_is_refused_by_name(wrong, said):
    with pytest.raises(RunError, match=f"{said}.*run the cell again"):
        CellResult.from_json(wrong)


def test_an_error_says_which_cell_it_is():
    with pytest.raises(RunError, match=r"\(tweets, umt, noise, seed 5, swapped\)"):
        cell([[2, 1, 1]], arm="noise", seed=5, swapped=True)


def test_arrays_of_other_shapes_are_refused():
    with pytest.raises(RunError, match=r"theta has shape \(2,\) where 1 posts need \(1,\)"):
        cell([[1, 1, 1]], theta=np.zeros(2))


def test_nothing_is_in_a_half_without_an_image_or_theta():
    result = cell([[1, 1, 1]] * 3, theta=np.array([0.9, np.nan, 0.2]), has_image=np.array([False, True, True]))
    assert result.mask("matched").tolist() == [False, False, False]
    assert result.mask("mismatched").tolist() == [False, False, True]
    assert result.mask("with_image").tolist() == [False, True, True]
