"""`amia predict --run`: every post of an arm comes out once, whatever it looks like."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amia import mner
from amia.errors import IdentityError, RunError, SettingsError
from amia.mner.features import Example
from amia.mner.predictor import TaggedPost
from amia.mner.spans import TYPES, label_names, lenient_spans
from amia.mner.word_tokenizer import words
from ray_jobs.jobs.predict import predict
from ray_jobs.jobs.status import status
from ray_jobs.settings.job import Settings
from ray_jobs.stages.predict import Predict
from ray_jobs.storage.model_store import content_sha256
from ray_jobs.storage.schemas import augmented_schema
from ray_jobs.storage.shards import encode, read_metadata
from ray_jobs.storage.store import Store

Amia = Callable[..., tuple[int, str, str]]
Row = dict[str, Any]

FOLDER = "predictions/tiny/adaptive"
LABELS = label_names(TYPES)
WORDS = ("pools.predict.max=1", "pools.predict.lease=3", "prediction.micro_batch=4")


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
    return small(*WORDS)


@pytest.fixture(scope="module")
def predicted(run: Path, settings: Settings) -> Path:
    """The folder of all predictions on arm `adaptive`."""
    done = predict(str(run), settings, model="tiny", quiet=True)
    assert (done.posts, done.folder) == (96, FOLDER)
    return run / FOLDER


def rows(folder: Path) -> list[Row]:
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def names(labels: Sequence[int]) -> tuple[str, ...]:
    return tuple(LABELS[label] for label in labels)


@pytest.mark.promise(17)
def test_every_post_comes_out_once_with_what_is_known_of_it(predicted: Path, run: Path) -> None:
    arm = {row["id"]: row for row in rows(run / "augmented" / "adaptive")}
    found = rows(predicted)
    assert sorted(row["id"] for row in found) == sorted(arm)
    for row in found:
        post = arm[row["id"]]
        for name in ("split", "text", "tokens", "tags", "ner_tags", "theta", "image_status"):
            assert row[name] == post[name]
        assert row["seen"] == (row["id"] if post["image"] else None)
        assert len(row["predicted_tags"]) == len(row["tokens"])
        spans = [(span["start"], span["end"], span["type"]) for span in row["spans"]]
        assert spans == [(each.start, each.end, each.type) for each in lenient_spans(names(row["predicted_tags"]))]
        assert all(0 <= span["score"] <= 1 for span in row["spans"])
        assert all(span["text"] == " ".join(row["tokens"][span["start"] : span["end"]]) for span in row["spans"])
    assert sum(len(row["spans"]) for row in found) > 96
    assert status(str(run))["stages"][FOLDER]["posts"] == 96


def test_a_job_says_what_the_recognizer_itself_says(predicted: Path, run: Path) -> None:
    recognizer = mner.load(run / "models" / "tiny", device="cpu")
    shard = "test-00000-of-00002.parquet"
    arm, found = (pq.read_table(folder / shard).to_pylist() for folder in (run / "augmented" / "adaptive", predicted))
    examples = [Example(id=row["id"], tokens=tuple(row["tokens"]), image=row["image"]["bytes"]) for row in arm]
    for row, tagged in zip(found, recognizer.tag(examples, micro_batch=4), strict=True):
        assert_said(row, tagged)


def assert_said(row: Row, tagged: TaggedPost) -> None:
    assert names(row["predicted_tags"]) == tagged.tags
    assert [span["score"] for span in row["spans"]] == pytest.approx([score for _, score in tagged.spans], abs=1e-4)


def test_a_second_start_makes_what_is_missing_and_nothing_else(predicted: Path, run: Path, settings: Settings) -> None:
    def standing() -> dict[str, tuple[int, bytes]]:
        return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in predicted.iterdir()}

    before, gone = standing(), ["train-00002-of-00006.parquet", "validation-00001-of-00002.parquet"]
    for name in gone:
        (predicted / name).unlink()
    predict(str(run), settings, model="tiny", quiet=True)
    after, logs = standing(), sorted((run / "log").iterdir())
    assert {name: data for name, (_, data) in after.items()} == {name: data for name, (_, data) in before.items()}
    assert sorted(name for name in before if before[name][0] != after[name][0]) == gone
    assert predict(str(run), settings, model="tiny", splits=["dev", "test"], quiet=True).posts == 28
    assert standing() == after
    assert sorted((run / "log").iterdir()) == logs


def test_datasets_opens_the_predictions(predicted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    opened = datasets.load_dataset(str(predicted), cache_dir=str(tmp_path))
    assert {split: len(each) for split, each in opened.items()} == {"train": 68, "validation": 14, "test": 14}
    labels = opened["test"].features["predicted_tags"].feature
    first = next(row for row in opened["test"] if row["spans"])
    span = first["spans"][0]
    assert labels.int2str(first["predicted_tags"][span["start"]]) == f"B-{span['type']}"


def test_other_settings_or_another_model_of_that_name_are_refused(
    predicted: Path, run: Path, small: Callable[..., Settings], tiny: Path, tmp_path: Path
) -> None:
    with pytest.raises(IdentityError, match="micro_batch: 4 in the run, 5 now"):
        predict(str(run), small(*WORDS, "prediction.micro_batch=5"), model="tiny", quiet=True)
    shutil.copytree(tiny, tmp_path / "tiny")
    tokenizer = json.loads((tmp_path / "tiny" / "tokenizer_config.json").read_text())
    (tmp_path / "tiny" / "tokenizer_config.json").write_text(json.dumps({**tokenizer, "do_lower_case": True}))
    with pytest.raises(IdentityError, match=r"input\.model"):
        predict(str(run), small(*WORDS), model=str(tmp_path / "tiny"), quiet=True)


# What a stage makes of posts of every kind, without a cluster.


@pytest.fixture
def posts() -> list[Row]:
    def post(name: str, text: str, tags: str | None = None, image: bytes | None = None, **more: Any) -> Row:
        return {
            "id": name,
            "split": "train",
            "text": text,
            "tokens": None if tags is None else text.split(),
            "tags": None if tags is None else tags.split(),
            "ner_tags": None if tags is None else [LABELS.index(tag) for tag in tags.split()],
            "image": image and {"bytes": image, "path": f"{name}.jpg"},
            "theta": 0.25,
            "image_status": "ok" if image else "no_image",
            **more,
        }

    return [
        post("labeled", "Orla Finch sings", "B-PER I-PER O"),
        post("raw", "RT @orla:  skies over #Kyoto"),
        post("wordless", "nothing was cut", "", tokens=[]),
        post("long", " ".join(["word"] * 200), " ".join(["O"] * 200)),
    ]


def staged(
    folder: Path, tiny: Path, posts: Sequence[Row], *, arm: str = "adaptive", swap: int | None = None, **more: Any
) -> list[Row]:
    """The predictions on one shard."""
    store, shard = Store(folder), "train-00000-of-00001"
    schema = augmented_schema(TYPES)
    whole = [{**dict.fromkeys(schema.names), **post} for post in posts]
    data, _ = encode(pa.Table.from_pylist(whole, schema), stage=arm, identity="", schema_metadata=schema.metadata)
    store.create(f"augmented/{arm}/{shard}.parquet", data)
    stage = Predict(
        store,
        "an identity",
        **{
            "arm": arm,
            "folder": FOLDER,
            "model": str(tiny),
            "sha256": content_sha256(tiny),
            "types": TYPES,
            "apart": False,
            "swap": swap,
            "device": "cpu",
            "dtype": "float32",
            "micro_batch": 4,
            "threads": 1,
            **more,
        },
    )
    stage.setup()
    told = stage.publish(shard, stage.run(stage.load(shard)))
    assert read_metadata(store, f"{FOLDER}/{shard}.parquet") == told
    assert sum(told.counts.values()) == told.rows == len(posts)
    found = pq.read_table(folder / FOLDER / f"{shard}.parquet").to_pylist()
    assert told.extra["entities"] == {
        kind: count
        for kind in sorted(TYPES)
        if (count := sum(span["type"] == kind for row in found for span in row["spans"]))
    }
    return found


def test_posts_of_every_kind_come_out(tmp_path: Path, tiny: Path, posts: list[Row]) -> None:
    labeled, raw, wordless, long = staged(tmp_path, tiny, posts)
    assert [labeled["id"], raw["id"], wordless["id"], long["id"]] == [post["id"] for post in posts]
    assert names(labeled["ner_tags"]) == ("B-PER", "I-PER", "O")
    assert all(span["char_start"] is None for span in labeled["spans"])
    assert raw["tokens"] == [word.text for word in words(raw["text"])]
    assert (raw["tags"], raw["ner_tags"]) == (None, None)
    assert raw["spans"]
    for span in raw["spans"]:
        assert raw["text"][span["char_start"] : span["char_end"]] == span["text"]
        assert span["text"].split()[0] == raw["tokens"][span["start"]]
    assert (wordless["tokens"], wordless["predicted_tags"], wordless["spans"]) == ([], [], [])
    assert len(long["predicted_tags"]) == 200
    assert set(long["predicted_tags"][128:]) == {0}
    recognizer = mner.load(tiny, device="cpu")
    assert_said(labeled, recognizer.tag([Example(id="", tokens=("Orla", "Finch", "sings"))])[0])
    assert [(each.start, each.end) for each in recognizer.predict(raw["text"])] == [
        (span["char_start"], span["char_end"]) for span in raw["spans"]
    ]


def test_texts_are_cut_as_the_recognizer_wants_them(tmp_path: Path, tiny: Path, posts: list[Row]) -> None:
    (raw,) = staged(tmp_path, tiny, posts[1:2], apart=True)
    assert raw["tokens"] == ["RT", "@", "orla", ":", "skies", "over", "#", "Kyoto"]


def test_a_model_of_other_types_keeps_the_run_s_numbers(tmp_path: Path, tiny: Path, posts: list[Row]) -> None:
    types = ["film", *TYPES]
    posts[0]["ner_tags"] = [1, 2, 0]
    (found,) = staged(tmp_path, tiny, posts[:1], types=types)
    labels = label_names(types)
    assert [labels[label] for label in found["ner_tags"]] == ["B-film", "I-film", "O"]
    tagged = mner.load(tiny, device="cpu").tag([Example(id="", tokens=tuple(found["tokens"]))])[0]
    assert tuple(labels[label] for label in found["predicted_tags"]) == tagged.tags


def test_the_arm_text_shows_no_image(tmp_path: Path, tiny: Path, posts: list[Row], run: Path) -> None:
    image = rows(run / "augmented" / "adaptive")[0]["image"]["bytes"]
    bare = {**posts[0], "image_status": "ok"}  # as `amia augment --arm text` writes it
    seeing = {**bare, "image": {"bytes": image, "path": "x.jpg"}}
    (without,) = staged(tmp_path / "text", tiny, [bare], arm="text")
    (shown,) = staged(tmp_path / "adaptive", tiny, [seeing])
    assert (without["seen"], shown["seen"]) == (None, "labeled")
    example = Example(id="", tokens=tuple(bare["tokens"]))
    recognizer = mner.load(tiny, device="cpu")
    assert_said(without, recognizer.tag([example])[0])
    assert without["spans"] != shown["spans"]


def test_threads_that_decode_change_no_answer(tmp_path: Path, tiny: Path, run: Path) -> None:
    posts = rows(run / "augmented" / "original")[:20]
    assert sum(post["image"] is not None for post in posts) > 4
    one = staged(tmp_path / "one", tiny, posts, decoders=1)
    assert staged(tmp_path / "three", tiny, posts, decoders=3) == one


def test_swapped_posts_are_read_with_each_other_s_image(tmp_path: Path, tiny: Path, run: Path) -> None:
    every = sorted(rows(run / "augmented" / "original"), key=lambda row: row["image"] is not None)
    posts = [*every[:2], *every[-6:]]
    pictures = {post["id"]: post["image"] and post["image"]["bytes"] for post in posts}
    with_image = {name for name, picture in pictures.items() if picture}
    assert len(with_image) == 6
    found = staged(tmp_path, tiny, posts, swap=3)
    assert {row["seen"] for row in found if row["seen"]} == with_image == {row["id"] for row in found if row["seen"]}
    recognizer = mner.load(tiny, device="cpu")
    for row in found:
        assert row["seen"] != row["id"]
        image = pictures[row["seen"]] if row["seen"] else None
        assert_said(row, recognizer.tag([Example(id="", tokens=tuple(row["tokens"]), image=image)])[0])
    own = staged(tmp_path / "own", tiny, posts)
    assert sum(row["spans"] != other["spans"] for row, other in zip(found, own, strict=True)) == len(with_image)


def test_what_is_wrong_with_a_job_is_said_before_it_starts(run: Path, settings: Settings) -> None:
    with pytest.raises(RunError, match=r"--arm fixed-0\.3"):
        predict(str(run), settings, model="tiny", arm="fixed-0.3")
    with pytest.raises(SettingsError, match="no split 'tset' in this run: there are test, train, validation"):
        predict(str(run), settings, model="tiny", splits=["tset"])


def test_a_run_by_the_command_line(amia: Amia, predicted: Path, run: Path, small_words: Sequence[str]) -> None:
    words = ("predict", "--model", "tiny", "--run", run, "--split", "test", "--config", "demo", *small_words, *WORDS)
    code, said, complained = amia(*words, "--json")
    assert (code, complained) == (0, "")
    told = json.loads(said)
    spans = [span["type"] for row in rows(predicted) if row["split"] == "test" for span in row["spans"]]
    assert told["entities"] == {kind: spans.count(kind) for kind in sorted(set(spans))}
    assert (told["posts"], told["predictions"]) == (14, FOLDER)
    assert "14 posts in, 14 out" in amia(*words)[1]
