"""Validation of posts, tags, splits, and content hashes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.errors import CorpusError
from amia.posts import Post, RawPost, Rejected, canonical_split, content_hash, to_bio2, validate_post

TAGS = st.lists(st.sampled_from(["O", *(f"{b}-{t}" for b in "BI" for t in ("PER", "LOC", "OTHER", "MISC", "a-b"))]))


def lenient_spans(tags: list[str] | tuple[str, ...]) -> set[tuple[int, int, str]]:
    """Return (start, end, type) as lenient scorers of the field chunk tags: a plain loop, independent of `to_bio2`."""
    spans = set()
    start, kind = 0, ""
    for position, tag in enumerate([*tags, "O"]):
        current = "MISC" if tag[2:] == "OTHER" else tag[2:]
        if kind and (tag == "O" or tag[0] == "B" or current != kind):
            spans.add((start, position, kind))
            kind = ""
        if tag != "O" and not kind:
            start, kind = position, current
    return spans


@pytest.mark.promise(20)
@given(TAGS)
def test_to_bio2_is_valid_idempotent_and_keeps_spans(tags: list[str]) -> None:
    fixed, repaired = to_bio2(tags)
    assert len(fixed) == len(tags)
    assert lenient_spans(fixed) == lenient_spans(tags)
    previous = "O"
    for tag in fixed:  # an I-X must follow B-X or I-X
        assert not tag.startswith("I-") or previous[2:] == tag[2:]
        assert "OTHER" not in tag
        previous = tag
    assert to_bio2(fixed) == (fixed, 0)
    assert repaired == sum(new[0] != old[0] for new, old in zip(fixed, tags, strict=True))
    assert len(lenient_spans(tags)) == sum(tag.startswith("B-") for tag in fixed)


@pytest.mark.promise(20)
@pytest.mark.parametrize("tag", ["", "B", "B-", "b-PER", "PER", "S-PER", "O ", "B-P R", "O\n", "I-\n"])
def test_rejects_unknown_tags(tag: str) -> None:
    with pytest.raises(CorpusError, match=re.escape(repr(tag))):
        to_bio2(["O", tag])


@pytest.mark.parametrize(
    ("name", "expected"),
    [(None, "train"), ("dev", "validation"), ("VALID", "validation"), ("Train", "train"), ("extra_2", "extra_2")],
)
def test_canonical_split(name: str | None, expected: str) -> None:
    assert canonical_split(name) == expected


@pytest.mark.parametrize("name", ["", "../up", "a b", "a-b", "_x", "train\n", "é"])
def test_rejects_splits_that_are_not_file_names(name: str) -> None:
    with pytest.raises(CorpusError):
        canonical_split(name)


TEXT = st.text(max_size=6)
RAW = st.builds(
    RawPost,
    location=TEXT,
    id=st.none() | TEXT,
    split=st.none() | st.sampled_from(["train", "dev", "test"]),
    text=st.none() | TEXT,
    tokens=st.none() | st.lists(TEXT, max_size=3),
    tags=st.none() | st.lists(TEXT, max_size=3),
    image=st.none() | st.binary(max_size=4),
    image_path=st.none() | TEXT,
)


def content(raw: RawPost) -> tuple[object, ...]:
    """Return everything but the location."""
    return (
        raw.id,
        canonical_split(raw.split),
        raw.text,
        None if raw.tokens is None else tuple(raw.tokens),
        None if raw.tags is None else tuple(raw.tags),
        raw.image,
        raw.image_path,
    )


@given(RAW, RAW)
def test_hashes_are_equal_iff_contents_are(one: RawPost, other: RawPost) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", content_hash(one))
    assert (content_hash(one) == content_hash(other)) == (content(one) == content(other))


def test_similar_contents_have_different_hashes() -> None:
    similar = [
        RawPost(location="", text="ab"),
        RawPost(location="", id="ab"),
        RawPost(location="", tokens=["ab"]),
        RawPost(location="", tokens=["a", "b"]),
        RawPost(location="", tokens=["a"], tags=["b"]),
        RawPost(location="", tokens=[]),
        RawPost(location="", tokens=[""]),
        RawPost(location="", text=""),
        RawPost(location=""),
        RawPost(location="", image=b"ab"),
        RawPost(location="", image_path="ab"),
        RawPost(location="", text="ab", split="test"),
    ]
    assert len({content_hash(raw) for raw in similar}) == len(similar)
    assert content_hash(RawPost(location="a", text="x")) == content_hash(RawPost(location="b", text="x", split="train"))


def test_hash_of_tokens_with_separators() -> None:
    assert content_hash(RawPost(location="", tokens=["a\x1fb"])) != content_hash(
        RawPost(location="", tokens=["a", "b"])
    )


@given(RAW)
def test_validate_post_keeps_all_fields(raw: RawPost) -> None:
    post = validate_post(raw)
    if isinstance(post, Rejected):
        assert post.reason
        return
    assert post.text.strip()
    assert post.id == (raw.id or content_hash(raw))
    assert post.tokens == (None if raw.tokens is None else tuple(raw.tokens))
    assert post.tags == (None if raw.tags is None else tuple(raw.tags))
    assert (post.image, post.image_path, post.location) == (raw.image, raw.image_path, raw.location)
    if post.tags is not None:
        assert len(post.tags) == len(post.ner_tags or ()) == len(post.tokens or ())


@pytest.mark.promise(20)
@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (RawPost(location="w", id="1"), "no text"),
        (RawPost(location="w", id="1", tokens=["", " "]), "no text"),
        (RawPost(location="w", id="1", text="a", tags=["O"]), "tags without tokens"),
        (RawPost(location="w", id="1", tokens=["a"], tags=["O", "O"]), "1 tokens but 2 tags"),
        (RawPost(location="w", id="1", tokens=["a"], tags=["X"]), "tag 'X' is neither"),
        (RawPost(location="w", id="1", text="a", split="../x"), "split '../x'"),
        (RawPost(location="w", id="1", text="a", split="/" * 50_000), "split '" + "/" * 40 + "': use"),
        (RawPost(location="w", id="1", tokens=["a"], tags=["Q" * 50_000]), "tag '" + "Q" * 40 + "' is neither"),
    ],
)
def test_rejects_invalid_posts(raw: RawPost, reason: str) -> None:
    post = validate_post(raw)
    assert isinstance(post, Rejected)
    assert (post.location, post.id) == ("w", "1")
    assert post.reason.startswith(reason)


@pytest.mark.parametrize(
    "raw",
    [
        RawPost(location="w", text="\ud800"),
        RawPost(location="w", text="a", id="\ud800"),
        RawPost(location="w", text="a", image_path="\ud800"),
        RawPost(location="w", tokens=["a"], tags=["\ud800"]),
    ],
)
def test_rejects_invalid_unicode(raw: RawPost) -> None:
    assert validate_post(raw) == Rejected(location="w", id=None, reason="text is not valid Unicode")


def test_rejects_too_many_characters() -> None:
    shared = "x" * (1 << 20)
    for raw in (
        RawPost(location="w", id="1", text=shared),
        RawPost(location="w", id=shared, text="a"),
        RawPost(location="w", id="1", tokens=[shared] * 100_000),  # 100 GB if joined
        RawPost(location="w", id="1", tokens=["a"] * 600_000, tags=["O"] * 600_000),
    ):
        assert validate_post(raw) == Rejected(location="w", id=None, reason="more than 1048576 characters")
    assert isinstance(validate_post(RawPost(location="w", text="x" * 1_000_000)), Post)


def test_text_takes_precedence_over_tokens() -> None:
    assert validate_post(RawPost(location="", id="1", tokens=["a", "b"])) == Post(id="1", text="a b", tokens=("a", "b"))
    assert validate_post(RawPost(location="", id="1", text="ab", tokens=["a", "b"])) == Post(
        id="1", text="ab", tokens=("a", "b")
    )
