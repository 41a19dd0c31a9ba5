"""Builds the recognizer that training starts from: pretrained encoders or word vectors, and new layers."""

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
from amia.hub import fetch_model, silence_libraries, translate_load_errors, weights_identity
from amia.mner.config import LstmConfig, RecognizerConfig
from amia.mner.image_processor import load_pixel_settings
from amia.mner.layers.text_encoder import pooler_kwargs
from amia.mner.model import RecognizerModel
from amia.mner.predictor import Recognizer
from amia.mner.settings import EncoderSettings, RecognizerSettings
from amia.mner.systems import get_system
from amia.mner.systems.bilstm_crf import BilstmCrf
from amia.mner.tokenizers import Vocabulary, WordPieceTokenizer
from amia.mner.word_tokenizer import has_split_signs
from amia.mner.word_vectors import WordVectors, read_word_vectors

__all__ = ["build_recognizer", "build_word_recognizer", "encoder_identities", "fetch_encoders"]

LSTM_DROPOUT = 0.5
"""Dropout before and after the LSTM, as published."""


def fetch_encoders(system: str, settings: RecognizerSettings, *, local_files_only: bool = False) -> dict[str, Path]:
    """Return the folders of a system's pretrained encoders by role, downloading them if necessary."""
    system_class = get_system(system)
    encoders: dict[str, EncoderSettings] = {}
    if system_class.input_unit == "subwords":
        encoders["text encoder"] = settings.text
    if system_class.reads_images:
        encoders["visual encoder"] = settings.visual
    return {
        role: fetch_model(role, encoder.model, encoder.revision, local_files_only=local_files_only)
        for role, encoder in encoders.items()
    }


def encoder_identities(system: str, settings: RecognizerSettings) -> dict[str, str]:
    """Return the identity of each pretrained encoder of a system, and of its word vectors, by role."""
    identities = {
        role: weights_identity(_model_name(role, settings), folder)
        for role, folder in fetch_encoders(system, settings).items()
    }
    if get_system(system).input_unit == "words" and settings.vectors is not None:
        try:
            with Path(settings.vectors).open("rb") as file:
                identities["word vectors"] = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except OSError as error:
            raise ModelError(f"cannot read the word vectors {settings.vectors}: {error}") from error
    return identities


def build_recognizer(
    system: str,
    settings: RecognizerSettings,
    types: Sequence[str],
    *,
    training: Iterable[Sequence[str]] = (),
    other: Iterable[Sequence[str]] = (),
) -> tuple[Recognizer, str]:
    """Build a recognizer for the entity types `types`, and a log line about its initialization.

    `training` and `other` are the words of the training posts and of all other posts. They determine how new texts are
    split into words, and the vocabulary of the LSTM family. New layers are initialized from torch's random state: seed
    it first. Raises ModelError if an encoder cannot be loaded, SettingsError for an unknown system.
    """
    system_class = get_system(system)
    training = list(training)
    kwargs: dict[str, Any] = {"crf_constraints": settings.crf_constraints, "cut_apart": has_split_signs(training)}
    if settings.dropout is not None:
        kwargs["dropout"] = settings.dropout
    if system_class.input_unit == "words":
        vectors = None if settings.vectors is None else Path(settings.vectors)
        model, vocabulary, notice = build_word_recognizer(system, types, training, other, vectors, **kwargs)
        return Recognizer(model, vocabulary), notice
    folders = fetch_encoders(system, settings)
    with (
        silence_libraries(transformers_logging),
        translate_load_errors("encoder", " or ".join(map(str, folders.values()))),
    ):
        text = AutoConfig.from_pretrained(folders["text encoder"], trust_remote_code=False)
        visual = None
        if system_class.reads_images:
            visual = AutoConfig.from_pretrained(folders["visual encoder"], trust_remote_code=False)
            if visual.model_type != "resnet":
                raise ModelError(f"visual encoder: {settings.visual.model} is not a ResNet but {visual.model_type}")
            kwargs |= {"pixels": load_pixel_settings(folders["visual encoder"]), "train_visual": settings.train_visual}
        model = system_class(RecognizerConfig.create(system, types, text=text, visual=visual, **kwargs))
        _load_pretrained_weights(model, folders)
    tokenizer = WordPieceTokenizer.load(folders["text encoder"], text.max_position_embeddings)
    sources = " and ".join(_model_name(role, settings) for role in folders)
    return Recognizer(model, tokenizer), f"{system} starts from {sources}"


def build_word_recognizer(
    system: str,
    types: Sequence[str],
    training: Iterable[Sequence[str]],
    other: Iterable[Sequence[str]] = (),
    vectors: Path | None = None,
    *,
    sizes: Mapping[str, Any] | None = None,
    **config: Any,
) -> tuple[RecognizerModel, Vocabulary, str]:
    """Build a model of the LSTM family, its vocabulary, and a log line about the source of its word vectors.

    `training` and `other` are the words of posts that are trained on and of those that are not; of the latter, words
    with a pretrained vector are kept. `vectors` is a text file of GloVe or word2vec: missing words are initialized
    randomly, and all vectors are trained. `sizes` are fields of `LstmConfig`, `config` those of `RecognizerConfig`.
    Random values come from torch's generator.

    Raises ModelError if the file cannot be read; SettingsError if its vectors have another width than `sizes` requires,
    or `system` is not of this family.
    """
    system_class = get_system(system)
    if not issubclass(system_class, BilstmCrf):
        raise SettingsError(f"{system} reads word pieces, not words: it starts from a pretrained text encoder")
    counts = Counter(word for tokens in training for word in tokens)
    other_words = {word for tokens in other for word in tokens}
    pretrained = None if vectors is None else read_word_vectors(vectors, _with_lowercase({*counts, *other_words}))
    vocabulary = Vocabulary.build(counts, other_words, pretrained.rows.keys() if pretrained else ())
    all_sizes = {
        **(sizes or {}),
        "words": vocabulary.first_id + len(vocabulary.words),
        "characters": vocabulary.first_id + len(vocabulary.characters),
        "rare": vocabulary.first_id + sum(count > 1 for count in counts.values()),
    }
    if pretrained and all_sizes.setdefault("word_width", pretrained.width) != pretrained.width:
        raise SettingsError(f"{vectors} has vectors of width {pretrained.width}, not {all_sizes['word_width']}")
    words = LstmConfig.from_dict(all_sizes).to_dict()
    model = system_class(RecognizerConfig.create(system, types, words=words, **{"dropout": LSTM_DROPOUT, **config}))
    total = f"{len(vocabulary.words):,} words"
    if pretrained is None:
        return model, vocabulary, f"{system} starts from random vectors of all {total}: no word vectors were given"
    covered = _copy_word_vectors(pretrained, vocabulary, model.words.embed)
    return model, vocabulary, f"{system} starts from {vectors}: vectors of {covered:,} of {total}, the others random"


def _model_name(role: str, settings: RecognizerSettings) -> str:
    return {"text encoder": settings.text.model, "visual encoder": settings.visual.model}[role]


def _load_pretrained_weights(model: Any, folders: dict[str, Path]) -> None:
    """Replace the random weights of the encoders by the pretrained ones."""
    text_encoder = model.text.encoder
    _load_weights(text_encoder, "text encoder", folders, **pooler_kwargs(text_encoder.config, model.text.pooled))
    if model.reads_images:
        _load_weights(model.visual.backbone, "visual encoder", folders)


def _load_weights(module: nn.Module, role: str, folders: dict[str, Path], **kwargs: bool) -> None:
    loaded: Any = AutoModel.from_pretrained(
        folders[role],
        dtype=torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
        **kwargs,
    )
    encoder, loading_info = loaded
    missing = sorted(name for name in loading_info["missing_keys"] if not _is_optional(name))
    if missing:
        raise ModelError(
            f"{role}: the weights in {folders[role]} lack {len(missing)} tensors, the first is {missing[0]}"
        )
    module.load_state_dict(encoder.state_dict())


def _is_optional(name: str) -> bool:
    """Check whether a tensor may be missing.

    Many encoders are published without a pooler, which is then initialized like a new layer. The number of batches that
    a BatchNorm has seen is never used.
    """
    return name.startswith("pooler.") or name.endswith(".num_batches_tracked")


def _with_lowercase(words: Iterable[str]) -> set[str]:
    """Return the words and their lower-cased forms."""
    return {form for word in words for form in (word, word.lower())}


@torch.no_grad()
def _copy_word_vectors(pretrained: WordVectors, vocabulary: Vocabulary, embed: nn.Embedding) -> int:
    """Copy pretrained vectors to the rows of an embedding; returns the number of words that have one."""
    vectors = {vocabulary.word_id(word): row for word in vocabulary.words if (row := pretrained.get(word)) is not None}
    if vectors:
        embed.weight[list(vectors)] = torch.from_numpy(np.stack(list(vectors.values())))
    return len(vectors)
