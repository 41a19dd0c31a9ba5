"""A BERT tokenizer with a handful of pieces: what each word becomes, and where it begins."""

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from amia.errors import ModelError
from amia.mner.tokenizers import WordPieces

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "blue", "sky", "##sky", "##s", "##line", "B", "@", "!"]
NUMBER = {piece: number for number, piece in enumerate(PIECES)}


def tokenizer(**more: object) -> BertTokenizer:
    return BertTokenizer(vocab=NUMBER, do_lower_case=False, **more)


def names(pieces: tuple[int, ...] | None) -> list[str]:
    return [PIECES[number] for number in pieces or ()]


def test_each_word_by_itself_and_the_place_where_it_begins() -> None:
    post = WordPieces(tokenizer()).encode("p", ["blueskys", "sky", "@blue", "skyline", "!"], [0, 1, 2, 3, 4])
    assert names(post.pieces) == [
        "[CLS]", "blue", "##sky", "##s", "sky", "@", "blue", "sky", "##line", "!", "[SEP]",
    ]  # fmt: skip
    assert post.first == (1, 4, 5, 7, 9)
    assert (post.id, post.labels, post.length) == ("p", (0, 1, 2, 3, 4), 11)
    assert (post.words, post.chars) == (None, None)


def test_a_word_of_no_piece_and_one_of_unknown_pieces_are_one_unknown_piece() -> None:
    post = WordPieces(tokenizer()).encode("p", ["sky", "\ufe0f", "", " ", "xyz", "sky"])
    assert names(post.pieces) == ["[CLS]", "sky", "[UNK]", "[UNK]", "[UNK]", "[UNK]", "sky", "[SEP]"]
    assert post.first == (1, 2, 3, 4, 5, 6)
    assert post.labels is None


@pytest.mark.parametrize(
    ("words", "kept", "last"),
    [
        (["blue"] * 126, 126, "blue"),
        (["blue"] * 127, 126, "blue"),
        (["blue"] * 500, 126, "blue"),
        (["blue"] * 125 + ["skyline"], 126, "sky"),  # the word that is cut in two is still read
        (["skyline"] * 63 + ["!"], 63, "##line"),
    ],
)
def test_what_exceeds_128_pieces_is_cut_off(words: list[str], kept: int, last: str) -> None:
    reader = WordPieces(tokenizer())
    post = reader.encode("p", words, [0] * len(words))
    said = names(post.pieces)
    assert len(said) == 128
    assert (said[0], said[-2], said[-1]) == ("[CLS]", last, "[SEP]")
    whole = reader.encode("p", words[:20])
    assert post.first is not None
    assert whole.first == post.first[:20]
    assert len(post.first) == kept
    assert all(said[place] in ("blue", "sky") for place in post.first)


def test_an_encoder_that_reads_less_is_given_less() -> None:
    for cut in (WordPieces(tokenizer(model_max_length=6)), WordPieces(tokenizer(), positions=6)):
        post = cut.encode("p", ["sky", "skyline", "skyline", "sky"])
        assert names(post.pieces) == ["[CLS]", "sky", "sky", "##line", "sky", "[SEP]"]
        assert post.first == (1, 2, 4)


def test_saved_and_loaded_it_cuts_alike(tmp_path: Path) -> None:
    # As many published tokenizers are saved: padding and cutting on.
    kept = tokenizer(model_max_length=20)
    kept(["sky", "blue"], padding="max_length", truncation=True, max_length=3)
    before = WordPieces(kept)
    before.save(tmp_path)
    after = WordPieces.load(tmp_path, 512)
    assert after.pad == before.pad == NUMBER["[PAD]"]
    for words in (["Blue", "B", "skyline", "\ufe0f"], ["skys"] * 12, ["!"]):
        assert after.encode("x", words, [0] * len(words)) == before.encode("x", words, [0] * len(words))
    assert after.encode("x", ["skys"] * 12).length == 20


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="tokenizer"):
        WordPieces.load(tmp_path, 512)
    # transformers makes up a tokenizer for these weights, to which every word is unknown.
    torch.manual_seed(0)
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=13, **shape)).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no vocabulary"):
        WordPieces.load(tmp_path, 512)


@pytest.mark.parametrize("lacking", ["pad", "cls", "sep", "unk"])
def test_a_tokenizer_of_another_kind_is_refused(lacking: str) -> None:
    odd = tokenizer()
    setattr(odd, f"{lacking}_token", None)
    with pytest.raises(ModelError, match=rf"no \[{lacking.upper()}\]"):
        WordPieces(odd)
