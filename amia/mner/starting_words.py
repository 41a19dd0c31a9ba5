"""A new recogniser of the LSTM family, with its vocabulary, from the words of a corpus."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from amia.errors import SettingsError
from amia.mner.config import RecogniserConfig
from amia.mner.model import RecogniserModel
from amia.mner.systems import system_of
from amia.mner.systems.bilstm_crf import BilstmCrf
from amia.mner.vectors import WordVectors, read_vectors
from amia.mner.vocabulary import Vocabulary
from amia.mner.word_sizes import WordSizes

__all__ = ["new_word_recogniser"]

DROPOUT = 0.5
"""Before and behind the LSTM, as published."""


def new_word_recogniser(
    system: str,
    types: Sequence[str],
    training: Iterable[Sequence[str]],
    others: Iterable[Sequence[str]] = (),
    vectors: Path | None = None,
    *,
    sizes: Mapping[str, Any] | None = None,
    **config: Any,
) -> tuple[RecogniserModel, Vocabulary, str]:
    """The model, its vocabulary, and a line that says where its word vectors come from.

    `training` and `others` are the words of posts that are trained on and of those that are not; of the latter, words
    with a pretrained vector are kept. `vectors` is a text file of GloVe or word2vec: words that it lacks start at
    random, and all are trained on. `sizes` are members of `WordSizes`, `config` those of `RecogniserConfig`. What is
    random comes from torch's generator.

    Raises ModelError when the file cannot be read; SettingsError when its vectors have another width than `sizes` asks
    for, or `system` is not of this family.
    """
    kind = system_of(system)
    if not issubclass(kind, BilstmCrf):
        raise SettingsError(f"{system} reads word pieces, not words: it starts from a pretrained text encoder")
    counts = Counter(word for tokens in training for word in tokens)
    unseen = {word for tokens in others for word in tokens}
    pretrained = None if vectors is None else read_vectors(vectors, _forms({*counts, *unseen}))
    vocabulary = Vocabulary.of(counts, unseen, pretrained.rows.keys() if pretrained else ())
    shape = {
        **(sizes or {}),
        "words": vocabulary.first + len(vocabulary.words),
        "characters": vocabulary.first + len(vocabulary.characters),
        "rare": vocabulary.first + sum(count > 1 for count in counts.values()),
    }
    if pretrained and shape.setdefault("word_width", pretrained.width) != pretrained.width:
        raise SettingsError(f"{vectors} has vectors of width {pretrained.width}, not {shape['word_width']}")
    words = WordSizes.of(shape).to_json()
    model = kind(RecogniserConfig.of(system, types, words=words, **{"dropout": DROPOUT, **config}))
    total = f"{len(vocabulary.words):,} words"
    if pretrained is None:
        return model, vocabulary, f"{system} starts from random vectors of all {total}: no word vectors were given"
    covered = _put(pretrained, vocabulary, model.words.embed)
    return model, vocabulary, f"{system} starts from {vectors}: vectors of {covered:,} of {total}, the others random"


def _forms(words: Iterable[str]) -> set[str]:
    """All that a word may be listed as: as it stands, and lower-cased."""
    return {form for word in words for form in (word, word.lower())}


@torch.no_grad()
def _put(pretrained: WordVectors, vocabulary: Vocabulary, embed: nn.Embedding) -> int:
    """Gives words their vectors; how many got one."""
    found = {vocabulary.number(word): row for word in vocabulary.words if (row := pretrained.of(word)) is not None}
    if found:
        embed.weight[list(found)] = torch.from_numpy(np.stack(list(found.values())))
    return len(found)
