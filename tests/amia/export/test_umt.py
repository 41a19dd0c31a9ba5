"""The UMT layout: text files, file names, and tokens as the BERT tokenizer splits them."""

from typing import Any

import pytest
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from amia.export.images import ImageExporter
from amia.export.umt import UmtLayout, conll_block, text_file
from amia.images import ImageSettings

Row = dict[str, Any]


def row(post_id: str, *tokens: str, tags: list[str] | None = None, image: bytes | None = b"jpeg") -> Row:
    return {
        "id": post_id,
        "tokens": list(tokens) or None,
        "tags": ["O"] * len(tokens) if tags is None else tags,
        "image": image and {"bytes": image, "path": f"{post_id}.jpg"},
        "ratio": 1.0,
    }


def layout(*collisions: str) -> UmtLayout:
    return UmtLayout(ImageExporter(stored=ImageSettings(size=256), size=256), "images", frozenset(collisions))


def test_block_format() -> None:
    assert conll_block("O_3", ["RT", "Ada"], ["O", "I-OTHER"]) == "IMGID:O_3\nRT\tO\nAda\tI-OTHER\n\n"
    result = layout().convert("train-00000-of-00001", [row("1", "a"), row("2", "b", "c", tags=["B-PER", "I-PER"])])
    assert result.text == "IMGID:1\na\tO\n\nIMGID:2\nb\tB-PER\nc\tI-PER\n\n"
    assert (result.posts, result.files) == (2, {"images/1.jpg": b"jpeg", "images/2.jpg": b"jpeg"})
    assert (result.untagged, result.altered, result.renamed, result.without_image) == (0, 0, {}, [])


def test_posts_without_tags_or_image() -> None:
    rows = [
        row("1", "a", image=None),
        {**row("2", "b"), "tags": None},
        row("3"),
        {**row("4"), "tokens": [], "tags": []},
    ]
    result = layout().convert("x", rows)
    assert result.text == "IMGID:1\na\tO\n\n"
    assert (result.posts, result.untagged, result.without_image, result.files) == (1, 3, ["1"], {})


def test_renames_reserved_and_colliding_ids() -> None:
    result = layout("abc").convert("x", [row("17_06_4705", "a"), row("inf", "b"), row("ABC", "c"), row("abc", "d")])
    assert result.renamed.keys() == {"17_06_4705", "inf", "ABC", "abc"}
    assert len({name.lower() for name in result.files}) == 4
    assert not {"images/17_06_4705.jpg", "images/inf.jpg"} & result.files.keys()
    assert [line[6:] for line in result.text.split("\n") if line.startswith("IMGID:")] == list(result.renamed.values())


@pytest.mark.parametrize("token", ["New York", "a\tb", "a\nb", "a\r\nb", " ", "IMGID:77", "IMGID: 5", "a  b"])
def test_sanitized_tokens_are_equal_for_bert(token: str) -> None:
    result = layout().convert("x", [row("1", "before", token, "after")])
    assert result.altered == 1
    header, *lines = result.text.removesuffix("\n\n").split("\n")
    assert header == "IMGID:1"
    assert not any(line.startswith("IMGID:") for line in lines)
    words = [line.split("\t")[0] for line in lines]
    assert " ".join(words).split(" ") == words  # as UMT does before tokenization
    assert len(words) == 3
    assert [bert_words(word) for word in words] == [bert_words("before"), bert_words(token), bert_words("after")]


def bert_words(word: str) -> list[str]:
    normalized = BertNormalizer(lowercase=False, strip_accents=False).normalize_str(word)
    return [piece for piece, _ in BertPreTokenizer().pre_tokenize_str(normalized)]


@pytest.mark.parametrize("token", ["", "\ufe0f", "\u200d", "\u00a0", "\x92", "🎉", "IMGID", "\u2028", "\x0b"])
def test_keeps_other_tokens(token: str) -> None:
    result = layout().convert("x", [row("1", token)])
    assert (result.text, result.altered) == (f"IMGID:1\n{token}\tO\n\n", 0)


def test_text_file_names() -> None:
    assert [text_file(split) for split in ("train", "validation", "test", "part_a")] == [
        "train.txt",
        "valid.txt",
        "test.txt",
        "part_a.txt",
    ]
