"""Test that predictions in CoNLL format read back as a corpus with its gold tags."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from amia.mner.evaluation import ScoredPost, to_conll
from amia.posts import Post, RawPost, validate_post
from amia.readers.conll import read_conll
from amia.readers.image_folder import ImageFolder
from amia.readers.source import LocalFile

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC"])


def scored_post(id: str, rows: list[tuple[str, str, str]]) -> ScoredPost:
    tokens, gold, predicted = zip(*rows, strict=True)
    return ScoredPost(id=id, tokens=tokens, tags=None, gold=gold, predicted=predicted, theta=None, has_image=False)


def test_format():
    posts = [scored_post("17_1", [("Rome", "B-LOC", "B-PER"), (".", "O", "O")]), scored_post("2", [("x", "O", "O")])]
    assert to_conll(posts) == "IMGID:17_1\nRome\tB-LOC\tB-PER\n.\tO\tO\n\nIMGID:2\nx\tO\tO\n\n"
    assert to_conll([]) == ""


def test_replaces_tabs_and_line_breaks():
    assert to_conll([scored_post("a\nb", [("x\r\ny\tz", "O", "O")])]) == "IMGID:a b\nx  y z\tO\tO\n\n"


@given(st.lists(st.lists(st.tuples(WORDS, TAGS, TAGS), min_size=1, max_size=4), max_size=3))
def test_reader_restores_ids_tokens_and_gold(tmp_path_factory, sentences):
    file = tmp_path_factory.getbasetemp() / "predicted.txt"
    posts = [scored_post(f"p{number}", rows) for number, rows in enumerate(sentences)]
    file.write_text(to_conll(posts), encoding="utf-8", newline="")
    rows = [
        row for row in read_conll(LocalFile(file, "predicted.txt"), None, ImageFolder(None)) if isinstance(row, RawPost)
    ]
    assert [row.id for row in rows] == [post.id for post in posts]
    for row, post in zip(rows, posts, strict=True):
        assert row.tokens == [token.translate({9: " ", 10: " ", 13: " "}) for token in post.tokens]
        assert row.tags == list(post.gold)


def test_read_posts_are_valid(tmp_path: Path):
    (tmp_path / "p.txt").write_text(to_conll([scored_post("1", [("Rome", "B-LOC", "O")])]), encoding="utf-8")
    (row,) = read_conll(LocalFile(tmp_path / "p.txt", "p.txt"), "test", ImageFolder(None))
    assert isinstance(row, RawPost)
    post = validate_post(row)
    assert isinstance(post, Post)
    assert (post.id, post.text, post.ner_tags) == ("1", "Rome", ("B-LOC",))
