"""Tokenizers: words to the subwords of a BERT-like encoder, or to ids of words and characters for the LSTM family."""

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

__all__ = ["UNKNOWN_ID", "Vocabulary", "WordPieceTokenizer"]

MAX_SUBWORDS = 128
"""As in all published systems: no post of the public corpora loses an entity to it."""
UNKNOWN_ID = 1
"""Id of words and characters that are not in the vocabulary; 0 is padding."""
VOCABULARY_FILE = "vocabulary.json"
MAX_WORD_CHARS = 30
"""Only the first characters of a word are read, as in public code for Twitter posts."""


class WordPieceTokenizer:
    """Splits each word on its own. A word that the tokenizer drops (a lone U+FE0F) becomes [UNK], so none is lost."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_positions: int = MAX_SUBWORDS) -> None:
        self._tokenizer: Any = tokenizer
        self.pad_id = self._require_id(self._tokenizer.pad_token_id, "[PAD]")
        self._cls_id = self._require_id(self._tokenizer.cls_token_id, "[CLS]")
        self._sep_id = self._require_id(self._tokenizer.sep_token_id, "[SEP]")
        self._unk_id = self._require_id(self._tokenizer.unk_token_id, "[UNK]")
        self._max_length = min(MAX_SUBWORDS, max_positions, self._tokenizer.model_max_length)

    @classmethod
    def load(cls, folder: Path, max_positions: int) -> Self:
        """Load a folder's tokenizer for an encoder with `max_positions` positions.

        Raises ModelError if there is none, or if it lacks BERT's special tokens.
        """
        with silence_libraries(transformers_logging), translate_load_errors("tokenizer", str(folder)):
            hf_tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            # transformers makes up an empty tokenizer for a folder that holds only an encoder.
            if len(hf_tokenizer) <= len(hf_tokenizer.all_special_ids):
                raise ModelError(f"{folder} holds no vocabulary: put the tokenizer's files beside the encoder's")
            tokenizer = cls(hf_tokenizer, max_positions)
            tokenizer.encode("", ["amia"])  # a broken vocabulary only fails when it is used
            return tokenizer

    def save(self, folder: Path) -> None:
        """Write the Hugging Face tokenizer's files."""
        self._tokenizer.save_pretrained(folder)

    def encode(self, id: str, tokens: Sequence[str], labels: Sequence[int] | None = None) -> EncodedPost:
        """Convert words to subword ids with [CLS] and [SEP], truncated to the encoder's length."""
        input_ids, first_subwords = [self._cls_id], list[int]()
        for subwords in self._tokenizer(list(tokens), add_special_tokens=False)["input_ids"]:
            if len(input_ids) >= self._max_length - 1:
                break
            first_subwords.append(len(input_ids))
            input_ids += subwords or [self._unk_id]
        input_ids = [*input_ids[: self._max_length - 1], self._sep_id]
        return EncodedPost(
            id=id,
            labels=None if labels is None else tuple(labels),
            input_ids=tuple(input_ids),
            first_subwords=tuple(first_subwords),
        )

    def _require_id(self, token_id: int | None, name: str) -> int:
        if token_id is None:
            raise ModelError(f"the tokenizer has no {name} token: use a text encoder of the BERT family")
        return token_id


class Vocabulary:
    """Ids from 2 on for `words` and `characters`, in their order.

    Words keep their case. A word that is not listed gets the id of its lower-cased form, or else `UNKNOWN_ID`.
    """

    pad_id = 0
    first_id = UNKNOWN_ID + 1
    """Id of the first word, and of the first character."""

    def __init__(self, words: Sequence[str], characters: Sequence[str]) -> None:
        self.words, self.characters = tuple(words), tuple(characters)
        self._word_ids = {word: index for index, word in enumerate(self.words, self.first_id)}
        self._char_ids = {character: index for index, character in enumerate(self.characters, self.first_id)}

    @classmethod
    def build(
        cls, counts: Mapping[str, int], other_words: Iterable[str] = (), pretrained: Collection[str] = ()
    ) -> Self:
        """Build a vocabulary from the word frequencies `counts` of the training posts.

        `other_words` are words of posts that are not trained on, `pretrained` the words that have a pretrained vector.
        Training words come first, the most frequent ones before the others. Of the other words, those with a vector
        are kept (as written, else lower-cased), since a vector is informative without training; public code lists the
        words of all splits, with a vector or without. No label of these posts is used.

        Characters are those of the training posts, except those that occur only once: they train the unknown one.
        """
        words = sorted(counts, key=lambda word: (-counts[word], word))
        other_forms = {
            form for word in other_words if (form := _pretrained_form(word, pretrained)) is not None
        } - counts.keys()
        char_counts = Counter[str]()
        for word, count in counts.items():
            for character in word:
                char_counts[character] += count
        characters = sorted(character for character, count in char_counts.items() if count > 1)
        return cls([*words, *sorted(other_forms)], characters)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load the file that `save` wrote. Raises ModelError if it is missing or invalid."""
        file = folder / VOCABULARY_FILE
        try:
            content = json.loads(file.read_bytes())
            words, characters = content["words"], content["characters"]
            if not all(isinstance(entry, str) for entry in [*words, *characters]):
                raise TypeError("an entry is not a string")
        except OSError as error:
            raise ModelError(f"cannot read the vocabulary {file}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(f"{file} is not a vocabulary written by amia ({error})") from error
        return cls(words, characters)

    def save(self, folder: Path) -> None:
        """Write `vocabulary.json`."""
        content = {"words": self.words, "characters": self.characters}
        (folder / VOCABULARY_FILE).write_text(json.dumps(content), encoding="utf-8")

    def encode(self, id: str, tokens: Sequence[str], labels: Sequence[int] | None = None) -> EncodedPost:
        """Convert words to ids of words and characters. An empty word is unknown, with one unknown character."""
        return EncodedPost(
            id=id,
            labels=None if labels is None else tuple(labels),
            word_ids=tuple(self.word_id(word) for word in tokens),
            char_ids=tuple(
                tuple(self._char_ids.get(character, UNKNOWN_ID) for character in word[:MAX_WORD_CHARS]) or (UNKNOWN_ID,)
                for word in tokens
            ),
        )

    def word_id(self, word: str) -> int:
        """Return the id of the word, else of its lower-cased form, else `UNKNOWN_ID`."""
        return self._word_ids.get(word) or self._word_ids.get(word.lower(), UNKNOWN_ID)


def _pretrained_form(word: str, pretrained: Collection[str]) -> str | None:
    return next((form for form in (word, word.lower()) if form in pretrained), None)
