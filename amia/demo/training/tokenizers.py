"""A CLIP tokenizer whose byte-pair vocabulary is learned on the world's own text."""

import json
import string
from collections.abc import Iterable
from typing import Any

from tokenizers import pre_tokenizers
from tokenizers.models import BPE, WordPiece
from tokenizers.trainers import BpeTrainer, WordPieceTrainer
from transformers import BertTokenizer, CLIPTokenizer

# MERGED FROM amia.demo.training.tokenizers: A BERT tokenizer whose WordPiece vocabulary is learned on the world's own text.
CLIP_MAX_TOKENS = 32
"""Start and end included; longer texts are cut."""

_START, _END, _UNKNOWN = "<|startoftext|>", "<|endoftext|>", "<|unknown|>"
_SUFFIX = "</w>"
_CLIP_VOCAB_SIZE = 1400


def train_tokenizer(texts: Iterable[str]) -> CLIPTokenizer:
    """A tokenizer of about 1,600 entries and at most 32 tokens a text.

    As in CLIP, start and end are the last two entries and the end token pads. The unknown token is an entry of its own:
    were it the end token, a text would be pooled at its first unknown character.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    # CLIP's own normalizer and splitting; only the vocabulary is learned.
    backend = CLIPTokenizer().backend_tokenizer
    backend.model = BPE(end_of_word_suffix=_SUFFIX)
    trainer = BpeTrainer(
        vocab_size=_CLIP_VOCAB_SIZE,
        end_of_word_suffix=_SUFFIX,
        initial_alphabet=alphabet,
        special_tokens=[],
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    learned = json.loads(backend.to_str())["model"]
    # All bytes, inside and at the end of a word, so that no text needs the unknown token.
    pieces = [*alphabet, *(byte + _SUFFIX for byte in alphabet), *learned["vocab"], _UNKNOWN, _START, _END]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    merges: Any = [tuple(pair) for pair in learned["merges"]]
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,
        unk_token=_UNKNOWN,
        bos_token=_START,
        eos_token=_END,
        pad_token=_END,
        model_max_length=CLIP_MAX_TOKENS,
    )


BERT_MAX_TOKENS = 64
"""Start and end included; longer texts are cut."""

_BERT_VOCAB_SIZE = 1600


def train_wordpieces(texts: Iterable[str]) -> BertTokenizer:
    """A cased tokenizer of about 1,600 pieces and at most 64 tokens a text.

    Every printable ASCII character is a piece at the start and inside of a word, so that a word in Latin script is
    spelled at worst; other characters that `texts` lack become `[UNK]`, as in any BERT.
    """
    blank = BertTokenizer(do_lower_case=False)
    # BERT's own normalizer and splitting; only the vocabulary is learned.
    backend = blank.backend_tokenizer
    backend.model = WordPiece(unk_token=blank.unk_token)
    trainer = WordPieceTrainer(vocab_size=_BERT_VOCAB_SIZE, min_frequency=8, special_tokens=[], show_progress=False)
    backend.train_from_iterator(texts, trainer)
    learned: dict[str, int] = json.loads(backend.to_str())["model"]["vocab"]
    special = [blank.pad_token, blank.unk_token, blank.cls_token, blank.sep_token, blank.mask_token]
    characters = string.digits + string.ascii_letters + string.punctuation
    pieces = [*special, *characters, *(f"##{c}" for c in characters), *sorted(learned, key=learned.__getitem__)]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    return BertTokenizer(vocab=vocabulary, do_lower_case=False, model_max_length=BERT_MAX_TOKENS)
