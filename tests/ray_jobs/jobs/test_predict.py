"""`amia predict --run`: every post of an arm is predicted once."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from amia import mner
from amia.errors import IdentityError, RunError, SettingsError
from amia.mner.features import Example
from amia.mner.spans import TYPES, label_names, lenient_spans
from ray_jobs.jobs.predict import predict
from ray_jobs.jobs.status import status
from ray_jobs.settings.job import Settings
from tests.helpers.local_actors import local_actors

Amia = Callable[..., tuple[int, str, str]]
Row = dict[str, Any]

FOLDER = "predictions/tiny/adaptive"
LABELS = label_names(TYPES)
OVERRIDES = ("pools.predict.max=1", "pools.predict.lease=3", "prediction.micro_batch=4")


@pytest.fixture(scope="module")
def run(augmented: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a trained recognizer `tiny`."""
    run = tmp_path_factory.mktemp("predicted") / "run"
    shutil.copytree(augmented, run)
    shutil.copytree(tiny, run / "models" / "tiny")
    (run / "models" / "tiny" / "training.json").write_text("{}")
    return run


@pytest.fixture(scope="module")
def settings(small: Callable[..., Settings]) -> Settings:
    return small(*OVERRIDES)


@pytest.fixture(scope="module")
def predicted(run: Path, settings: Settings) -> Path:
    """The folder with predictions for all posts of arm `adaptive`."""
    result = predict(str(run), settings, model="tiny", quiet=True)
    assert (result.posts, result.folder) == (96, FOLDER)
    return run / FOLDER


def read_rows(folder: Path) -> list[Row]:
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def to_names(labels: Sequence[int]) -> tuple[str, ...]:
    return tuple(LABELS[label] for label in labels)


@pytest.mark.promise(17)
def test_every_post_is_predicted_once(predicted: Path, run: Path) -> None:
    posts = {row["id"]: row for row in read_rows(run / "augmented" / "adaptive")}
    predictions = read_rows(predicted)
    assert sorted(row["id"] for row in predictions) == sorted(posts)
    for row in predictions:
        post = posts[row["id"]]
        for name in ("split", "text", "tokens", "tags", "ner_tags", "theta", "image_status"):
            assert row[name] == post[name]
        assert row["seen"] == (row["id"] if post["image"] else None)
        assert len(row["predicted_tags"]) == len(row["tokens"])
        spans = [(span["start"], span["end"], span["type"]) for span in row["spans"]]
        expected = lenient_spans(to_names(row["predicted_tags"]))
        assert spans == [(span.start, span.end, span.type) for span in expected]
        assert all(0 <= span["score"] <= 1 for span in row["spans"])
        assert all(span["text"] == " ".join(row["tokens"][span["start"] : span["end"]]) for span in row["spans"])
    assert sum(len(row["spans"]) for row in predictions) > 96
    assert status(str(run))["stages"][FOLDER]["posts"] == 96


def test_predictions_equal_the_recognizer(predicted: Path, run: Path) -> None:
    recognizer = mner.load(run / "models" / "tiny", device="cpu")
    shard = "test-00000-of-00002.parquet"
    posts, predictions = (
        pq.read_table(folder / shard).to_pylist() for folder in (run / "augmented" / "adaptive", predicted)
    )
    examples = [Example(id=row["id"], tokens=tuple(row["tokens"]), image=row["image"]["bytes"]) for row in posts]
    for row, tagged in zip(predictions, recognizer.tag(examples, micro_batch=4), strict=True):
        assert to_names(row["predicted_tags"]) == tagged.tags
        scores = [score for _, score in tagged.spans]
        assert [span["score"] for span in row["spans"]] == pytest.approx(scores, abs=1e-4)


@local_actors()
def test_repeat_computes_only_missing_shards(predicted: Path, run: Path, settings: Settings) -> None:
    def snapshot() -> dict[str, tuple[int, bytes]]:
        return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in predicted.iterdir()}

    before, deleted = snapshot(), ["train-00002-of-00006.parquet", "validation-00001-of-00002.parquet"]
    for name in deleted:
        (predicted / name).unlink()
    predict(str(run), settings, model="tiny", quiet=True)
    after, logs = snapshot(), sorted((run / "log").iterdir())
    assert {name: data for name, (_, data) in after.items()} == {name: data for name, (_, data) in before.items()}
    assert sorted(name for name in before if before[name][0] != after[name][0]) == deleted
    assert predict(str(run), settings, model="tiny", splits=["dev", "test"], quiet=True).posts == 28
    assert snapshot() == after
    assert sorted((run / "log").iterdir()) == logs


def test_datasets_opens_predictions(predicted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    opened = datasets.load_dataset(str(predicted), cache_dir=str(tmp_path))
    assert {split: len(dataset) for split, dataset in opened.items()} == {"train": 68, "validation": 14, "test": 14}
    labels = opened["test"].features["predicted_tags"].feature
    first = next(row for row in opened["test"] if row["spans"])
    span = first["spans"][0]
    assert labels.int2str(first["predicted_tags"][span["start"]]) == f"B-{span['type']}"


def test_rejects_other_settings_and_another_model(
    predicted: Path, run: Path, small: Callable[..., Settings], tiny: Path, tmp_path: Path
) -> None:
    with pytest.raises(IdentityError, match="micro_batch: 4 in the run, 5 now"):
        predict(str(run), small(*OVERRIDES, "prediction.micro_batch=5"), model="tiny", quiet=True)
    shutil.copytree(tiny, tmp_path / "tiny")
    tokenizer = json.loads((tmp_path / "tiny" / "tokenizer_config.json").read_text())
    (tmp_path / "tiny" / "tokenizer_config.json").write_text(json.dumps({**tokenizer, "do_lower_case": True}))
    with pytest.raises(IdentityError, match=r"input\.model"):
        predict(str(run), small(*OVERRIDES), model=str(tmp_path / "tiny"), quiet=True)


def test_rejects_unknown_arm_and_split(run: Path, settings: Settings) -> None:
    with pytest.raises(RunError, match=r"--arm fixed-0\.3"):
        predict(str(run), settings, model="tiny", arm="fixed-0.3")
    with pytest.raises(SettingsError, match="no split 'tset' in this run: there are test, train, validation"):
        predict(str(run), settings, model="tiny", splits=["tset"])


def test_command_line(amia: Amia, predicted: Path, run: Path, small_words: Sequence[str]) -> None:
    command = ("predict", "--model", "tiny", "--run", run, "--split", "test", "--config", "demo")
    code, output, errors = amia(*command, *small_words, *OVERRIDES, "--json")
    assert (code, errors) == (0, "")
    tree = json.loads(output)
    types = [span["type"] for row in read_rows(predicted) if row["split"] == "test" for span in row["spans"]]
    assert tree["entities"] == {type_: types.count(type_) for type_ in sorted(set(types))}
    assert (tree["posts"], tree["predictions"]) == (14, FOLDER)
    assert "14 posts in, 14 out" in amia(*command, *small_words, *OVERRIDES)[1]
