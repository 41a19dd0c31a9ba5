"""The doctor counts what is there, and misses nothing that is broken."""

import json
import os
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.doctor import CorpusReport, Duplicates, render_report, scan_corpus
from amia.doctor.duplicates import Occurrences, fingerprint
from amia.images import ImageSettings
from amia.readers import open_corpus
from tests.helpers.paths import TWEETS


@pytest.fixture(scope="module")
def found() -> CorpusReport:
    return scan_corpus(open_corpus(TWEETS), ImageSettings())


def test_posts_and_entities(found: CorpusReport) -> None:
    assert (found.kind, found.files, found.posts, found.labeled) == ("conll", 3, 11, 11)
    assert found.bytes == sum(file.stat().st_size for file in TWEETS.glob("*.txt"))
    train = found.splits["train"]
    assert (train.posts, train.tokens, train.without_entity, train.repaired) == (5, 48, 1, 4)
    assert train.entities == {"LOC": 2, "MISC": 3, "PER": 1, "ORG": 1}
    assert found.splits["validation"].without_entity == 1
    assert found.splits["test"].entities == {"building": 1, "location": 1, "product": 1}


def test_images(found: CorpusReport) -> None:
    assert (found.images, found.no_image) == (6, 2)
    assert found.broken.reasons == {"not_an_image": 1, "truncated": 1, "empty": 1}
    assert found.broken.places["empty"] == ["test.txt:7"]
    assert found.tiny.reasons == {"a side under 64 pixels": 1}
    assert found.images + found.no_image + found.broken.count == found.posts


def test_texts_that_clean_to_nothing(found: CorpusReport) -> None:
    assert found.empty.places == {"no letter or digit left": ["valid.txt:13"]}


def test_in_words_and_as_json(found: CorpusReport) -> None:
    words = "\n".join(render_report(found))
    assert "6 can be used (54.5%), 2 missing, 3 broken, 1 tiny" in words
    assert "1 x truncated: train.txt:" in words
    assert "11 of them labeled (100.0%)" in words
    plain = json.loads(json.dumps(found.to_json()))
    assert plain["splits"]["train"]["entities"] == {"LOC": 2, "MISC": 3, "PER": 1, "ORG": 1}
    assert plain["broken"]["reasons"] == {"not_an_image": 1, "truncated": 1, "empty": 1}
    assert plain["labeled"] == 11


def write(folder: Path, name: str, *records: object) -> None:
    (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))


def test_duplicates_within_and_across_splits(tmp_path: Path) -> None:
    write(tmp_path, "train.jsonl", {"id": "1", "text": "same"}, {"id": "1", "text": "same"}, {"text": "no id"})
    write(tmp_path, "test.jsonl", {"id": "1", "text": "same"}, {"id": "2", "text": "other"}, {"text": "no id"})
    found = scan_corpus(open_corpus(tmp_path), ImageSettings())
    assert found.ids == Duplicates(within={"train": 1}, across=1)
    assert found.texts == Duplicates(within={"train": 1}, across=2)
    assert found.places["id '1'"] == ["test.jsonl:1", "train.jsonl:1", "train.jsonl:2"]
    assert found.places["text 'no id'"] == ["test.jsonl:3", "train.jsonl:3"]
    words = "\n".join(render_report(found))
    assert "1 more than once in train; 1 in more than one split" in words
    assert "a single one is kept" in words
    assert "more than one split: what is measured" in words


def test_what_is_rejected_is_counted_apart(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a"}\n{\n{"text": ""}\n' + '{"tokens": ["a"], "tags": ["X"]}\n' * 5)
    found = scan_corpus(open_corpus(tmp_path), ImageSettings())
    assert (found.posts, found.rejected.count, found.labeled) == (1, 7, 0)
    (tagged,) = [reason for reason in found.rejected.reasons if "X" in reason]
    assert found.rejected.reasons[tagged] == 5
    assert found.rejected.places[tagged] == ["x.jsonl:4", "x.jsonl:5", "x.jsonl:6"]
    assert "x.jsonl:6, ..." in "\n".join(render_report(found))


def test_endless_reasons_are_counted_together(tmp_path: Path) -> None:
    write(tmp_path, "x.jsonl", *({"tokens": ["a"], "tags": [f"X{n}"]} for n in range(200)))
    found = scan_corpus(open_corpus(tmp_path), ImageSettings())
    assert found.rejected.count == 200
    assert len(found.rejected.reasons) == 51
    assert found.rejected.reasons["other reasons"] == 150


def test_an_empty_source_says_so(tmp_path: Path) -> None:
    write(tmp_path, "x.jsonl")
    assert "There is no post in this source." in render_report(scan_corpus(open_corpus(tmp_path), ImageSettings()))


def test_ticks_count_the_rows(tmp_path: Path) -> None:
    write(tmp_path, "x.jsonl", *({"text": str(n)} for n in range(150)))
    seen: list[int] = []
    scan_corpus(open_corpus(tmp_path), ImageSettings(), seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 150


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["train", "validation", "test"]))))
def test_duplicates_against_a_plain_count(values: list[tuple[str, str]]) -> None:
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
    repeated = {fingerprint(value) for value, count in Counter(value for value, _ in values).items() if count > 1}
    assert occurrences.repeated(10) == repeated
    assert len(occurrences.repeated(2)) == min(2, len(repeated))


def test_memory_stays_small(tmp_path: Path) -> None:
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
        pytest.skip("AMIA_SHARED_DATA does not name the folder of the real corpora")
    return Path(folder)


def test_twitter_2017_has_exactly_its_published_counts(shared_data: Path) -> None:
    found = scan_corpus(open_corpus(shared_data / "twitter2017"), ImageSettings())
    expected = {
        "train": (3373, 53007, {"PER": 2943, "LOC": 731, "ORG": 1674, "MISC": 701}, 6049, 392),
        "validation": (723, 11309, {"PER": 626, "LOC": 173, "ORG": 375, "MISC": 150}, 1324, 76),
        "test": (723, 11330, {"PER": 621, "LOC": 178, "ORG": 395, "MISC": 157}, 1351, 86),
    }
    counted = {
        name: (split.posts, split.tokens, split.entities, split.entities.total(), split.without_entity)
        for name, split in found.splits.items()
    }
    assert counted == expected
    assert all(split.repaired == 0 and split.labeled == split.posts for split in found.splits.values())
    assert found.ids == Duplicates(within={}, across=0)
    assert found.texts == Duplicates(within={"train": 2}, across=1)
    assert (found.posts, found.images, found.no_image, found.rejected.count) == (4819, 0, 4819, 0)
    words = "\n".join(render_report(found))
    assert "4,819 missing" in words
    assert "All images are missing" in words


def test_real_tweets_have_images_that_decode(shared_data: Path) -> None:
    found = scan_corpus(open_corpus(shared_data / "tweets"), ImageSettings())
    assert (found.posts, found.images, found.no_image, found.broken.count) == (15, 15, 0, 0)
