"""`amia predict`: every post of an arm once, whatever it looks like; one new text by the run's own measure."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recognisers import save_random

from amia import mner
from amia.errors import IdentityError, ModelError, RunError, SettingsError
from amia.mner.examples import Example
from amia.mner.labels import TYPES, label_names
from amia.mner.recogniser import Tagged
from amia.mner.spans import lenient_spans
from amia.mner.words import words
from ray_jobs.features import augmented_schema
from ray_jobs.models import at_hand, content_sha256, find_model
from ray_jobs.predict import predict
from ray_jobs.settings import Settings
from ray_jobs.shards import encode, facts
from ray_jobs.stages.predict import Predict
from ray_jobs.status import status
from ray_jobs.store import Store

Amia = Callable[..., tuple[int, str, str]]
Row = dict[str, Any]

FOLDER = "predictions/tiny/adaptive"
LABELS = label_names(TYPES)
WORDS = ("pools.predict.max=1", "pools.predict.lease=3", "prediction.micro_batch=4")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recogniser that reads images."""
    folder = tmp_path_factory.mktemp("made")
    save_random(folder / "tiny", folder / "encoders")
    return folder / "tiny"


@pytest.fixture(scope="module")
def run(augmented: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a trained recogniser `tiny`."""
    run = tmp_path_factory.mktemp("predicted") / "run"
    shutil.copytree(augmented, run)
    shutil.copytree(model, run / "models" / "tiny")
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


def test_a_job_says_what_the_recogniser_itself_says(predicted: Path, run: Path) -> None:
    recogniser = mner.load(run / "models" / "tiny", device="cpu")
    shard = "test-00000-of-00002.parquet"
    arm, found = (pq.read_table(folder / shard).to_pylist() for folder in (run / "augmented" / "adaptive", predicted))
    examples = [Example(id=row["id"], tokens=tuple(row["tokens"]), image=row["image"]["bytes"]) for row in arm]
    for row, tagged in zip(found, recogniser.tag(examples, micro_batch=4), strict=True):
        assert_said(row, tagged)


def assert_said(row: Row, tagged: Tagged) -> None:
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
    predicted: Path, run: Path, small: Callable[..., Settings], model: Path, tmp_path: Path
) -> None:
    with pytest.raises(IdentityError, match="micro_batch: 4 in the run, 5 now"):
        predict(str(run), small(*WORDS, "prediction.micro_batch=5"), model="tiny", quiet=True)
    shutil.copytree(model, tmp_path / "tiny")
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
        post("labelled", "Orla Finch sings", "B-PER I-PER O"),
        post("raw", "RT @orla:  skies over #Kyoto"),
        post("wordless", "nothing was cut", "", tokens=[]),
        post("long", " ".join(["word"] * 200), " ".join(["O"] * 200)),
    ]


def staged(
    folder: Path, model: Path, posts: Sequence[Row], *, arm: str = "adaptive", swap: int | None = None, **more: Any
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
            "model": str(model),
            "sha256": content_sha256(model),
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
    assert facts(store, f"{FOLDER}/{shard}.parquet") == told
    assert sum(told.counts.values()) == told.rows == len(posts)
    found = pq.read_table(folder / FOLDER / f"{shard}.parquet").to_pylist()
    assert told.extra["entities"] == {
        kind: count
        for kind in sorted(TYPES)
        if (count := sum(span["type"] == kind for row in found for span in row["spans"]))
    }
    return found


def test_posts_of_every_kind_come_out(tmp_path: Path, model: Path, posts: list[Row]) -> None:
    labelled, raw, wordless, long = staged(tmp_path, model, posts)
    assert [labelled["id"], raw["id"], wordless["id"], long["id"]] == [post["id"] for post in posts]
    assert names(labelled["ner_tags"]) == ("B-PER", "I-PER", "O")
    assert all(span["char_start"] is None for span in labelled["spans"])
    assert raw["tokens"] == [word.text for word in words(raw["text"])]
    assert (raw["tags"], raw["ner_tags"]) == (None, None)
    assert raw["spans"]
    for span in raw["spans"]:
        assert raw["text"][span["char_start"] : span["char_end"]] == span["text"]
        assert span["text"].split()[0] == raw["tokens"][span["start"]]
    assert (wordless["tokens"], wordless["predicted_tags"], wordless["spans"]) == ([], [], [])
    assert len(long["predicted_tags"]) == 200
    assert set(long["predicted_tags"][128:]) == {0}
    recogniser = mner.load(model, device="cpu")
    assert_said(labelled, recogniser.tag([Example(id="", tokens=("Orla", "Finch", "sings"))])[0])
    assert [(each.start, each.end) for each in recogniser.predict(raw["text"])] == [
        (span["char_start"], span["char_end"]) for span in raw["spans"]
    ]


def test_texts_are_cut_as_the_recogniser_wants_them(tmp_path: Path, model: Path, posts: list[Row]) -> None:
    (raw,) = staged(tmp_path, model, posts[1:2], apart=True)
    assert raw["tokens"] == ["RT", "@", "orla", ":", "skies", "over", "#", "Kyoto"]


def test_a_model_of_other_types_keeps_the_run_s_numbers(tmp_path: Path, model: Path, posts: list[Row]) -> None:
    types = ["film", *TYPES]
    posts[0]["ner_tags"] = [1, 2, 0]
    (found,) = staged(tmp_path, model, posts[:1], types=types)
    labels = label_names(types)
    assert [labels[label] for label in found["ner_tags"]] == ["B-film", "I-film", "O"]
    tagged = mner.load(model, device="cpu").tag([Example(id="", tokens=tuple(found["tokens"]))])[0]
    assert tuple(labels[label] for label in found["predicted_tags"]) == tagged.tags


def test_the_arm_text_shows_no_image(tmp_path: Path, model: Path, posts: list[Row], run: Path) -> None:
    image = rows(run / "augmented" / "adaptive")[0]["image"]["bytes"]
    bare = {**posts[0], "image_status": "ok"}  # as `amia augment --arm text` writes it
    seeing = {**bare, "image": {"bytes": image, "path": "x.jpg"}}
    (without,) = staged(tmp_path / "text", model, [bare], arm="text")
    (shown,) = staged(tmp_path / "adaptive", model, [seeing])
    assert (without["seen"], shown["seen"]) == (None, "labelled")
    example = Example(id="", tokens=tuple(bare["tokens"]))
    recogniser = mner.load(model, device="cpu")
    assert_said(without, recogniser.tag([example])[0])
    assert without["spans"] != shown["spans"]


def test_swapped_posts_are_read_with_each_other_s_image(tmp_path: Path, model: Path, run: Path) -> None:
    every = sorted(rows(run / "augmented" / "original"), key=lambda row: row["image"] is not None)
    posts = [*every[:2], *every[-6:]]
    pictures = {post["id"]: post["image"] and post["image"]["bytes"] for post in posts}
    with_image = {name for name, picture in pictures.items() if picture}
    assert len(with_image) == 6
    found = staged(tmp_path, model, posts, swap=3)
    assert {row["seen"] for row in found if row["seen"]} == with_image == {row["id"] for row in found if row["seen"]}
    recogniser = mner.load(model, device="cpu")
    for row in found:
        assert row["seen"] != row["id"]
        image = pictures[row["seen"]] if row["seen"] else None
        assert_said(row, recogniser.tag([Example(id="", tokens=tuple(row["tokens"]), image=image)])[0])
    own = staged(tmp_path / "own", model, posts)
    assert sum(row["spans"] != other["spans"] for row, other in zip(found, own, strict=True)) == len(with_image)


# Where a recogniser is looked for.


def test_a_recogniser_by_name_folder_and_url(
    run: Path, model: Path, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    here = find_model("tiny", Store(run))
    assert (here.name, here.folder) == ("tiny", run / "models" / "tiny")
    assert find_model(str(model)).sha256 == here.sha256
    far = Store(f"{bucket}/a run")
    for file in (run / "models" / "tiny").iterdir():
        far.create(f"models/tiny/{file.name}", file.read_bytes())
    for strange in ("pytorch_model.bin", "modeling.py", "checkpoints/epoch-00001/model.safetensors", "identity.json"):
        far.create(f"models/tiny/{strange}", b"not to be fetched")
    for found in (find_model("tiny", far), find_model(f"{far.address}/models/tiny")):
        assert (found.name, found.sha256) == ("tiny", here.sha256)
        assert {path.name for path in found.folder.iterdir()} == {path.name for path in model.iterdir()}
    cached = at_hand(found.address, found.sha256)
    assert cached == found.folder
    assert [path.name for path in cached.parent.iterdir()] == [here.sha256]
    with pytest.raises(ModelError, match="not the model"):
        at_hand(found.address, "0" * 64)
    assert mner.load(cached, device="cpu").predict("Orla Finch sings")


def test_recognisers_that_are_none(run: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no recogniser 'tinny'.* has tiny"):
        find_model("tinny", Store(run))
    with pytest.raises(ModelError, match=r"no recogniser .*nowhere"):
        find_model(str(tmp_path / "nowhere"))
    shutil.copytree(model, tmp_path / "models" / "begun")
    (tmp_path / "models" / "begun" / "identity.json").write_text("{}")
    with pytest.raises(ModelError, match="has not ended"):
        find_model("begun", Store(tmp_path))
    shutil.copytree(model, tmp_path / "a model")
    with pytest.raises(ModelError, match="rename it"):
        find_model(str(tmp_path / "a model"))
    shutil.copytree(model, tmp_path / "empty")
    (tmp_path / "empty" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no \*\.safetensors"):
        find_model(str(tmp_path / "empty"))


def test_what_is_wrong_with_a_job_is_said_before_it_starts(run: Path, settings: Settings) -> None:
    with pytest.raises(RunError, match=r"--arm fixed-0\.3"):
        predict(str(run), settings, model="tiny", arm="fixed-0.3")
    with pytest.raises(SettingsError, match="no split 'tset' in this run: there are test, train, validation"):
        predict(str(run), settings, model="tiny", splits=["tset"])


# The command line.


def test_the_entities_of_one_text(amia: Amia, model: Path, tmp_path: Path, run: Path) -> None:
    text = "RT @orla:  Blue skies over [Kyoto] tonight"
    code, said, complained = amia("predict", "--model", model, "--text", text, "--json")
    assert (code, complained) == (0, "")
    told = json.loads(said)
    assert told["entities"]
    assert [text[each["start"] : each["end"]] for each in told["entities"]] == [e["text"] for e in told["entities"]]
    assert not told["looked"]
    assert "theta" not in told
    image = tmp_path / "x.jpg"
    image.write_bytes(rows(run / "augmented" / "original")[0]["image"]["bytes"])
    code, said, _ = amia("predict", "--model", model, "--text", text, "--image", image)
    assert code == 0
    found = columns(said)
    expected = mner.load(model).predict(text, image)
    assert found == [f"{each.type} {each.start}-{each.end} {each.score:.3f} {each.text}" for each in expected]


def columns(said: str) -> list[str]:
    return [" ".join(line.split(maxsplit=3)) for line in said.splitlines()]


def test_a_new_post_is_measured_as_the_run_measured_its_own(amia: Amia, run: Path, tmp_path: Path, model: Path) -> None:
    post = next(row for row in rows(run / "posts") if row["image_status"] == "ok" and row["split"] == "test")
    row = next(row for row in rows(run / "augmented" / "adaptive") if row["id"] == post["id"])
    (tmp_path / "x.jpg").write_bytes(post["image"]["bytes"])
    words = ("predict", "--model", "tiny", "--augment", run, "--text", post["text"], "--json")
    code, said, complained = amia(*words, "--image", tmp_path / "x.jpg")
    assert (code, complained) == (0, "")
    told = json.loads(said)
    assert told["theta"] == pytest.approx(row["theta"], abs=1e-3)
    assert told["ratio"] == pytest.approx(told["theta"])
    assert told["cosine"] == pytest.approx(row["cosine"], abs=1e-3)
    assert (told["image_status"], told["synthesis_status"], told["looked"]) == ("ok", "ok", True)
    told = json.loads(amia(*words)[1])
    assert (told["theta"], told["ratio"], told["image_status"], told["looked"]) == (0, 0, "no_image", True)
    assert "theta" in amia(*words[:-1])[1]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--text", "x", "--image", "no/such.jpg"], 3, "missing: no/such.jpg"),
        (["--text", " "], 3, "no text"),
        (["--text", "x", "--run", "r"], 2, "either --text, or --run"),
        ([], 2, "either --text, or --run"),
        (["--run", "r", "--image", "x.jpg"], 2, "belong to --text"),
        (["--text", "x", "--model", "no/such/model"], 4, "no recogniser 'no/such/model'"),
        (["--text", "x", "--augment", "no/such/run"], 8, "no finished arm"),
        (["--text", "x", "prediction.device=gpu"], 2, "'gpu' is unknown"),
    ],
)
def test_what_a_person_gets_wrong(amia: Amia, model: Path, words: list[str], code: int, said: str) -> None:
    left, _, complained = amia("predict", "--model", model, *words)
    assert left == code
    assert complained.startswith("error: ")
    assert said in complained
    assert "Traceback" not in complained


def test_a_run_by_the_command_line(amia: Amia, predicted: Path, run: Path, small_words: Sequence[str]) -> None:
    words = ("predict", "--model", "tiny", "--run", run, "--split", "test", "--config", "demo", *small_words, *WORDS)
    code, said, complained = amia(*words, "--json")
    assert (code, complained) == (0, "")
    told = json.loads(said)
    spans = [span["type"] for row in rows(predicted) if row["split"] == "test" for span in row["spans"]]
    assert told["entities"] == {kind: spans.count(kind) for kind in sorted(set(spans))}
    assert (told["posts"], told["predictions"]) == (14, FOLDER)
    assert "14 posts in, 14 out" in amia(*words)[1]
