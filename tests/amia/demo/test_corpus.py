"""The demo corpus: files, shares of images, determinism, and what is held out from its training split."""

import hashlib
import json
from collections import Counter
from itertools import pairwise

import pytest
from PIL import Image

from amia.demo import write_corpus
from amia.demo.templates import TEMPLATES
from amia.demo.world import late_names
from amia.errors import SettingsError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, posts=400, seed=3)
    return folder


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
    assert Counter(record["split"] for record in records.values()) == {"train": 280, "validation": 60, "test": 60}
    for split, name in files.items():
        posts = read(corpus / name)
        assert set(posts) == {id for id, record in records.items() if record["split"] == split}
        for id, (_, tags) in posts.items():
            assert Counter(tag[2:] for tag in tags if tag[0] == "B") == Counter(k for _, k in records[id]["entities"])


def test_image_shares_are_exact(corpus):
    records = truth(corpus)
    outcomes = Counter()
    for record in records:
        files = list((corpus / "images").glob(f"{record['id']}.*"))
        if not files:
            outcomes["missing"] += 1
            continue
        try:
            with Image.open(files[0]) as image:
                image.load()
            outcomes[record["matched"]] += 1
        except OSError:
            assert record["matched"] is None
            outcomes["broken"] += 1
    assert outcomes == {"missing": 12, "broken": 4, False: 115, True: 269}
    assert {path.suffix for path in (corpus / "images").iterdir()} == {".jpg", ".png"}


def test_train_lacks_late_names(corpus):
    names = {"train": set(), "other": set()}
    for record in truth(corpus):
        names["train" if record["split"] == "train" else "other"].update(surface for surface, _ in record["entities"])
    assert not names["train"] & late_names()
    assert len(names["other"] & late_names()) > 10


def neighbors(posts):
    """Return all pairs of consecutive words."""
    return {pair for words in posts for pair in pairwise(words)}


def test_evaluation_templates_only_in_test_splits(corpus):
    templates = [template for of_kinds in TEMPLATES.values() for template in of_kinds]
    parts = {part: neighbors(t.words for t in templates if t.partition == part) for part in ("held_out", "evaluation")}
    only_evaluation = parts["evaluation"] - parts["held_out"]
    tokens = {name: [post[0] for post in read(corpus / f"{name}.txt").values()] for name in ("train", "valid", "test")}
    # Some pairs occur in train too, since words are dropped at random.
    assert (
        len(neighbors(tokens["train"]) & only_evaluation)
        < len(neighbors(tokens["valid"] + tokens["test"]) & only_evaluation) / 3
    )


def test_deterministic(tmp_path):
    for name, seed in (("one", 5), ("same", 5), ("other", 6)):
        write_corpus(tmp_path / name, posts=40, seed=seed)
    assert digest(tmp_path / "one") == digest(tmp_path / "same") != digest(tmp_path / "other")


def test_no_mismatches(tmp_path):
    write_corpus(tmp_path, posts=20, mismatched=0.0, missing=0.0, broken=0.0)
    assert all(record["matched"] is True for record in truth(tmp_path))


@pytest.mark.parametrize("arguments", [{"posts": 3}, {"mismatched": 1.2}, {"missing": 0.7, "broken": 0.6}])
def test_rejects_invalid_shares(tmp_path, arguments):
    with pytest.raises(SettingsError):
        write_corpus(tmp_path, **arguments)
