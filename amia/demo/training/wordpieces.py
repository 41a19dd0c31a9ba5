"""A BERT tokenizer whose WordPiece vocabulary is learned on the world's own text."""

import json
import string
from collections.abc import Iterable

from tokenizers.models import WordPiece
from tokenizers.trainers import WordPieceTrainer
from transformers import BertTokenizer

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
