"""`amia evaluate`: its numbers are seqeval's, on every part of the posts, and they are published once."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from amia.errors import IdentityError
from amia.mner.metrics import Report
from amia.mner.spans import TYPES, label_names
from amia.readers import open_corpus
from ray_jobs.jobs.evaluate import Evaluation, evaluate
from ray_jobs.settings.job import Settings
from ray_jobs.storage.arm import open_arm
from ray_jobs.storage.store import Store
from tests.helpers.recognizers import save_trained

Amia = Callable[..., tuple[int, str, str]]
Row = dict[str, Any]

LABELS = label_names(TYPES)
KEY = "evaluations/words/adaptive-test.json"


@pytest.fixture(scope="module")
def run(augmented: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two recognizers: `words` has learned a little; `tiny` knows nothing, but looks at images."""
    run = tmp_path_factory.mktemp("evaluated") / "run"
    shutil.copytree(augmented, run)
    arm = open_arm(Store(run), "adaptive")
    save_trained(run / "models" / "words", arm.examples(arm.keys("train")))
    shutil.copytree(tiny, run / "models" / "tiny")
    for name in ("words", "tiny"):
        (run / "models" / name / "training.json").write_text("{}")
    return run


@pytest.fixture(scope="module")
def settings(small: Callable[..., Settings]) -> Settings:
    return small("pools.predict.max=1")


@pytest.fixture(scope="module")
def evaluated(run: Path, settings: Settings) -> Evaluation:
    return evaluate(str(run), settings, model="words", quiet=True)


@pytest.fixture(scope="module")
def test_rows(evaluated: Evaluation, run: Path) -> list[Row]:
    """What was predicted of the test posts, with labels by name."""
    files = sorted((run / "predictions" / "words" / "adaptive").glob("test-*.parquet"))
    found = [row for file in files for row in pq.read_table(file).to_pylist()]
    for row in found:
        for name in ("ner_tags", "predicted_tags"):
            row[name] = [LABELS[label] for label in row[name]]
    return found


def seqeval(rows: Sequence[Row], gold: str = "ner_tags", **more: Any) -> dict[str, Any]:
    told: dict[str, Any] = classification_report(
        [row[gold] for row in rows],
        [row["predicted_tags"] for row in rows],
        output_dict=True,
        zero_division=0,
        **more,
    )
    return told


def assert_same(report: Report, told: dict[str, Any]) -> None:
    for kind, counts in [*report.types.items(), ("micro avg", report.micro)]:
        expected = told.get(kind)
        if expected is None:  # seqeval leaves out a type that is nowhere in gold and predictions
            assert counts.gold == counts.predicted == 0
            continue
        assert (counts.precision, counts.recall, counts.f1) == (
            expected["precision"],
            expected["recall"],
            expected["f1-score"],
        )
        assert counts.gold == expected["support"]


def test_the_numbers_are_seqeval_s(evaluated: Evaluation, test_rows: list[Row]) -> None:
    assert (evaluated.posts, evaluated.unlabeled) == (len(test_rows), 0) == (14, 0)
    assert 0 < evaluated.lenient["all"].micro.f1 < 1
    assert_same(evaluated.lenient["all"], seqeval(test_rows))
    assert_same(evaluated.strict["all"], seqeval(test_rows, "tags", mode="strict", scheme=IOB2))
    parts = {
        "matched": [row for row in test_rows if row["image_status"] == "ok" and row["theta"] > 0.5],
        "mismatched": [row for row in test_rows if row["image_status"] == "ok" and row["theta"] <= 0.5],
        "with_image": [row for row in test_rows if row["image_status"] == "ok"],
    }
    for name, rows in parts.items():
        assert evaluated.lenient[name].posts == len(rows)
        if rows:
            assert_same(evaluated.lenient[name], seqeval(rows))


def test_names_are_seen_where_training_posts_have_them(evaluated: Evaluation, test_rows: list[Row], run: Path) -> None:
    known = set()
    for file in (run / "posts").glob("train-*.parquet"):
        for row in pq.read_table(file).to_pylist():
            inside: list[str] = []
            for token, tag in [*zip(row["tokens"], row["ner_tags"], strict=True), ("", "O")]:
                if inside and not tag.startswith("I-"):
                    known.add(" ".join(inside).lower())
                    inside = []
                if tag != "O":
                    inside.append(token)
    found = [(" ".join(row["tokens"][s["start"] : s["end"]]).lower()) for row in test_rows for s in row["spans"]]
    assert evaluated.lenient["seen"].micro.predicted == sum(form in known for form in found)
    assert evaluated.lenient["unseen"].micro.predicted == sum(form not in known for form in found)
    assert evaluated.lenient["seen"].micro.gold > 0
    assert evaluated.lenient["unseen"].micro.gold > 0


def test_scores_and_conll_are_published(evaluated: Evaluation, test_rows: list[Row], run: Path, tmp_path: Path) -> None:
    assert (evaluated.key, evaluated.conll) == (KEY, "predictions/words/adaptive/test.conll")
    told = json.loads((run / evaluated.key).read_text(encoding="utf-8"))
    assert told["lenient"]["all"]["micro"]["f1"] == evaluated.lenient["all"].micro.f1
    assert told["strict"].keys() == told["lenient"].keys() >= {"all", "seen", "unseen", "ambiguous"}
    lines = (run / evaluated.conll).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t")[1:] for line in lines if "\t" in line]
    assert [tag for _, tag in pairs] == [tag for row in test_rows for tag in row["predicted_tags"]]
    (tmp_path / "test.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    read = list(open_corpus(str(tmp_path), None))
    assert [(post.id, list(post.tags)) for post in read] == [(row["id"], row["ner_tags"]) for row in test_rows]


def test_the_same_again_changes_nothing_and_other_scores_are_refused(
    evaluated: Evaluation, run: Path, settings: Settings
) -> None:
    def standing() -> dict[str, int]:
        return {str(file): file.stat().st_mtime_ns for file in run.rglob("*") if file.is_file()}

    before = standing()
    assert evaluate(str(run), settings, model="words", split="test", quiet=True) == evaluated
    assert standing() == before
    whole = (run / KEY).read_bytes()
    (run / KEY).write_bytes(whole.replace(b'"posts": 14', b'"posts": 15'))
    with pytest.raises(IdentityError, match=f"{KEY} .*: remove it"):
        evaluate(str(run), settings, model="words", quiet=True)
    (run / KEY).write_bytes(whole)


def test_images_are_swapped_beside_and_not_over_what_is_there(run: Path, settings: Settings) -> None:
    swapped = evaluate(str(run), settings, model="tiny", swap_images=True, quiet=True)
    assert (swapped.key, swapped.swapped) == ("evaluations/tiny/adaptive-swapped-test.json", True)
    files = (run / "predictions" / "tiny" / "adaptive-swapped").glob("test-*.parquet")
    seen = {row["id"]: row["seen"] for file in files for row in pq.read_table(file).to_pylist()}
    assert set(seen.values()) == set(seen)
    assert not [name for name, other in seen.items() if name == other]
    assert not (run / "predictions" / "tiny" / "adaptive").exists()


def test_the_command_line_prints_scores(
    amia: Amia, evaluated: Evaluation, run: Path, small_words: Sequence[str]
) -> None:
    words = ("evaluate", "--run", run, "--model", "words", "--config", "demo", *small_words)
    code, said, complained = amia(*words)
    assert (code, complained) == (0, "")
    micro = evaluated.lenient["all"].micro
    assert f"{100 * micro.precision:.2f}" in said
    assert f"{100 * micro.f1:.2f}" in said
    assert all(name in said for name in ("matched", "unseen", "strict IOB2", KEY))
    told = json.loads(amia(*words, "--json")[1])
    assert told["lenient"]["all"]["types"]["PER"]["f1"] == evaluated.lenient["all"].types["PER"].f1
    code, _, complained = amia(*words, "--split", "nowhere")
    assert (code, "no split 'nowhere'" in complained) == (2, True)
