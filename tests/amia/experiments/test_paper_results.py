"""Tests of the paper's scores: as printed, checked for consistency, and shown only beside comparable results."""

import re

import pytest

from amia.experiments.paper_results import ReportedScore, comparable_score, identify_dataset, reported_score
from amia.experiments.results import Part
from amia.experiments.run_specs import MIXING, RunSpec, run_specs
from tests.helpers.simulated_results import TWITTER_2015, dataset_info

RECOGNIZERS = ("umt", "maf", "bert-resnet-crf")
TEXT_SYSTEMS = ("bilstm-crf", "cnn-bilstm-crf", "hbilstm-crf", "bert", "bert-crf")
DATASETS = ("twitter-2015", "twitter-2017")
PARTS: dict[str, tuple[Part, ...]] = {"table1": ("all",), "table2": ("all",), "table3": ("mismatched", "matched")}


def all_scores() -> dict[tuple[str, str, str, str, Part], ReportedScore]:
    """Return every score that the three tables need, and check that none is missing but those of arm two-sided."""
    scores = {}
    for table, parts in PARTS.items():
        for run in run_specs(table, RECOGNIZERS, TEXT_SYSTEMS):
            for part in parts:
                for dataset in DATASETS:
                    score = reported_score(table, dataset, run, part)
                    if run.arm == "two-sided":
                        assert score is None
                        continue
                    assert score is not None, (table, dataset, run, part)
                    scores[table, dataset, run.recognizer, run.arm, part] = score
    return scores


@pytest.mark.parametrize(
    ("table", "dataset", "recognizer", "arm", "part", "numbers"),
    [
        ("table1", "twitter-2015", "bert-crf", "text", "all", (69.22, 74.59, 71.81)),
        ("table1", "twitter-2017", "bilstm-crf", "text", "all", (79.42, 73.43, 76.31)),
        ("table1", "twitter-2017", "umt", "original", "all", (None, None, 84.69)),
        ("table1", "twitter-2017", "bert-resnet-crf", "adaptive", "all", (87.23, 88.00, 87.62)),
        ("table2", "twitter-2015", "maf", "cosine", "all", (73.31, 75.25, 73.28)),
        ("table2", "twitter-2017", "umt", "fixed-0.3", "all", (84.94, 84.81, 84.87)),
        ("table3", "twitter-2015", "umt", "original", "mismatched", (70.73, 73.75, 72.21)),
        ("table3", "twitter-2017", "maf", "adaptive", "matched", (85.88, 85.71, 85.78)),
    ],
)
def test_scores_as_printed(table, dataset, recognizer, arm, part, numbers):
    score = reported_score(table, dataset, RunSpec(recognizer, arm), part)
    assert score is not None
    assert (score.precision, score.recall, score.f1) == numbers
    assert score.copied == (recognizer == "bilstm-crf")


def test_f1_that_contradicts_precision_and_recall():
    contradictions = {
        (table, dataset[-4:], recognizer, arm, part): round(2 * score.precision * score.recall / total, 2)
        for (table, dataset, recognizer, arm, part), score in all_scores().items()
        if score.precision and score.recall and (total := score.precision + score.recall)
        # Rounding changes it by 0.01; the mean F1 of several runs differs slightly from the F1 of the means.
        if abs(2 * score.precision * score.recall / total - score.f1) > 0.1
    }
    assert contradictions == {
        ("table1", "2017", "hbilstm-crf", "text", "all"): 80.36,
        ("table2", "2017", "umt", "synthesized", "all"): 84.69,
        ("table2", "2015", "maf", "cosine", "all"): 74.27,
        ("table3", "2015", "maf", "synthesized", "mismatched"): 72.44,
        ("table3", "2015", "bert-resnet-crf", "adaptive", "mismatched"): 75.31,
        ("table3", "2015", "bert-resnet-crf", "synthesized", "matched"): 75.31,
    }
    for (table, year, *key), expected in contradictions.items():
        inconsistency = all_scores()[table, f"twitter-{year}", *key].inconsistency
        assert inconsistency is not None
        assert f"its P and R give an F1 of {expected:.2f}" in inconsistency


def test_f1_on_all_posts_outside_the_range_of_the_parts():
    outside = {
        (dataset[-4:], recognizer, arm)
        for (_, dataset, recognizer, arm, _), score in all_scores().items()
        if score.inconsistency and "is outside the range of Table 3" in score.inconsistency
    }
    assert outside == {
        ("2015", "maf", "synthesized"),
        ("2015", "bert-resnet-crf", "original"),
        ("2015", "bert-resnet-crf", "synthesized"),
        ("2015", "bert-resnet-crf", "adaptive"),
    }
    score = all_scores()["table2", "twitter-2015", "bert-resnet-crf", "adaptive", "all"]
    assert score.inconsistency == "F1 on all posts (75.62) is outside the range of Table 3 (74.50 to 74.82)"


def test_scores_that_differ_between_tables():
    scores = all_scores()
    different = [
        key for key, score in scores.items() if score.inconsistency and re.search("another table", score.inconsistency)
    ]
    assert different == [
        ("table1", "twitter-2017", "umt", "original", "all"),
        ("table2", "twitter-2017", "umt", "original", "all"),
    ]
    for table, dataset, recognizer, arm, part in scores:
        if table == "table1" and arm in MIXING and (table, dataset, recognizer, arm, part) not in different:
            assert scores["table2", dataset, recognizer, arm, part] == scores[table, dataset, recognizer, arm, part]


def test_number_of_inconsistent_scores():
    assert sum(score.inconsistency is not None for score in all_scores().values()) == 19


def test_identifies_data_sets_by_split_sizes():
    assert identify_dataset(dataset_info()) == "twitter-2017"
    assert identify_dataset(dataset_info(posts=TWITTER_2015 | {"unlabeled": 0})) == "twitter-2015"
    assert identify_dataset(dataset_info(posts=TWITTER_2015 | {"test": 3256})) is None
    assert identify_dataset(dataset_info(posts={"test": 723})) is None


UMT = {arm: RunSpec("umt", arm) for arm in ("original", "synthesized", "adaptive", "cosine", "fixed-0.5")}


@pytest.mark.parametrize(
    ("overrides", "not_comparable"),
    [
        ({}, set()),
        ({"generator": "stabilityai/sd-turbo"}, set()),
        ({"posts": {"test": 5}}, {"bilstm-crf", "bert-crf", *UMT}),
        ({"text_encoder": "google-bert/bert-base-uncased"}, {"bert-crf", *UMT}),
        ({"visual_encoder": "microsoft/resnet-50"}, set(UMT)),
        ({"generator": "stabilityai/stable-diffusion-2-1"}, {"synthesized", "adaptive", "cosine", "fixed-0.5"}),
        ({"clip": "openai/clip-vit-base-patch32"}, {"adaptive", "cosine"}),
    ],
)
def test_comparable_only_with_the_same_data_and_models(overrides, not_comparable):
    runs = {system: ("table1", RunSpec(system, "text")) for system in ("bilstm-crf", "bert-crf")}
    runs |= {arm: ("table2", run) for arm, run in UMT.items()}
    comparable = {
        name for name, (table, run) in runs.items() if comparable_score(dataset_info(**overrides), table, run)
    }
    assert comparable == runs.keys() - not_comparable


def test_parts_of_table_3_depend_on_clip_for_all_arms():
    assert comparable_score(dataset_info(), "table3", UMT["original"], "matched")
    assert comparable_score(dataset_info(clip="another"), "table3", UMT["original"], "matched") is None


def test_no_scores_of_controls_and_swapped_images():
    assert reported_score("table1", "twitter-2015", RunSpec("umt", "original", swapped=True)) is None
    assert reported_score("controls", "twitter-2015", RunSpec("umt", "original")) is None
    assert reported_score("table1", "twitter-2015", RunSpec("umt", "text")) is None
