"""The corpus scan: counts, broken images, duplicates."""

import json
import os
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.doctor import CorpusReport, Duplicates, render_report, scan_corpus
from amia.doctor.duplicates import Occurrences, hash_value
from amia.images import ImageSettings
from amia.readers import open_corpus
from tests.helpers.paths import TWEETS


@pytest.fixture(scope="module")
def report() -> CorpusReport:
    return scan_corpus(open_corpus(TWEETS), ImageSettings())


def test_posts_and_entities(report: CorpusReport) -> None:
    assert (report.kind, report.files, report.posts, report.labeled) == ("conll", 3, 11, 11)
    assert report.bytes == sum(file.stat().st_size for file in TWEETS.glob("*.txt"))
    train = report.splits["train"]
    assert (train.posts, train.tokens, train.without_entity, train.repaired) == (5, 48, 1, 4)
    assert train.entities == {"LOC": 2, "MISC": 3, "PER": 1, "ORG": 1}
    assert report.splits["validation"].without_entity == 1
    assert report.splits["test"].entities == {"building": 1, "location": 1, "product": 1}


def test_images(report: CorpusReport) -> None:
    assert (report.images, report.no_image) == (6, 2)
    assert report.broken.reasons == {"not_an_image": 1, "truncated": 1, "empty": 1}
    assert report.broken.places["empty"] == ["test.txt:7"]
    assert report.tiny.reasons == {"a side under 64 pixels": 1}
    assert report.images + report.no_image + report.broken.count == report.posts


def test_texts_empty_after_cleaning(report: CorpusReport) -> None:
    assert report.empty.places == {"no letter or digit left": ["valid.txt:13"]}


def test_text_and_json(report: CorpusReport) -> None:
    text = "\n".join(render_report(report))
    assert "6 usable (54.5%), 2 missing, 3 broken, 1 tiny" in text
    assert "1 x truncated: train.txt:" in text
    assert "11 of them labeled (100.0%)" in text
    data = json.loads(json.dumps(report.to_json()))
    assert data["splits"]["train"]["entities"] == {"LOC": 2, "MISC": 3, "PER": 1, "ORG": 1}
    assert data["broken"]["reasons"] == {"not_an_image": 1, "truncated": 1, "empty": 1}
    assert data["labeled"] == 11


def write(folder: Path, name: str, *records: object) -> None:
    (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))


def test_duplicates_within_and_across_splits(tmp_path: Path) -> None:
    write(tmp_path, "train.jsonl", {"id": "1", "text": "same"}, {"id": "1", "text": "same"}, {"text": "no id"})
    write(tmp_path, "test.jsonl", {"id": "1", "text": "same"}, {"id": "2", "text": "other"}, {"text": "no id"})
    report = scan_corpus(open_corpus(tmp_path), ImageSettings())
    assert report.ids == Duplicates(within={"train": 1}, across=1)
    assert report.texts == Duplicates(within={"train": 1}, across=2)
    assert report.places["id '1'"] == ["test.jsonl:1", "train.jsonl:1", "train.jsonl:2"]
    assert report.places["text 'no id'"] == ["test.jsonl:3", "train.jsonl:3"]
    text = "\n".join(render_report(report))
    assert "1 more than once in train; 1 in more than one split" in text
    assert "only one post of each id is kept" in text
    assert "more than one split: scores" in text


def test_counts_rejected_rows(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a"}\n{\n{"text": ""}\n' + '{"tokens": ["a"], "tags": ["X"]}\n' * 5)
    report = scan_corpus(open_corpus(tmp_path), ImageSettings())
    assert (report.posts, report.rejected.count, report.labeled) == (1, 7, 0)
    (tagged,) = [reason for reason in report.rejected.reasons if "X" in reason]
    assert report.rejected.reasons[tagged] == 5
    assert report.rejected.places[tagged] == ["x.jsonl:4", "x.jsonl:5", "x.jsonl:6"]
    assert "x.jsonl:6, ..." in "\n".join(render_report(report))


def test_limits_number_of_reasons(tmp_path: Path) -> None:
    write(tmp_path, "x.jsonl", *({"tokens": ["a"], "tags": [f"X{n}"]} for n in range(200)))
    report = scan_corpus(open_corpus(tmp_path), ImageSettings())
    assert report.rejected.count == 200
    assert len(report.rejected.reasons) == 51
    assert report.rejected.reasons["other reasons"] == 150


def test_empty_source(tmp_path: Path) -> None:
    write(tmp_path, "x.jsonl")
    assert "There is no post in this source." in render_report(scan_corpus(open_corpus(tmp_path), ImageSettings()))


def test_progress_counts_rows(tmp_path: Path) -> None:
    write(tmp_path, "x.jsonl", *({"text": str(n)} for n in range(150)))
    progress: list[int] = []
    scan_corpus(open_corpus(tmp_path), ImageSettings(), progress.append)
    assert progress == sorted(progress)
    assert progress[-1] == 150


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["train", "validation", "test"]))))
def test_duplicates_against_counter(values: list[tuple[str, str]]) -> None:
    occurrences = Occurrences()
    for value, split in values:
        occurrences.add(value, split)
    pairs = Counter(values)
    within = Counter[str]()
    for (_, split), count in pairs.items():
        within[split] += count - 1
    splits_of = Counter(value for value, _ in pairs)
    assert occurrences.duplicates() == Duplicates(
        within=dict(+within), across=sum(count > 1 for count in splits_of.values())
    )
    repeated = {hash_value(value) for value, count in Counter(value for value, _ in values).items() if count > 1}
    assert occurrences.repeated(10) == repeated
    assert len(occurrences.repeated(2)) == min(2, len(repeated))


def test_memory_is_bounded(tmp_path: Path) -> None:
    write(tmp_path, "x.jsonl", *({"text": f"post {n}"} for n in range(3_000)))
    tracemalloc.start()
    try:
        scan_corpus(open_corpus(tmp_path), ImageSettings())
        assert tracemalloc.get_traced_memory()[1] < 400_000
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def shared_data() -> Path:
    folder = os.environ.get("AMIA_SHARED_DATA")
    if not folder:
        pytest.skip("AMIA_SHARED_DATA is not set to the folder of the real corpora")
    return Path(folder)


def test_twitter_2017_published_counts(shared_data: Path) -> None:
    report = scan_corpus(open_corpus(shared_data / "twitter2017"), ImageSettings())
    expected = {
        "train": (3373, 53007, {"PER": 2943, "LOC": 731, "ORG": 1674, "MISC": 701}, 6049, 392),
        "validation": (723, 11309, {"PER": 626, "LOC": 173, "ORG": 375, "MISC": 150}, 1324, 76),
        "test": (723, 11330, {"PER": 621, "LOC": 178, "ORG": 395, "MISC": 157}, 1351, 86),
    }
    actual = {
        name: (split.posts, split.tokens, split.entities, split.entities.total(), split.without_entity)
        for name, split in report.splits.items()
    }
    assert actual == expected
    assert all(split.repaired == 0 and split.labeled == split.posts for split in report.splits.values())
    assert report.ids == Duplicates(within={}, across=0)
    assert report.texts == Duplicates(within={"train": 2}, across=1)
    assert (report.posts, report.images, report.no_image, report.rejected.count) == (4819, 0, 4819, 0)
    text = "\n".join(render_report(report))
    assert "4,819 missing" in text
    assert "All images are missing" in text


def test_real_tweets_decode(shared_data: Path) -> None:
    report = scan_corpus(open_corpus(shared_data / "tweets"), ImageSettings())
    assert (report.posts, report.images, report.no_image, report.broken.count) == (15, 15, 0, 0)
