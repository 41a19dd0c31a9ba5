"""Test that scores equal seqeval's to the last bit."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as lenient_seqeval
from seqeval.metrics.v1 import precision_recall_fscore_support as strict_seqeval
from seqeval.scheme import IOB2

from amia.mner.metrics import ScoreReport, SpanCounts, format_scores, score
from amia.mner.spans import TYPES, label_names, lenient_spans, strict_spans

MODES = {"lenient": (lenient_spans, lenient_seqeval, {}), "strict": (strict_spans, strict_seqeval, {"scheme": IOB2})}


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[list[str]], list[list[str]]]:
    """Generate gold tags and predictions that often agree, so that there are true positives."""
    tags = st.sampled_from([*label_names([*TYPES, "geo-loc"]), "O", "O"])
    gold = draw(st.lists(st.lists(tags, max_size=8), min_size=1, max_size=6))
    predicted = [[tag if draw(st.booleans()) else draw(tags) for tag in sentence] for sentence in gold]
    return gold, predicted


def assert_equals_seqeval(mode: str, gold: list[list[str]], predicted: list[list[str]]) -> None:
    extract_spans, seqeval, scheme = MODES[mode]
    report = score(gold, predicted, extract_spans)
    micro = seqeval(gold, predicted, average="micro", zero_division=0, **scheme)
    assert (report.micro.precision, report.micro.recall, report.micro.f1, report.micro.gold) == micro
    expected = zip(*seqeval(gold, predicted, average=None, zero_division=0, **scheme), strict=True)
    counts_by_type = [report.types[type_] for type_ in sorted(report.types)]
    assert [(counts.precision, counts.recall, counts.f1, counts.gold) for counts in counts_by_type] == list(expected)


@pytest.mark.parametrize("mode", MODES)
@given(corpus=corpora())
def test_equals_seqeval(mode, corpus):
    assert_equals_seqeval(mode, *corpus)


@pytest.mark.parametrize("mode", MODES)
def test_equals_seqeval_on_2000_posts(mode):
    rng = random.Random(0)
    labels = [*["O"] * 20, *label_names(TYPES)]
    gold = [rng.choices(labels, k=rng.randrange(1, 30)) for _ in range(2000)]
    predicted = [[tag if rng.random() < 0.9 else rng.choice(labels) for tag in sentence] for sentence in gold]
    assert_equals_seqeval(mode, gold, predicted)


@given(corpora(), st.integers(0, 6))
def test_reports_are_additive(corpus, cut):
    gold, predicted = corpus
    total = score(gold, predicted)
    assert score(gold[:cut], predicted[:cut]) + score(gold[cut:], predicted[cut:]) == total
    reports = [score([gold_tags], [tags]) for gold_tags, tags in zip(gold, predicted, strict=True)]
    assert sum((report.micro for report in reports), SpanCounts()) == total.micro
    assert list(sum(reports, ScoreReport(0, {})).types) == list(total.types)


def test_order_of_types():
    report = score([["B-a", "B-MISC", "B-PER", "O"]], [["O", "O", "O", "B-LOC"]])
    assert list(report.types) == ["PER", "LOC", "MISC", "a"]


def test_scores_are_zero_without_spans():
    assert (SpanCounts().precision, SpanCounts().recall, SpanCounts().f1) == (0.0, 0.0, 0.0)
    assert SpanCounts(0, 3, 0).f1 == 0.0
    assert score([], []) == ScoreReport(0, {})


def test_rejects_different_lengths():
    with pytest.raises(ValueError, match="post 1: 2 gold tags but 1 predicted"):
        score([["O"], ["O", "B-PER"]], [["O"], ["O"]])
    with pytest.raises(ValueError, match="shorter"):
        score([["O"], ["O"]], [["O"]])


def test_json_and_text_table():
    report = score([["B-PER", "I-PER", "O"], ["B-LOC"], ["B-LOC"]], [["B-PER", "I-PER", "B-PER"], ["B-LOC"], ["O"]])
    counts = {"true_positives": 2, "predicted": 3, "gold": 3}
    assert json.loads(json.dumps(report.to_json())) == {
        "posts": 3,
        "micro": {"precision": 2 / 3, "recall": 2 / 3, "f1": report.micro.f1, **counts},
        "types": {
            "PER": {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "true_positives": 1, "predicted": 2, "gold": 1},
            "LOC": {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "true_positives": 1, "predicted": 1, "gold": 2},
        },
    }
    assert [line.split() for line in report.lines()] == [
        ["precision", "recall", "F1", "gold", "predicted"],
        ["PER", "50.00", "100.00", "66.67", "1", "2"],
        ["LOC", "100.00", "50.00", "66.67", "2", "1"],
        ["micro", "66.67", "66.67", "66.67", "3", "3"],
    ]
    lines = format_scores({"a": SpanCounts(5207, 5207, 5207), "a long name": SpanCounts()})
    assert len({len(line) for line in lines}) == 1
