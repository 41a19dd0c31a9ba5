"""The paper's figures: as printed, against their own arithmetic, and only beside what they can be compared with."""

import re

import pytest

from amia.experiments.paper_results import ReportedScore, comparable, recognize_dataset, reported_score
from amia.experiments.results import Part
from amia.experiments.run_specs import MIXING, RunSpec, run_specs
from tests.helpers.simulated_results import TWITTER_2015, facts

RECOGNIZERS = ("umt", "maf", "bert-resnet-crf")
TEXT_SYSTEMS = ("bilstm-crf", "cnn-bilstm-crf", "hbilstm-crf", "bert", "bert-crf")
DATASETS = ("twitter-2015", "twitter-2017")
PARTS: dict[str, tuple[Part, ...]] = {"table1": ("all",), "table2": ("all",), "table3": ("mismatched", "matched")}


def everything() -> dict[tuple[str, str, str, str, Part], ReportedScore]:
    """All that the three tables need; figure by figure, so that a hole shows."""
    found = {}
    for table, parts in PARTS.items():
        for need in run_specs(table, RECOGNIZERS, TEXT_SYSTEMS):
            for part in parts:
                for dataset in DATASETS:
                    printed = reported_score(table, dataset, need, part)
                    assert printed is not None, (table, dataset, need, part)
                    found[table, dataset, need.recognizer, need.arm, part] = printed
    return found


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
def test_as_printed(table, dataset, recognizer, arm, part, numbers):
    printed = reported_score(table, dataset, RunSpec(recognizer, arm), part)
    assert printed is not None
    assert (printed.precision, printed.recall, printed.f1) == numbers
    assert printed.copied == (recognizer == "bilstm-crf")


def test_f1_follows_from_precision_and_recall_but_for_these():
    wrong = {
        (table, dataset[-4:], recognizer, arm, part): round(2 * one.precision * one.recall / total, 2)
        for (table, dataset, recognizer, arm, part), one in everything().items()
        if one.precision and one.recall and (total := one.precision + one.recall)
        # Rounding moves it by 0.01; a mean of the F1 of several runs is a little off the F1 of their means.
        if abs(2 * one.precision * one.recall / total - one.f1) > 0.1
    }
    assert wrong == {
        ("table1", "2017", "hbilstm-crf", "text", "all"): 80.36,
        ("table2", "2017", "umt", "synthesized", "all"): 84.69,
        ("table2", "2015", "maf", "cosine", "all"): 74.27,
        ("table3", "2015", "maf", "synthesized", "mismatched"): 72.44,
        ("table3", "2015", "bert-resnet-crf", "adaptive", "mismatched"): 75.31,
        ("table3", "2015", "bert-resnet-crf", "synthesized", "matched"): 75.31,
    }
    for (table, year, *key), follows in wrong.items():
        doubt = everything()[table, f"twitter-{year}", *key].doubt
        assert doubt is not None
        assert f"F1 of the P and R beside it is {follows:.2f}" in doubt


def test_f1_on_all_posts_lies_between_the_halves_but_for_these():
    doubted = {
        (dataset[-4:], recognizer, arm)
        for (_, dataset, recognizer, arm, _), printed in everything().items()
        if printed.doubt and "is outside those of Table 3" in printed.doubt
    }
    assert doubted == {
        ("2015", "maf", "synthesized"),
        ("2015", "bert-resnet-crf", "original"),
        ("2015", "bert-resnet-crf", "synthesized"),
        ("2015", "bert-resnet-crf", "adaptive"),
    }
    whole = everything()["table2", "twitter-2015", "bert-resnet-crf", "adaptive", "all"]
    assert whole.doubt == "F1 on all posts, 75.62, is outside those of Table 3, 74.50 and 74.82"


def test_one_figure_differs_between_two_tables():
    found = everything()
    differing = [key for key, one in found.items() if one.doubt and re.search("another of the paper's", one.doubt)]
    assert differing == [
        ("table1", "twitter-2017", "umt", "original", "all"),
        ("table2", "twitter-2017", "umt", "original", "all"),
    ]
    for table, dataset, recognizer, arm, part in found:
        if table == "table1" and arm in MIXING and (table, dataset, recognizer, arm, part) not in differing:
            assert found["table2", dataset, recognizer, arm, part] == found[table, dataset, recognizer, arm, part]


def test_nothing_else_is_doubted():
    assert sum(printed.doubt is not None for printed in everything().values()) == 19


def test_a_data_set_is_recognized_by_its_splits():
    assert recognize_dataset(facts()) == "twitter-2017"
    assert recognize_dataset(facts(posts=TWITTER_2015 | {"unlabeled": 0})) == "twitter-2015"
    assert recognize_dataset(facts(posts=TWITTER_2015 | {"test": 3256})) is None
    assert recognize_dataset(facts(posts={"test": 723})) is None


UMT = {arm: RunSpec("umt", arm) for arm in ("original", "synthesized", "adaptive", "cosine", "fixed-0.5")}


@pytest.mark.parametrize(
    ("other", "lost"),
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
def test_a_figure_is_shown_only_beside_the_same_data_and_models(other, lost):
    asked = {system: ("table1", RunSpec(system, "text")) for system in ("bilstm-crf", "bert-crf")}
    asked |= {arm: ("table2", need) for arm, need in UMT.items()}
    shown = {name for name, (table, need) in asked.items() if comparable(facts(**other), table, need)}
    assert shown == asked.keys() - lost


def test_the_halves_of_table_3_rest_on_clip_whatever_the_images():
    assert comparable(facts(), "table3", UMT["original"], "matched")
    assert comparable(facts(clip="another"), "table3", UMT["original"], "matched") is None


def test_nothing_is_printed_of_controls_and_exchanged_images():
    assert reported_score("table1", "twitter-2015", RunSpec("umt", "original", swapped=True)) is None
    assert reported_score("controls", "twitter-2015", RunSpec("umt", "original")) is None
    assert reported_score("table1", "twitter-2015", RunSpec("umt", "text")) is None
