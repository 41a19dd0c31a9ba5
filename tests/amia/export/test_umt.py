"""The umt layout: what text files hold, against the loops of public readers and the text splitting of BERT."""

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


def layout(*clashing: str) -> UmtLayout:
    return UmtLayout(ImageExporter(stored=ImageSettings(size=256), size=256), "images", frozenset(clashing))


def test_a_block_is_what_umt_s_own_files_hold() -> None:
    assert conll_block("O_3", ["RT", "Ada"], ["O", "I-OTHER"]) == "IMGID:O_3\nRT\tO\nAda\tI-OTHER\n\n"
    part = layout().part("train-00000-of-00001", [row("1", "a"), row("2", "b", "c", tags=["B-PER", "I-PER"])])
    assert part.text == "IMGID:1\na\tO\n\nIMGID:2\nb\tB-PER\nc\tI-PER\n\n"
    assert (part.posts, part.files) == (2, {"images/1.jpg": b"jpeg", "images/2.jpg": b"jpeg"})
    assert (part.untagged, part.altered, part.renamed, part.without_image) == (0, 0, {}, [])


def test_posts_without_tags_or_without_a_picture() -> None:
    rows = [
        row("1", "a", image=None),
        {**row("2", "b"), "tags": None},
        row("3"),
        {**row("4"), "tokens": [], "tags": []},
    ]
    part = layout().part("x", rows)
    assert part.text == "IMGID:1\na\tO\n\n"
    assert (part.posts, part.untagged, part.without_image, part.files) == (1, 3, ["1"], {})


def test_the_placeholders_own_names_are_given_to_no_post() -> None:
    part = layout("abc").part("x", [row("17_06_4705", "a"), row("inf", "b"), row("ABC", "c"), row("abc", "d")])
    assert part.renamed.keys() == {"17_06_4705", "inf", "ABC", "abc"}
    assert len({name.lower() for name in part.files}) == 4
    assert not {"images/17_06_4705.jpg", "images/inf.jpg"} & part.files.keys()
    assert [line[6:] for line in part.text.split("\n") if line.startswith("IMGID:")] == list(part.renamed.values())


@pytest.mark.parametrize("token", ["New York", "a\tb", "a\nb", "a\r\nb", " ", "IMGID:77", "IMGID: 5", "a  b"])
def test_tokens_that_columns_cannot_hold_stay_one_token_that_bert_reads_alike(token: str) -> None:
    part = layout().part("x", [row("1", "before", token, "after")])
    assert part.altered == 1
    head, *lines = part.text.removesuffix("\n\n").split("\n")
    assert head == "IMGID:1"
    assert not any(line.startswith("IMGID:") for line in lines)
    words = [line.split("\t")[0] for line in lines]
    assert " ".join(words).split(" ") == words  # what UMT does before it tokenizes
    assert len(words) == 3
    assert [pieces(word) for word in words] == [pieces("before"), pieces(token), pieces("after")]


def pieces(word: str) -> list[str]:
    normal = BertNormalizer(lowercase=False, strip_accents=False).normalize_str(word)
    return [piece for piece, _ in BertPreTokenizer().pre_tokenize_str(normal)]


@pytest.mark.parametrize("token", ["", "\ufe0f", "\u200d", "\u00a0", "\x92", "🎉", "IMGID", "\u2028", "\x0b"])
def test_other_tokens_stay_as_they_are(token: str) -> None:
    part = layout().part("x", [row("1", token)])
    assert (part.text, part.altered) == (f"IMGID:1\n{token}\tO\n\n", 0)


def test_names_of_text_files() -> None:
    assert [text_file(split) for split in ("train", "validation", "test", "part_a")] == [
        "train.txt",
        "valid.txt",
        "test.txt",
        "part_a.txt",
    ]
