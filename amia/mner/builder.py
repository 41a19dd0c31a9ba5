"""A new recognizer from pretrained encoders: what training starts from."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoModel
from transformers.utils import logging as transformers_logging

from amia.errors import ModelError, SettingsError
from amia.hub import fetch_model_folder, silence_libraries, translate_load_errors, weights_identity
from amia.mner.config import LstmConfig, RecognizerConfig
from amia.mner.image_processor import pixel_settings
from amia.mner.layers.text_encoder import pooling
from amia.mner.model import RecognizerModel
from amia.mner.predictor import Recognizer
from amia.mner.settings import EncoderSettings, RecognizerSettings
from amia.mner.systems import system_of
from amia.mner.systems.bilstm_crf import BilstmCrf
from amia.mner.tokenizers import Vocabulary, WordPieces
from amia.mner.word_tokenizer import cut_apart
from amia.mner.word_vectors import WordVectors, read_vectors
from amia.settings import shipped_names

__all__ = ["build_recognizer", "build_word_recognizer", "encoder_identities", "fetch_encoders"]


# MERGED FROM amia.mner.builder: A new recognizer of the LSTM family, with its vocabulary, from the words of a corpus.
def fetch_encoders(system: str, settings: RecognizerSettings, *, local_files_only: bool = False) -> dict[str, Path]:
    """The folders of the encoders that a system starts from, by role; fetched unless they are here."""
    kind = system_of(system)
    wanted: dict[str, EncoderSettings] = {}
    if kind.family == "pieces":
        wanted["text encoder"] = settings.text
    if kind.reads_images:
        wanted["visual encoder"] = settings.visual
    return {
        role: fetch_model_folder(role, each.model, each.revision, local_files_only=local_files_only)
        for role, each in wanted.items()
    }


def encoder_identities(system: str, settings: RecognizerSettings) -> dict[str, str]:
    """What tells the encoders of a system, or its word vectors, from any others, by role."""
    names = {"text encoder": settings.text.model, "visual encoder": settings.visual.model}
    told = {role: weights_identity(names[role], folder) for role, folder in fetch_encoders(system, settings).items()}
    if system_of(system).family == "words" and settings.vectors is not None:
        try:
            with Path(settings.vectors).open("rb") as file:
                told["word vectors"] = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except OSError as error:
            raise ModelError(f"word vectors {settings.vectors} cannot be read: {error}") from error
    return told


def build_recognizer(
    system: str,
    settings: RecognizerSettings,
    types: Sequence[str],
    *,
    training: Iterable[Sequence[str]] = (),
    other: Iterable[Sequence[str]] = (),
) -> tuple[Recognizer, str]:
    """A recognizer with pretrained encoders and new layers for entity types `types`, and a line about its beginning.

    `training` and `other`: the words of training posts and of all others, which say how texts are cut into words and
    what the LSTM family's vocabulary is. New layers come from torch's random state: seed it first. Raises ModelError
    and SettingsError.
    """
    kind = system_of(system)
    training = list(training)
    more: dict[str, Any] = {"crf_constraints": settings.crf_constraints, "cut_apart": cut_apart(training)}
    if settings.dropout is not None:
        more["dropout"] = settings.dropout
    if kind.family == "words":
        vectors = None if settings.vectors is None else Path(settings.vectors)
        model, vocabulary, notice = build_word_recognizer(system, types, training, other, vectors, **more)
        return Recognizer(model, vocabulary), notice
    folders = fetch_encoders(system, settings)
    with (
        silence_libraries(transformers_logging),
        translate_load_errors("encoder", " or ".join(map(str, folders.values()))),
    ):
        text = AutoConfig.from_pretrained(folders["text encoder"], trust_remote_code=False)
        visual = None
        if kind.reads_images:
            visual = AutoConfig.from_pretrained(folders["visual encoder"], trust_remote_code=False)
            if visual.model_type != "resnet":
                raise ModelError(f"visual encoder: {settings.visual.model} is no ResNet but {visual.model_type}")
            more |= {"pixels": pixel_settings(folders["visual encoder"]), "train_visual": settings.train_visual}
        config = RecognizerConfig.of(system, types, text=text, visual=visual, **more)
        model = kind(config)
        _take_over(model, folders)
    reader = WordPieces.load(folders["text encoder"], text.max_position_embeddings)
    return Recognizer(model, reader), f"{system} starts from {_said(folders, settings)}"


def _take_over(model: Any, folders: dict[str, Path]) -> None:
    """Put the pretrained weights where the model has random ones."""
    text = model.text.encoder
    _load(text, "text encoder", folders, **pooling(text.config, model.text.pooled))
    if model.reads_images:
        _load(model.visual.backbone, "visual encoder", folders)


def _load(part: nn.Module, role: str, folders: dict[str, Path], **more: bool) -> None:
    loaded: Any = AutoModel.from_pretrained(
        folders[role],
        dtype=torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
        **more,
    )
    encoder, report = loaded
    lacking = sorted(name for name in report["missing_keys"] if not _dispensable(name))
    if lacking:
        raise ModelError(f"{role}: the weights in {folders[role]} lack {len(lacking)} parts, {lacking[0]} first")
    part.load_state_dict(encoder.state_dict())


def _dispensable(name: str) -> bool:
    """Many encoders are published without a pooler: such a one starts from nothing, as new layers do. How many batches
    a BatchNorm has seen is read by nobody."""
    return name.startswith("pooler.") or name.endswith(".num_batches_tracked")


def _said(folders: dict[str, Path], settings: RecognizerSettings) -> str:
    names = shipped_names({"text encoder": settings.text.model, "visual encoder": settings.visual.model})
    return " and ".join(names[role] for role in folders)


DROPOUT = 0.5
"""Before and behind the LSTM, as published."""


def build_word_recognizer(
    system: str,
    types: Sequence[str],
    training: Iterable[Sequence[str]],
    others: Iterable[Sequence[str]] = (),
    vectors: Path | None = None,
    *,
    sizes: Mapping[str, Any] | None = None,
    **config: Any,
) -> tuple[RecognizerModel, Vocabulary, str]:
    """The model, its vocabulary, and a line that says where its word vectors come from.

    `training` and `others` are the words of posts that are trained on and of those that are not; of the latter, words
    with a pretrained vector are kept. `vectors` is a text file of GloVe or word2vec: words that it lacks start at
    random, and all are trained on. `sizes` are members of `LstmConfig`, `config` those of `RecognizerConfig`. What is
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
    words = LstmConfig.of(shape).to_json()
    model = kind(RecognizerConfig.of(system, types, words=words, **{"dropout": DROPOUT, **config}))
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
