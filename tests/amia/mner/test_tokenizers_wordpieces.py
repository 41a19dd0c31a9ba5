"""Test `WordPieceTokenizer` with a small BERT vocabulary: the subwords of each word, and where each word begins."""

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from amia.errors import ModelError
from amia.mner.tokenizers import WordPieceTokenizer

SUBWORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "blue", "sky", "##sky", "##s", "##line", "B", "@", "!"]
VOCAB = {subword: index for index, subword in enumerate(SUBWORDS)}


def bert_tokenizer(**kwargs: object) -> BertTokenizer:
    return BertTokenizer(vocab=VOCAB, do_lower_case=False, **kwargs)


def to_subwords(input_ids: tuple[int, ...] | None) -> list[str]:
    return [SUBWORDS[index] for index in input_ids or ()]


def test_splits_each_word_on_its_own() -> None:
    tokenizer = WordPieceTokenizer(bert_tokenizer())
    post = tokenizer.encode("p", ["blueskys", "sky", "@blue", "skyline", "!"], [0, 1, 2, 3, 4])
    assert to_subwords(post.input_ids) == [
        "[CLS]", "blue", "##sky", "##s", "sky", "@", "blue", "sky", "##line", "!", "[SEP]",
    ]  # fmt: skip
    assert post.first_subwords == (1, 4, 5, 7, 9)
    assert (post.id, post.labels, post.length) == ("p", (0, 1, 2, 3, 4), 11)
    assert (post.word_ids, post.char_ids) == (None, None)


def test_dropped_and_unknown_words_become_unk() -> None:
    post = WordPieceTokenizer(bert_tokenizer()).encode("p", ["sky", "\ufe0f", "", " ", "xyz", "sky"])
    assert to_subwords(post.input_ids) == ["[CLS]", "sky", "[UNK]", "[UNK]", "[UNK]", "[UNK]", "sky", "[SEP]"]
    assert post.first_subwords == (1, 2, 3, 4, 5, 6)
    assert post.labels is None


@pytest.mark.parametrize(
    ("words", "num_words", "last_subword"),
    [
        (["blue"] * 126, 126, "blue"),
        (["blue"] * 127, 126, "blue"),
        (["blue"] * 500, 126, "blue"),
        (["blue"] * 125 + ["skyline"], 126, "sky"),  # a word that is cut in two is still read
        (["skyline"] * 63 + ["!"], 63, "##line"),
    ],
)
def test_truncates_to_128_subwords(words: list[str], num_words: int, last_subword: str) -> None:
    tokenizer = WordPieceTokenizer(bert_tokenizer())
    post = tokenizer.encode("p", words, [0] * len(words))
    subwords = to_subwords(post.input_ids)
    assert len(subwords) == 128
    assert (subwords[0], subwords[-2], subwords[-1]) == ("[CLS]", last_subword, "[SEP]")
    prefix = tokenizer.encode("p", words[:20])
    assert post.first_subwords is not None
    assert prefix.first_subwords == post.first_subwords[:20]
    assert len(post.first_subwords) == num_words
    assert all(subwords[index] in ("blue", "sky") for index in post.first_subwords)


def test_truncates_to_the_encoders_length() -> None:
    for tokenizer in (
        WordPieceTokenizer(bert_tokenizer(model_max_length=6)),
        WordPieceTokenizer(bert_tokenizer(), max_positions=6),
    ):
        post = tokenizer.encode("p", ["sky", "skyline", "skyline", "sky"])
        assert to_subwords(post.input_ids) == ["[CLS]", "sky", "sky", "##line", "sky", "[SEP]"]
        assert post.first_subwords == (1, 2, 4)


def test_loaded_tokenizer_encodes_the_same(tmp_path: Path) -> None:
    # Many published tokenizers are saved with padding and truncation enabled.
    hf_tokenizer = bert_tokenizer(model_max_length=20)
    hf_tokenizer(["sky", "blue"], padding="max_length", truncation=True, max_length=3)
    tokenizer = WordPieceTokenizer(hf_tokenizer)
    tokenizer.save(tmp_path)
    loaded = WordPieceTokenizer.load(tmp_path, 512)
    assert loaded.pad_id == tokenizer.pad_id == VOCAB["[PAD]"]
    for words in (["Blue", "B", "skyline", "\ufe0f"], ["skys"] * 12, ["!"]):
        assert loaded.encode("x", words, [0] * len(words)) == tokenizer.encode("x", words, [0] * len(words))
    assert loaded.encode("x", ["skys"] * 12).length == 20


def test_rejects_folder_without_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="tokenizer"):
        WordPieceTokenizer.load(tmp_path, 512)
    # transformers makes up a tokenizer for these weights, to which every word is unknown.
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=13, **sizes)).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no vocabulary"):
        WordPieceTokenizer.load(tmp_path, 512)


@pytest.mark.parametrize("missing", ["pad", "cls", "sep", "unk"])
def test_rejects_tokenizer_without_special_tokens(missing: str) -> None:
    hf_tokenizer = bert_tokenizer()
    setattr(hf_tokenizer, f"{missing}_token", None)
    with pytest.raises(ModelError, match=rf"no \[{missing.upper()}\] token"):
        WordPieceTokenizer(hf_tokenizer)
