"""Scores against seqeval's, to the last bit."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as lenient_seqeval
from seqeval.metrics.v1 import precision_recall_fscore_support as strict_seqeval
from seqeval.scheme import IOB2

from amia.mner.metrics import Counts, Report, score, score_lines
from amia.mner.spans import TYPES, label_names, lenient_spans, strict_spans

WAYS = {"lenient": (lenient_spans, lenient_seqeval, {}), "strict": (strict_spans, strict_seqeval, {"scheme": IOB2})}


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[list[str]], list[list[str]]]:
    """Gold and predictions that often agree, so that there are true positives to count."""
    tags = st.sampled_from([*label_names([*TYPES, "geo-loc"]), "O", "O"])
    gold = draw(st.lists(st.lists(tags, max_size=8), min_size=1, max_size=6))
    predicted = [[tag if draw(st.booleans()) else draw(tags) for tag in sentence] for sentence in gold]
    return gold, predicted


def equal_to_seqeval(way: str, gold: list[list[str]], predicted: list[list[str]]) -> None:
    spans, seqeval, scheme = WAYS[way]
    report = score(gold, predicted, spans)
    micro = seqeval(gold, predicted, average="micro", zero_division=0, **scheme)
    assert (report.micro.precision, report.micro.recall, report.micro.f1, report.micro.gold) == micro
    by_type = zip(*seqeval(gold, predicted, average=None, zero_division=0, **scheme), strict=True)
    ours = [report.types[kind] for kind in sorted(report.types)]
    assert [(one.precision, one.recall, one.f1, one.gold) for one in ours] == list(by_type)


@pytest.mark.parametrize("way", WAYS)
@given(both=corpora())
def test_equal_to_seqeval_to_the_last_bit(way, both):
    equal_to_seqeval(way, *both)


@pytest.mark.parametrize("way", WAYS)
def test_equal_to_seqeval_on_a_test_set_of_common_size(way):
    rng = random.Random(0)
    labels = [*["O"] * 20, *label_names(TYPES)]
    gold = [rng.choices(labels, k=rng.randrange(1, 30)) for _ in range(2000)]
    predicted = [[tag if rng.random() < 0.9 else rng.choice(labels) for tag in sentence] for sentence in gold]
    equal_to_seqeval(way, gold, predicted)


@given(corpora(), st.integers(0, 6))
def test_reports_add_up(both, cut):
    gold, predicted = both
    whole = score(gold, predicted)
    assert score(gold[:cut], predicted[:cut]) + score(gold[cut:], predicted[cut:]) == whole
    each = [score([one], [other]) for one, other in zip(gold, predicted, strict=True)]
    assert sum((one.micro for one in each), Counts()) == whole.micro
    assert list(sum(each, Report(0, {})).types) == list(whole.types)


def test_types_stand_in_the_fields_order():
    report = score([["B-a", "B-MISC", "B-PER", "O"]], [["O", "O", "O", "B-LOC"]])
    assert list(report.types) == ["PER", "LOC", "MISC", "a"]


def test_where_nothing_can_be_divided():
    assert (Counts().precision, Counts().recall, Counts().f1) == (0.0, 0.0, 0.0)
    assert Counts(0, 3, 0).f1 == 0.0
    assert score([], []) == Report(0, {})


def test_what_cannot_be_compared():
    with pytest.raises(ValueError, match="post 1: 2 gold tags but 1 predicted"):
        score([["O"], ["O", "B-PER"]], [["O"], ["O"]])
    with pytest.raises(ValueError, match="shorter"):
        score([["O"], ["O"]], [["O"]])


def test_as_json_and_as_a_table():
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
    assert len({len(line) for line in score_lines({"a": Counts(5207, 5207, 5207), "a long name": Counts()})}) == 1
