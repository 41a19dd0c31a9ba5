"""Words to word pieces, as the tokenizer of a BERT-like encoder cuts them."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from amia.errors import ModelError
from amia.hub import silence_libraries, translate_load_errors
from amia.mner.features import EncodedPost

__all__ = ["UNKNOWN", "Vocabulary", "WordPieces"]

# MERGED FROM amia.mner.tokenizers: Words and characters by number: what the LSTM family reads of a post.
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
        with silence_libraries(transformers_logging), translate_load_errors("tokenizer", str(folder)):
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

    def encode(self, id: str, tokens: Sequence[str], labels: Sequence[int] | None = None) -> EncodedPost:
        """Pieces with [CLS] and [SEP]; what exceeds the encoder's length is cut off, words and all."""
        pieces, first = [self._begin], list[int]()
        for word in self._tokenizer(list(tokens), add_special_tokens=False)["input_ids"]:
            if len(pieces) >= self._longest - 1:
                break
            first.append(len(pieces))
            pieces += word or [self._unknown]
        pieces = [*pieces[: self._longest - 1], self._end]
        return EncodedPost(
            id=id, labels=None if labels is None else tuple(labels), pieces=tuple(pieces), first=tuple(first)
        )

    def _only(self, number: int | None, name: str) -> int:
        if number is None:
            raise ModelError(f"the tokenizer has no {name}: take a text encoder of BERT's kind")
        return number


UNKNOWN = 1
"""Number of whatever is in no list; 0 is padding."""

FILE = "vocabulary.json"
MAX_WORD_CHARS = 30
"""Characters of a word that are read, its first ones, as in public code for Twitter posts."""


class Vocabulary:
    """Numbers from 2 on for `words` and `characters`, in their order.

    Words keep their case. One that is not listed has the number of its lower-cased form, else that of unknown words.
    """

    pad = 0
    first = UNKNOWN + 1
    """Number of the first word, and of the first character."""

    def __init__(self, words: Sequence[str], characters: Sequence[str]) -> None:
        self.words, self.characters = tuple(words), tuple(characters)
        self._words = {word: number for number, word in enumerate(self.words, self.first)}
        self._characters = {character: number for number, character in enumerate(self.characters, self.first)}

    @classmethod
    def of(cls, counts: Mapping[str, int], others: Iterable[str] = (), known: Collection[str] = ()) -> Self:
        """From how often training posts hold each word.

        `others` are words of posts that are not trained on, `known` those that have a pretrained vector. Words of
        training come first, the most frequent ones foremost. Of the others, those with a vector are kept (as they
        stand, else lower-cased), since a vector says something of a word that was never trained on; public code numbers
        the words of all splits, with a vector or without. No label of these posts is looked at.

        Characters are those of training posts, but for what occurs once: that stands for what is unknown.
        """
        words = sorted(counts, key=lambda word: (-counts[word], word))
        unseen = {form for word in others if (form := _known(word, known)) is not None} - counts.keys()
        characters = Counter[str]()
        for word, count in counts.items():
            for character in word:
                characters[character] += count
        return cls([*words, *sorted(unseen)], sorted(each for each, count in characters.items() if count > 1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote. Raises ModelError when there is none, or it is something else."""
        file = folder / FILE
        try:
            saved = json.loads(file.read_bytes())
            words, characters = saved["words"], saved["characters"]
            if not all(isinstance(each, str) for each in [*words, *characters]):
                raise TypeError("a word is no text")
        except OSError as error:
            raise ModelError(f"no vocabulary can be read from {file}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(f"{file} is no vocabulary written by amia ({error})") from error
        return cls(words, characters)

    def save(self, folder: Path) -> None:
        """One file, `vocabulary.json`."""
        listed = {"words": self.words, "characters": self.characters}
        (folder / FILE).write_text(json.dumps(listed), encoding="utf-8")

    def encode(self, id: str, tokens: Sequence[str], labels: Sequence[int] | None = None) -> EncodedPost:
        """Numbers of words and of their characters. An empty word is unknown, with one unknown character."""
        return EncodedPost(
            id=id,
            labels=None if labels is None else tuple(labels),
            words=tuple(self.number(word) for word in tokens),
            chars=tuple(
                tuple(self._characters.get(character, UNKNOWN) for character in word[:MAX_WORD_CHARS]) or (UNKNOWN,)
                for word in tokens
            ),
        )

    def number(self, word: str) -> int:
        """Of the word, else of its lower-cased form, else `UNKNOWN`."""
        return self._words.get(word) or self._words.get(word.lower(), UNKNOWN)


def _known(word: str, known: Collection[str]) -> str | None:
    return next((form for form in (word, word.lower()) if form in known), None)
