"""The demo corpus: files, shares of images, determinism, and what is held out from its training split."""

import hashlib
import json
import random
from collections import Counter
from functools import cache
from itertools import pairwise

import pytest
from PIL import Image

from amia.demo import write_corpus
from amia.demo.drafts import Draft, NameSource
from amia.demo.names import KINDS
from amia.demo.rare_names import rare_twins
from amia.demo.shares import MECHANISM, REALISTIC
from amia.errors import SettingsError

POSTS = 240


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """Write a corpus of 240 posts; each one once."""

    @cache
    def written(**arguments):
        folder = tmp_path_factory.mktemp("corpus")
        write_corpus(folder, posts=POSTS, **arguments)
        return folder

    return written


@pytest.fixture(scope="module")
def corpus(write):
    return write(seed=3)


def read(path):
    """Return the posts of a CoNLL file: id -> (tokens, tags)."""
    posts = {}
    for block in path.read_text(encoding="utf-8").strip().split("\n\n"):
        header, *lines = block.split("\n")
        assert header.startswith("IMGID:")
        tokens, tags = zip(*(line.split("\t") for line in lines), strict=True)
        posts[header.removeprefix("IMGID:")] = (tokens, tags)
    return posts


def truth(folder):
    return [json.loads(line) for line in (folder / "truth.ndjson").read_text(encoding="utf-8").splitlines()]


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


def test_files_and_truth_agree(corpus):
    records = {record["id"]: record for record in truth(corpus)}
    files = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}
    assert Counter(record["split"] for record in records.values()) == {"train": 120, "validation": 20, "test": 100}
    for split, name in files.items():
        posts = read(corpus / name)
        assert set(posts) == {id for id, record in records.items() if record["split"] == split}
        for id, (_, tags) in posts.items():
            kinds = [entity["type"] for entity in records[id]["entities"]]
            assert [tag[2:] for tag in tags if tag[0] == "B"] == kinds


def outcomes(folder):
    """Return how many images are missing, broken, mismatched and matched, by split."""
    counts = {}
    for record in truth(folder):
        files = list((folder / "images").glob(f"{record['id']}.*"))
        outcome = record["matched"]
        if not files:
            outcome = "missing"
        else:
            try:
                with Image.open(files[0]) as image:
                    image.load()
            except OSError:
                assert record["matched"] is None
                outcome = "broken"
        counts.setdefault(record["split"], Counter())[outcome] += 1
    return counts


def test_image_shares_are_exact(corpus):
    counts = outcomes(corpus)
    total = sum(counts.values(), Counter())
    assert total["missing"] == round(0.03 * POSTS)
    assert total["broken"] == round(0.01 * POSTS)
    for of_split in counts.values():
        usable = of_split[True] + of_split[False]
        assert of_split[False] == round(0.4 * usable)
    assert {path.suffix for path in (corpus / "images").iterdir()} == {".jpg", ".png"}


def images(folder):
    return {path.stem: path.read_bytes() for path in (folder / "images").iterdir()}


def test_other_share_of_known_names_exchanges_twins_alone(write):
    """Sentences, labels and images stay the same; the names that differ are twins of each other."""
    twins = {pair.known.surface: pair.unknown.surface for kind in KINDS for pair in rare_twins(kind)}
    few, many = write(known=0.5), write(known=1.0)
    assert images(few) == images(many)
    exchanged = 0
    for first, second in zip(truth(few), truth(many), strict=True):
        assert {**first, "entities": None} == {**second, "entities": None}
        for one, other in zip(first["entities"], second["entities"], strict=True):
            assert {**one, "surface": 0, "known": 0} == {**other, "surface": 0, "known": 0}
            if one["surface"] != other["surface"]:
                exchanged += 1
                assert twins[other["surface"]] == one["surface"]
                assert (one["known"], other["known"]) == (False, True)
    rare = sum(entity["frequency"] == "rare" for post in truth(few) for entity in post["entities"])
    assert exchanged / rare == pytest.approx(0.5, abs=0.1)
    for name in ("train", "valid", "test"):
        for (words, tags), (other_words, other_tags) in zip(
            read(few / f"{name}.txt").values(), read(many / f"{name}.txt").values(), strict=True
        ):
            assert tags == other_tags
            assert all(a == b for a, b, tag in zip(words, other_words, tags, strict=True) if tag == "O")


def test_other_share_of_mismatches_exchanges_images_alone(write):
    """A post that is mismatched at one share is so, with the same image, at every greater one."""
    by_share = [write(mismatched=share) for share in (0.0, 0.2, 0.6)]
    assert len({(folder / "train.txt").read_bytes() for folder in by_share}) == 1
    for less, more in pairwise(by_share):
        before, after = images(less), images(more)
        assert before.keys() == after.keys()
        for record, other in zip(truth(less), truth(more), strict=True):
            if record["matched"] == other["matched"] and record["id"] in before:
                assert before[record["id"]] == after[record["id"]]
            elif record["matched"] != other["matched"]:
                assert (record["matched"], other["matched"]) == (True, False)
                assert before[record["id"]] != after[record["id"]]
    assert all(record["matched"] is not False for record in truth(by_share[0]))


def test_boxes_lie_in_matching_images(corpus):
    for record in truth(corpus):
        boxes = [entity["box"] for entity in record["entities"]]
        if not record["matched"]:
            assert not any(boxes)
            continue
        assert any(boxes)
        (path,) = (corpus / "images").glob(f"{record['id']}.*")
        with Image.open(path) as image:
            width, height = image.size
        for left, top, right, bottom in filter(None, boxes):
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height


def test_test_split_mentions_names_that_train_lacks(corpus):
    names = {"train": set(), "test": set()}
    for record in truth(corpus):
        split = "train" if record["split"] == "train" else "test"
        names[split].update(e["surface"] for e in record["entities"] if e["frequency"] == "rare")
    late = {
        name for kind in KINDS for pair in rare_twins(kind) if pair.late for name in (pair.known[0], pair.unknown[0])
    }
    assert not names["train"] & late
    assert len(names["test"] & late) > 25
    assert len(names["test"] & names["train"]) > 10


def test_mechanism_isolates_slices(tmp_path):
    write_corpus(tmp_path, posts=240, missing=0, broken=0, known=1.0, shares=MECHANISM)
    records = truth(tmp_path)
    assert all(record["neutral"] for record in records)
    assert all(entity["box"] for record in records if record["matched"] for entity in record["entities"])
    frequencies = Counter(entity["frequency"] for record in records for entity in record["entities"])
    assert frequencies["ambiguous"] / frequencies.total() == pytest.approx(MECHANISM.posts.ambiguous, abs=0.08)
    surfaces = {
        e["surface"] for r in records if r["split"] == "train" for e in r["entities"] if e["frequency"] == "rare"
    }
    tested = {e["surface"] for r in records if r["split"] == "test" for e in r["entities"] if e["frequency"] == "rare"}
    assert not surfaces & tested


def test_mismatched_images_of_mechanism_show_other_types():
    names = NameSource(random.Random(0), MECHANISM)
    drafts = [Draft.draw(f"0 {number}", "train", MECHANISM, names) for number in range(60)]
    for draft in drafts:
        others = draft.draw_others(MECHANISM, draft.rng("other image"))
        assert not {entity.kind for entity in others} & {mention.kind for mention in draft.mentions}
    chance = [draft.draw_others(REALISTIC, draft.rng("other image")) for draft in drafts]
    assert any(
        {e.kind for e in others} & {m.kind for m in d.mentions} for others, d in zip(chance, drafts, strict=True)
    )


def test_deterministic(tmp_path):
    for name, seed in (("one", 5), ("same", 5), ("other", 6)):
        write_corpus(tmp_path / name, posts=40, seed=seed)
    assert digest(tmp_path / "one") == digest(tmp_path / "same") != digest(tmp_path / "other")


@pytest.mark.parametrize(
    "arguments", [{"posts": 3}, {"mismatched": 1.2}, {"known": -0.1}, {"missing": 0.7, "broken": 0.6}]
)
def test_rejects_invalid_shares(tmp_path, arguments):
    with pytest.raises(SettingsError):
        write_corpus(tmp_path, **arguments)
