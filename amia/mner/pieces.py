"""Words to word pieces, as the tokenizer of a BERT-like encoder cuts them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from amia.errors import ModelError
from amia.mner.encoded import Encoded
from amia.hub import loading, quiet

__all__ = ["WordPieces"]

MAX_PIECES = 128
"""Pieces, as in all published systems: no post of the public corpora loses an entity to it."""


class WordPieces:
    """Cuts each word by itself; a word that the tokenizer drops (a lone U+FE0F) becomes [UNK], so none is lost."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, positions: int = MAX_PIECES) -> None:
        self._tokenizer: Any = tokenizer
        self.pad: int = self._only(self._tokenizer.pad_token_id, "[PAD]")
        self._begin = self._only(self._tokenizer.cls_token_id, "[CLS]")
        self._end = self._only(self._tokenizer.sep_token_id, "[SEP]")
        self._unknown = self._only(self._tokenizer.unk_token_id, "[UNK]")
        self._longest = min(MAX_PIECES, positions, self._tokenizer.model_max_length)

    @classmethod
    def load(cls, folder: Path, positions: int) -> Self:
        """The tokenizer of a folder, for an encoder that knows so many positions.

        Raises ModelError when there is none, or it is not of BERT's kind.
        """
        with quiet(transformers_logging), loading("tokenizer", str(folder)):
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            # Where a folder holds an encoder alone, one that knows no word at all is made up for it.
            if len(tokenizer) <= len(tokenizer.all_special_ids):
                raise ModelError(f"{folder} holds no vocabulary: put the tokenizer's files beside the encoder's")
            pieces = cls(tokenizer, positions)
            pieces.encode("", ["amia"])  # a broken vocabulary shows when it is used
            return pieces

    def save(self, folder: Path) -> None:
        """The tokenizer's own files."""
        self._tokenizer.save_pretrained(folder)

    def encode(self, id: str, tokens: Sequence[str], labels: Sequence[int] | None = None) -> Encoded:
        """Pieces with [CLS] and [SEP]; what exceeds the encoder's length is cut off, words and all."""
        pieces, first = [self._begin], list[int]()
        for word in self._tokenizer(list(tokens), add_special_tokens=False)["input_ids"]:
            if len(pieces) >= self._longest - 1:
                break
            first.append(len(pieces))
            pieces += word or [self._unknown]
        pieces = [*pieces[: self._longest - 1], self._end]
        return Encoded(
            id=id, labels=None if labels is None else tuple(labels), pieces=tuple(pieces), first=tuple(first)
        )

    def _only(self, number: int | None, name: str) -> int:
        if number is None:
            raise ModelError(f"the tokenizer has no {name}: take a text encoder of BERT's kind")
        return number
