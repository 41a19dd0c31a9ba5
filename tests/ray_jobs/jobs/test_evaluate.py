"""`amia evaluate`: scores equal seqeval on every slice of the posts, and are published once."""

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
from amia.mner.metrics import ScoreReport
from amia.mner.spans import TYPES, label_names
from amia.readers import open_corpus
from ray_jobs.jobs.evaluate import Evaluation, evaluate
from ray_jobs.settings.job import Settings
from ray_jobs.storage.arm import open_arm
from ray_jobs.storage.store import Store
from tests.helpers.recognizers import save_trained

pytestmark = pytest.mark.usefixtures("local_stages")

Amia = Callable[..., tuple[int, str, str]]
Row = dict[str, Any]

LABELS = label_names(TYPES)
KEY = "evaluations/words/adaptive-test.json"


@pytest.fixture(scope="module")
def run(augmented: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two recognizers: `words` is briefly trained on text; `tiny` has random weights and uses images."""
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
    """Predictions for the test posts, with the names of labels."""
    files = sorted((run / "predictions" / "words" / "adaptive").glob("test-*.parquet"))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    for row in rows:
        for name in ("ner_tags", "predicted_tags"):
            row[name] = [LABELS[label] for label in row[name]]
    return rows


def seqeval_report(rows: Sequence[Row], gold: str = "ner_tags", **options: Any) -> dict[str, Any]:
    report: dict[str, Any] = classification_report(
        [row[gold] for row in rows],
        [row["predicted_tags"] for row in rows],
        output_dict=True,
        zero_division=0,
        **options,
    )
    return report


def assert_equal_scores(report: ScoreReport, expected: dict[str, Any]) -> None:
    for type_, counts in [*report.types.items(), ("micro avg", report.micro)]:
        scores = expected.get(type_)
        if scores is None:  # seqeval omits a type that is in neither gold nor predictions
            assert counts.gold == counts.predicted == 0
            continue
        assert (counts.precision, counts.recall, counts.f1) == (
            scores["precision"],
            scores["recall"],
            scores["f1-score"],
        )
        assert counts.gold == scores["support"]


def test_scores_equal_seqeval(evaluated: Evaluation, test_rows: list[Row]) -> None:
    assert (evaluated.posts, evaluated.unlabeled) == (len(test_rows), 0) == (14, 0)
    assert 0 < evaluated.lenient["all"].micro.f1 < 1
    assert_equal_scores(evaluated.lenient["all"], seqeval_report(test_rows))
    assert_equal_scores(evaluated.strict["all"], seqeval_report(test_rows, "tags", mode="strict", scheme=IOB2))
    slices = {
        "matched": [row for row in test_rows if row["image_status"] == "ok" and row["theta"] > 0.5],
        "mismatched": [row for row in test_rows if row["image_status"] == "ok" and row["theta"] <= 0.5],
        "with_image": [row for row in test_rows if row["image_status"] == "ok"],
    }
    for name, rows in slices.items():
        assert evaluated.lenient[name].posts == len(rows)
        if rows:
            assert_equal_scores(evaluated.lenient[name], seqeval_report(rows))


def test_seen_entities_are_in_training_posts(evaluated: Evaluation, test_rows: list[Row], run: Path) -> None:
    training_forms = set()
    for file in (run / "posts").glob("train-*.parquet"):
        for row in pq.read_table(file).to_pylist():
            entity: list[str] = []
            for token, tag in [*zip(row["tokens"], row["ner_tags"], strict=True), ("", "O")]:
                if entity and not tag.startswith("I-"):
                    training_forms.add(" ".join(entity).lower())
                    entity = []
                if tag != "O":
                    entity.append(token)
    forms = [" ".join(row["tokens"][span["start"] : span["end"]]).lower() for row in test_rows for span in row["spans"]]
    assert evaluated.lenient["seen"].micro.predicted == sum(form in training_forms for form in forms)
    assert evaluated.lenient["unseen"].micro.predicted == sum(form not in training_forms for form in forms)
    assert evaluated.lenient["seen"].micro.gold > 0
    assert evaluated.lenient["unseen"].micro.gold > 0


def test_publishes_scores_and_conll(evaluated: Evaluation, test_rows: list[Row], run: Path, tmp_path: Path) -> None:
    assert (evaluated.key, evaluated.conll) == (KEY, "predictions/words/adaptive/test.conll")
    tree = json.loads((run / evaluated.key).read_text(encoding="utf-8"))
    assert tree["lenient"]["all"]["micro"]["f1"] == evaluated.lenient["all"].micro.f1
    assert tree["strict"].keys() == tree["lenient"].keys() >= {"all", "seen", "unseen", "ambiguous"}
    lines = (run / evaluated.conll).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t")[1:] for line in lines if "\t" in line]
    assert [tag for _, tag in pairs] == [tag for row in test_rows for tag in row["predicted_tags"]]
    (tmp_path / "test.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    posts = list(open_corpus(str(tmp_path), None))
    assert [(post.id, list(post.tags)) for post in posts] == [(row["id"], row["ner_tags"]) for row in test_rows]


def test_repeat_changes_nothing_and_rejects_other_scores(evaluated: Evaluation, run: Path, settings: Settings) -> None:
    def modification_times() -> dict[str, int]:
        return {str(file): file.stat().st_mtime_ns for file in run.rglob("*") if file.is_file()}

    before = modification_times()
    assert evaluate(str(run), settings, model="words", split="test", quiet=True) == evaluated
    assert modification_times() == before
    original = (run / KEY).read_bytes()
    (run / KEY).write_bytes(original.replace(b'"posts": 14', b'"posts": 15'))
    with pytest.raises(IdentityError, match=f"{KEY} .*: remove it"):
        evaluate(str(run), settings, model="words", quiet=True)
    (run / KEY).write_bytes(original)


def test_swapped_images_have_their_own_folder(run: Path, settings: Settings) -> None:
    swapped = evaluate(str(run), settings, model="tiny", swap_images=True, quiet=True)
    assert (swapped.key, swapped.swapped) == ("evaluations/tiny/adaptive-swapped-test.json", True)
    files = (run / "predictions" / "tiny" / "adaptive-swapped").glob("test-*.parquet")
    seen = {row["id"]: row["seen"] for file in files for row in pq.read_table(file).to_pylist()}
    assert set(seen.values()) == set(seen)
    assert all(name != other for name, other in seen.items())
    assert not (run / "predictions" / "tiny" / "adaptive").exists()


def test_command_line(amia: Amia, evaluated: Evaluation, run: Path, small_words: Sequence[str]) -> None:
    command = ("evaluate", "--run", run, "--model", "words", "--config", "demo", *small_words)
    code, output, errors = amia(*command)
    assert (code, errors) == (0, "")
    micro = evaluated.lenient["all"].micro
    assert f"{100 * micro.precision:.2f}" in output
    assert f"{100 * micro.f1:.2f}" in output
    assert all(name in output for name in ("matched", "unseen", "strict IOB2", KEY))
    tree = json.loads(amia(*command, "--json")[1])
    assert tree["lenient"]["all"]["types"]["PER"]["f1"] == evaluated.lenient["all"].types["PER"].f1
    code, _, errors = amia(*command, "--split", "nowhere")
    assert (code, "no split 'nowhere'" in errors) == (2, True)
