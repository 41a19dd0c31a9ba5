"""What makes a post, and what its tags become."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.errors import CorpusError
from amia.posts import Post, RawPost, Rejected, canonical_split, content_hash, to_bio2, validate_post

TAGS = st.lists(st.sampled_from(["O", *(f"{b}-{t}" for b in "BI" for t in ("PER", "LOC", "OTHER", "MISC", "a-b"))]))


def lenient_spans(tags: list[str] | tuple[str, ...]) -> set[tuple[int, int, str]]:
    """(start, end, type) as the field's lenient scorers chunk tags: a plain loop, apart from `to_bio2`."""
    spans = set()
    start, kind = 0, ""
    for position, tag in enumerate([*tags, "O"]):
        here = "MISC" if tag[2:] == "OTHER" else tag[2:]
        if kind and (tag == "O" or tag[0] == "B" or here != kind):
            spans.add((start, position, kind))
            kind = ""
        if tag != "O" and not kind:
            start, kind = position, here
    return spans


@pytest.mark.promise(20)
@given(TAGS)
def test_to_bio2_keeps_the_lenient_spans_and_is_valid_and_idempotent(tags: list[str]) -> None:
    fixed, repaired = to_bio2(tags)
    assert len(fixed) == len(tags)
    assert lenient_spans(fixed) == lenient_spans(tags)
    previous = "O"
    for tag in fixed:  # valid: an I-X follows B-X or I-X
        assert not tag.startswith("I-") or previous[2:] == tag[2:]
        assert "OTHER" not in tag
        previous = tag
    assert to_bio2(fixed) == (fixed, 0)
    assert repaired == sum(new[0] != old[0] for new, old in zip(fixed, tags, strict=True))
    assert len(lenient_spans(tags)) == sum(tag.startswith("B-") for tag in fixed)


@pytest.mark.promise(20)
@pytest.mark.parametrize("tag", ["", "B", "B-", "b-PER", "PER", "S-PER", "O ", "B-P R", "O\n", "I-\n"])
def test_unknown_tags_are_refused(tag: str) -> None:
    with pytest.raises(CorpusError, match=re.escape(repr(tag))):
        to_bio2(["O", tag])


@pytest.mark.parametrize(
    ("name", "expected"),
    [(None, "train"), ("dev", "validation"), ("VALID", "validation"), ("Train", "train"), ("extra_2", "extra_2")],
)
def test_split_names(name: str | None, expected: str) -> None:
    assert canonical_split(name) == expected


@pytest.mark.parametrize("name", ["", "../up", "a b", "a-b", "_x", "train\n", "é"])
def test_split_names_that_could_be_no_file(name: str) -> None:
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


def told(raw: RawPost) -> tuple[object, ...]:
    """All that a source says but the place."""
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
def test_content_hashes_agree_exactly_when_the_contents_do(one: RawPost, other: RawPost) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", content_hash(one))
    assert (content_hash(one) == content_hash(other)) == (told(one) == told(other))


def test_a_content_hash_tells_near_contents_apart() -> None:
    near = [
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
    assert len({content_hash(raw) for raw in near}) == len(near)
    assert content_hash(RawPost(location="a", text="x")) == content_hash(RawPost(location="b", text="x", split="train"))


def test_the_hash_of_tokens_that_hold_a_separator() -> None:
    assert content_hash(RawPost(location="", tokens=["a\x1fb"])) != content_hash(RawPost(location="", tokens=["a", "b"]))


@given(RAW)
def test_checked_gives_a_whole_post_or_a_reason(raw: RawPost) -> None:
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
def test_what_is_no_post(raw: RawPost, reason: str) -> None:
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
def test_what_no_file_could_hold_is_no_post(raw: RawPost) -> None:
    assert validate_post(raw) == Rejected(location="w", id=None, reason="text is not valid Unicode")


def test_what_is_too_long_is_no_post_however_little_memory_it_takes() -> None:
    shared = "x" * (1 << 20)
    for raw in (
        RawPost(location="w", id="1", text=shared),
        RawPost(location="w", id=shared, text="a"),
        RawPost(location="w", id="1", tokens=[shared] * 100_000),  # 100 GB, were they joined
        RawPost(location="w", id="1", tokens=["a"] * 600_000, tags=["O"] * 600_000),
    ):
        assert validate_post(raw) == Rejected(location="w", id=None, reason="more than 1048576 characters")
    assert isinstance(validate_post(RawPost(location="w", text="x" * 1_000_000)), Post)


def test_the_text_goes_before_the_tokens() -> None:
    assert validate_post(RawPost(location="", id="1", tokens=["a", "b"])) == Post(id="1", text="a b", tokens=("a", "b"))
    assert validate_post(RawPost(location="", id="1", text="ab", tokens=["a", "b"])) == Post(
        id="1", text="ab", tokens=("a", "b")
    )
