"""Tokenizers of the tiny CLIP (byte-pair encoding) and BERT (WordPiece), trained on the text of the demo world."""

import json
import string
from collections.abc import Iterable
from typing import Any

from tokenizers import pre_tokenizers
from tokenizers.models import BPE, WordPiece
from tokenizers.trainers import BpeTrainer, WordPieceTrainer
from transformers import BertTokenizer, CLIPTokenizer

CLIP_MAX_TOKENS = 40
"""Including start and end; longer texts are truncated."""
BERT_MAX_TOKENS = 64
"""Including start and end; longer texts are truncated."""

_START, _END, _UNKNOWN = "<|startoftext|>", "<|endoftext|>", "<|unknown|>"
_SUFFIX = "</w>"
_CLIP_VOCAB_SIZE = 5000
_BERT_VOCAB_SIZE = 1600


def train_clip_tokenizer(texts: Iterable[str]) -> CLIPTokenizer:
    """Train a tokenizer of about 5,000 entries and at most 40 tokens per text.

    As in CLIP, start and end are the last two entries and the end token is the padding token. The unknown token is a
    separate entry: if it were the end token, a text would be pooled at its first unknown character.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    # Normalizer and pre-tokenizer are those of CLIP; only the vocabulary is trained.
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


def train_bert_tokenizer(texts: Iterable[str]) -> BertTokenizer:
    """Train a cased tokenizer of about 1,600 entries and at most 64 tokens per text.

    Every printable ASCII character is a piece, at the start and inside of a word, so that any word in Latin script can
    be tokenized. Other characters that `texts` lack become `[UNK]`, as in any BERT.
    """
    untrained = BertTokenizer(do_lower_case=False)
    # Normalizer and pre-tokenizer are those of BERT; only the vocabulary is trained.
    backend = untrained.backend_tokenizer
    backend.model = WordPiece(unk_token=untrained.unk_token)
    trainer = WordPieceTrainer(vocab_size=_BERT_VOCAB_SIZE, min_frequency=8, special_tokens=[], show_progress=False)
    backend.train_from_iterator(texts, trainer)
    learned: dict[str, int] = json.loads(backend.to_str())["model"]["vocab"]
    special = [
        untrained.pad_token,
        untrained.unk_token,
        untrained.cls_token,
        untrained.sep_token,
        untrained.mask_token,
    ]
    characters = string.digits + string.ascii_letters + string.punctuation
    pieces = [*special, *characters, *(f"##{c}" for c in characters), *sorted(learned, key=learned.__getitem__)]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    return BertTokenizer(vocab=vocabulary, do_lower_case=False, model_max_length=BERT_MAX_TOKENS)
