"""A CLIP tokenizer whose byte-pair vocabulary is learned on the world's own text."""

import json
from collections.abc import Iterable
from typing import Any

from tokenizers import pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer

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
