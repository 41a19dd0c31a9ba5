"""The end of `amia demo`: theta against the ground truth, and the table of F1."""

import json

import pytest

from amia.experiments.significance import Difference
from ray_jobs.cli.demo import explain_scores, format_scores
from ray_jobs.jobs.demo import ARMS, SLICES, ArmScores, measure_separation
from ray_jobs.storage.layout import arm_folder, shard_key
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store
from tests.helpers.when_maps import make_map


def test_separation_is_that_of_all_pairs_of_posts(augmented, corpus):
    """AUC by definition: how often a matched post has the greater score than a mismatched one; ties count half."""
    found = measure_separation(str(augmented), corpus / "truth.ndjson", "adaptive")
    truth = {p["id"]: p["matched"] for p in map(json.loads, (corpus / "truth.ndjson").read_text().splitlines())}
    store = Store(str(augmented))
    scores = {True: [], False: []}
    for shard in Plan.find(store).shards:
        rows = read_shard(store, shard_key(arm_folder("adaptive"), shard), ["id", "image_status", "theta"]).to_pylist()
        for row in rows:
            if row["image_status"] == "ok" and truth[row["id"]] is not None:
                scores[truth[row["id"]]].append(row["theta"])
    pairs = [(a > b) + (a == b) / 2 for a in scores[True] for b in scores[False]]
    assert found.theta_auc == pytest.approx(sum(pairs) / len(pairs))
    assert found.posts == sum(map(len, scores.values()))
    assert found.mismatched == pytest.approx(len(scores[False]) / found.posts)
    right = sum(theta > 0.5 for theta in scores[True]) + sum(theta <= 0.5 for theta in scores[False])
    assert found.theta_accuracy == pytest.approx(right / found.posts)


def test_table_shows_every_arm_and_its_difference():
    f1 = {name: 0.5 + index / 10 for index, name in enumerate(SLICES)}
    scores = {arm: ArmScores(model=arm, f1=f1, difference=Difference(0.021, -0.004, 0.05, 0.1)) for arm in ARMS}
    scores["original"] = ArmScores(model="original", f1=f1, difference=None)
    header, *rows = format_scores(scores, ARMS)
    assert [row.split(":")[0].strip() for row in rows] == list(ARMS)
    assert header.split()[-1] == "interval)"
    assert "+2.1 [-0.4, +5.0]" in rows[0]
    assert rows[1].endswith("-")
    assert all(f"{100 * value:.1f}" in row for row in rows for value in f1.values())


def test_explanation_follows_the_intervals_and_quotes_the_map():
    differences = {
        "text": Difference(-0.03, -0.05, -0.01, 0.0),
        "original": None,
        "adaptive": Difference(0.02, 0.01, 0.03, 0.0),
        "two-sided": Difference(0.01, -0.01, 0.03, 0.3),
    }
    scores = {arm: ArmScores(model=arm, f1={"all": 0.8}, difference=found) for arm, found in differences.items()}
    this_training, of_map = explain_scores(scores, make_map(gain=lambda mismatched, known: 10 * mismatched * known))
    assert "adaptive better; two-sided not clearly different" in this_training
    assert "text" not in this_training
    assert "mean of 3 seeds: adaptive +3.2 [+2.2, +4.2], two-sided +3.2 [+2.2, +4.2]" in of_map
    scores["adaptive"] = ArmScores(model="adaptive", f1={"all": 0.8}, difference=Difference(-0.02, -0.03, -0.01, 0.0))
    (this_training,) = explain_scores(scores, None)
    assert "adaptive worse" in this_training
