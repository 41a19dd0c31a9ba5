"""Tests of cell results: built from predictions, stored as JSON, validated."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.errors import RunError
from amia.experiments.results import PARTS, CellResult
from amia.mner.evaluation import ScoredPost, score_slices
from tests.helpers.simulated_results import make_cell

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
tags = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=6)
post_specs = st.lists(st.tuples(tags, st.sampled_from([None, 0.0, 0.5, 0.51, 1.0]), st.booleans()), max_size=6)


def scored_posts(specs: list[Any]) -> list[ScoredPost]:
    return [
        ScoredPost(
            id=f"post-{index}",
            tokens=("word",) * len(labels),
            tags=None,
            gold=tuple(gold for gold, _ in labels),
            predicted=tuple(predicted for _, predicted in labels),
            theta=theta,
            has_image=has_image,
        )
        for index, (labels, theta, has_image) in enumerate(specs)
    ]


@given(specs=post_specs)
def test_parts_equal_the_slices_of_evaluation(specs):
    posts = scored_posts(specs)
    result = CellResult.from_posts(posts, data="tweets", recognizer="umt", arm="adaptive", seed=3)
    reports = score_slices(posts, {})
    for part in PARTS:
        assert result.score(part) == reports[part].micro
        assert result.mask(part).sum() == reports[part].posts


@given(specs=post_specs, swapped=st.booleans())
def test_json_round_trip(specs, swapped):
    result = CellResult.from_posts(
        scored_posts(specs), data="t|w", recognizer="umt", arm="noise", seed=3, swapped=swapped
    )
    restored = CellResult.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False)))
    assert restored.to_json() == result.to_json()
    for name in ("counts", "theta", "has_image"):
        np.testing.assert_array_equal(getattr(restored, name), getattr(result, name))
        assert getattr(restored, name).dtype == getattr(result, name).dtype
    assert (restored.ids, restored.name) == (result.ids, result.name)


def cell_json(**overrides: Any) -> dict[str, Any]:
    return {**make_cell([[1, 2, 1], [0, 0, 1]]).to_json(), **overrides}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (cell_json(seed="0"), "seed: "),
        (cell_json(seed=None), "seed: "),
        (cell_json(color="red"), "color: "),
        ({"data": "tweets"}, "recognizer: "),
        ([], "not a valid result of a cell"),
        (cell_json(gold=[1, -1]), r"gold\.1: "),
        (cell_json(gold=[1, 2**70]), r"gold\.1: "),
        (cell_json(gold=[1, 0.5]), r"gold\.1: "),
        (cell_json(theta=[0.1, float("nan")]), r"theta\.1: "),
        (cell_json(theta=[0.1, 1.5]), "post post-1: theta"),
        (cell_json(theta=[0.1]), "theta: 1, "),
        (cell_json(has_image=[True]), "has_image: 1"),
        (cell_json(has_image=[1, 0]), r"has_image\.0: "),
        (cell_json(predicted=[2]), "lengths differ"),
        (cell_json(ids=["a"]), "lengths differ"),
        (cell_json(ids=["a", "a"]), "duplicate post ids"),
        (cell_json(true_positives=[2, 0]), "post post-0: counts"),
        (cell_json(true_positives=[1, 1]), "post post-1: counts"),
    ],
)
def test_rejects_invalid_json(tree, message):
    with pytest.raises(RunError, match=f"{message}.*run the cell again"):
        CellResult.from_json(tree)


def test_error_names_the_cell():
    with pytest.raises(RunError, match=r"\(tweets, umt, noise, seed 5, swapped\)"):
        make_cell([[2, 1, 1]], arm="noise", seed=5, swapped=True)


def test_rejects_arrays_of_other_shapes():
    with pytest.raises(RunError, match=r"theta has shape \(2,\), expected \(1,\) for 1 posts"):
        make_cell([[1, 1, 1]], theta=np.zeros(2))


def test_parts_exclude_posts_without_image_or_theta():
    result = make_cell([[1, 1, 1]] * 3, theta=np.array([0.9, np.nan, 0.2]), has_image=np.array([False, True, True]))
    assert result.mask("matched").tolist() == [False, False, False]
    assert result.mask("mismatched").tolist() == [False, False, True]
    assert result.mask("with_image").tolist() == [False, True, True]
