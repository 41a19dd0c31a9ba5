"""The stage `Predict` on posts of every kind, without a cluster."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amia import mner
from amia.mner.features import Example
from amia.mner.predictor import TaggedPost
from amia.mner.spans import TYPES, label_names
from amia.mner.word_tokenizer import split_words
from ray_jobs.stages.predict import Predict
from ray_jobs.storage.model_store import content_sha256
from ray_jobs.storage.schemas import augmented_schema
from ray_jobs.storage.shards import encode, read_metadata
from ray_jobs.storage.store import Store

Row = dict[str, Any]

FOLDER = "predictions/tiny/adaptive"
LABELS = label_names(TYPES)


@pytest.fixture
def posts() -> list[Row]:
    """A labeled post, a raw text, a post without words, and one that is longer than the encoder reads."""
    return [
        make_post("labeled", "Orla Finch sings", "B-PER I-PER O"),
        make_post("raw", "RT @orla:  skies over #Kyoto"),
        make_post("wordless", "no tokens", "", tokens=[]),
        make_post("long", " ".join(["word"] * 200), " ".join(["O"] * 200)),
    ]


def make_post(name: str, text: str, tags: str | None = None, **columns: Any) -> Row:
    return {
        "id": name,
        "split": "train",
        "text": text,
        "tokens": None if tags is None else text.split(),
        "tags": None if tags is None else tags.split(),
        "ner_tags": None if tags is None else [LABELS.index(tag) for tag in tags.split()],
        "image": None,
        "theta": 0.25,
        "image_status": "no_image",
        **columns,
    }


def run_stage(folder: Path, tiny: Path, posts: Sequence[Row], *, arm: str = "adaptive", **options: Any) -> list[Row]:
    """Predict one shard, and return its rows."""
    store, shard = Store(folder), "train-00000-of-00001"
    schema = augmented_schema(TYPES)
    rows = [{**dict.fromkeys(schema.names), **post} for post in posts]
    data, _ = encode(pa.Table.from_pylist(rows, schema), stage=arm, identity="", schema_metadata=schema.metadata)
    store.create(f"augmented/{arm}/{shard}.parquet", data)
    defaults = {
        "arm": arm,
        "arm_digest": "",
        "folder": FOLDER,
        "model": str(tiny),
        "sha256": content_sha256(tiny),
        "types": TYPES,
        "split_signs": False,
        "swap_seed": None,
        "device": "cpu",
        "dtype": "float32",
        "micro_batch": 4,
        "threads": 1,
    }
    stage = Predict(store, **{**defaults, **options})
    stage.setup()
    metadata = stage.publish(shard, stage.run(stage.load(shard)))
    assert read_metadata(store, f"{FOLDER}/{shard}.parquet") == metadata
    assert sum(metadata.counts.values()) == metadata.rows == len(posts)
    predictions = pq.read_table(folder / FOLDER / f"{shard}.parquet").to_pylist()
    types = [span["type"] for row in predictions for span in row["spans"]]
    assert metadata.extra["entities"] == {type_: types.count(type_) for type_ in sorted(set(types))}
    return predictions


def read_rows(folder: Path) -> list[Row]:
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def to_names(labels: Sequence[int]) -> tuple[str, ...]:
    return tuple(LABELS[label] for label in labels)


def assert_equal_prediction(row: Row, tagged: TaggedPost) -> None:
    assert to_names(row["predicted_tags"]) == tagged.tags
    assert [span["score"] for span in row["spans"]] == pytest.approx([score for _, score in tagged.spans], abs=1e-4)


def test_predicts_posts_of_every_kind(tmp_path: Path, tiny: Path, posts: list[Row]) -> None:
    labeled, raw, wordless, long = run_stage(tmp_path, tiny, posts)
    assert [labeled["id"], raw["id"], wordless["id"], long["id"]] == [post["id"] for post in posts]
    assert to_names(labeled["ner_tags"]) == ("B-PER", "I-PER", "O")
    assert all(span["char_start"] is None for span in labeled["spans"])
    assert raw["tokens"] == [word.text for word in split_words(raw["text"])]
    assert (raw["tags"], raw["ner_tags"]) == (None, None)
    assert raw["spans"]
    for span in raw["spans"]:
        assert raw["text"][span["char_start"] : span["char_end"]] == span["text"]
        assert span["text"].split()[0] == raw["tokens"][span["start"]]
    assert (wordless["tokens"], wordless["predicted_tags"], wordless["spans"]) == ([], [], [])
    assert len(long["predicted_tags"]) == 200
    assert set(long["predicted_tags"][128:]) == {0}
    recognizer = mner.load(tiny, device="cpu")
    assert_equal_prediction(labeled, recognizer.tag([Example(id="", tokens=("Orla", "Finch", "sings"))])[0])
    assert [(entity.start, entity.end) for entity in recognizer.predict(raw["text"])] == [
        (span["char_start"], span["char_end"]) for span in raw["spans"]
    ]


def test_splits_signs_if_the_recognizer_expects_it(tmp_path: Path, tiny: Path, posts: list[Row]) -> None:
    (raw,) = run_stage(tmp_path, tiny, posts[1:2], split_signs=True)
    assert raw["tokens"] == ["RT", "@", "orla", ":", "skies", "over", "#", "Kyoto"]


def test_label_ids_are_those_of_the_run(tmp_path: Path, tiny: Path, posts: list[Row]) -> None:
    types = ["film", *TYPES]
    posts[0]["ner_tags"] = [1, 2, 0]
    (row,) = run_stage(tmp_path, tiny, posts[:1], types=types)
    labels = label_names(types)
    assert [labels[label] for label in row["ner_tags"]] == ["B-film", "I-film", "O"]
    tagged = mner.load(tiny, device="cpu").tag([Example(id="", tokens=tuple(row["tokens"]))])[0]
    assert tuple(labels[label] for label in row["predicted_tags"]) == tagged.tags


def test_arm_text_has_no_images(tmp_path: Path, tiny: Path, posts: list[Row], augmented: Path) -> None:
    image = read_rows(augmented / "augmented" / "adaptive")[0]["image"]["bytes"]
    text_post = {**posts[0], "image_status": "ok"}  # as `amia augment --arm text` writes it
    image_post = {**text_post, "image": {"bytes": image, "path": "x.jpg"}}
    (without_image,) = run_stage(tmp_path / "text", tiny, [text_post], arm="text")
    (with_image,) = run_stage(tmp_path / "adaptive", tiny, [image_post])
    assert (without_image["seen"], with_image["seen"]) == (None, "labeled")
    example = Example(id="", tokens=tuple(text_post["tokens"]))
    assert_equal_prediction(without_image, mner.load(tiny, device="cpu").tag([example])[0])
    assert without_image["spans"] != with_image["spans"]


def test_decode_threads_do_not_change_results(tmp_path: Path, tiny: Path, augmented: Path) -> None:
    posts = read_rows(augmented / "augmented" / "original")[:20]
    assert sum(post["image"] is not None for post in posts) > 4
    one = run_stage(tmp_path / "one", tiny, posts, decode_threads=1)
    assert run_stage(tmp_path / "three", tiny, posts, decode_threads=3) == one


def test_swapped_posts_get_the_image_of_another(tmp_path: Path, tiny: Path, augmented: Path) -> None:
    rows = sorted(read_rows(augmented / "augmented" / "original"), key=lambda row: row["image"] is not None)
    posts = [*rows[:2], *rows[-6:]]
    images = {post["id"]: post["image"] and post["image"]["bytes"] for post in posts}
    with_image = {name for name, image in images.items() if image}
    assert len(with_image) == 6
    swapped = run_stage(tmp_path, tiny, posts, swap_seed=3)
    assert (
        {row["seen"] for row in swapped if row["seen"]} == with_image == {row["id"] for row in swapped if row["seen"]}
    )
    recognizer = mner.load(tiny, device="cpu")
    for row in swapped:
        assert row["seen"] != row["id"]
        image = images[row["seen"]] if row["seen"] else None
        example = Example(id="", tokens=tuple(row["tokens"]), image=image)
        assert_equal_prediction(row, recognizer.tag([example])[0])
    own = run_stage(tmp_path / "own", tiny, posts)
    assert sum(row["spans"] != other["spans"] for row, other in zip(swapped, own, strict=True)) == len(with_image)
