"""`Recognizer`, a model with its tokenizer and image preprocessing: the class that `amia.mner.load(folder)` returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from transformers.utils import logging as transformers_logging

from amia.accelerator import resolve_device
from amia.errors import ModelError
from amia.hub import silence_libraries, translate_load_errors
from amia.images import ImageSettings, inspect, read_image
from amia.mner.config import RecognizerConfig
from amia.mner.data_collator import DataCollator, length_grouped_batches
from amia.mner.features import Example, Feature, Tokenizer, encode_examples
from amia.mner.image_processor import validate_pixel_settings
from amia.mner.model import RecognizerModel
from amia.mner.spans import Span, lenient_spans
from amia.mner.systems import get_system
from amia.mner.tokenizers import Vocabulary, WordPieceTokenizer
from amia.mner.visual_features import FeatureCache, VisualFeatureExtractor
from amia.mner.word_tokenizer import split_words
from amia.utils.oom import OomSafeBatcher

__all__ = ["Entity", "Recognizer", "TaggedPost"]


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity in a text."""

    text: str
    type: str
    start: int
    """Character offset; `text[start:end]` of the input is the entity."""
    end: int
    score: float
    """Probability, in [0, 1], that the model assigns to the labels of these words."""


@dataclass(frozen=True, slots=True)
class TaggedPost:
    """Predictions for one post."""

    id: str
    tags: tuple[str, ...]
    """BIO2, one per word; O for words beyond the encoder's length."""
    spans: tuple[tuple[Span, float], ...]
    """Entities with word offsets, each with its score as in `Entity`."""


class Recognizer:
    """Finds entities in posts. Created by `amia train`, or loaded from its folder."""

    def __init__(self, model: RecognizerModel, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.num_oom_reduced = 0
        """Number of posts so far that were tagged in smaller micro-batches than requested, since memory ran out."""

    @classmethod
    def load(cls, folder: str | Path, device: str = "auto") -> Self:
        """Load a folder. Raises ModelError if it holds no recognizer, SettingsError if the device does not exist."""
        folder = Path(folder)
        system = get_system(RecognizerConfig.load(folder).system)
        with silence_libraries(transformers_logging), translate_load_errors("recognizer", str(folder)):
            loaded: Any = system.from_pretrained(folder, use_safetensors=True, output_loading_info=True)
            model, loading_info = loaded
            if missing := sorted(loading_info["missing_keys"]):
                raise ModelError(f"{folder}: the weights lack {len(missing)} tensors, the first is {missing[0]}")
            if system.reads_images:
                model.config.pixels = validate_pixel_settings(model.config.pixels)
            tokenizer: Tokenizer = (
                WordPieceTokenizer.load(folder, int((model.config.text or {})["max_position_embeddings"]))
                if system.input_unit == "subwords"
                else Vocabulary.load(folder)
            )
        return cls(model.to(resolve_device(device)).eval(), tokenizer)

    def save(self, folder: Path) -> None:
        """Write configuration, weights (safetensors) and the tokenizer's files."""
        with silence_libraries(transformers_logging):
            self.model.save_pretrained(folder)
        self.tokenizer.save(folder)

    def make_collator(self, cache: FeatureCache | None = None, *, decode_threads: int = 2) -> DataCollator:
        """Return the collator that converts features to this recognizer's batches."""
        if not self.model.reads_images:
            return DataCollator(self.tokenizer.pad_id, None)
        config = self.model.config
        visual_features = VisualFeatureExtractor(
            self.model.visual, config.pixels or {}, trained=config.train_visual, cache=cache, threads=decode_threads
        )
        return DataCollator(self.tokenizer.pad_id, visual_features)

    def predict(self, text: str, image: bytes | str | Path | None = None) -> list[Entity]:
        """Find the entities of one text, in order, optionally with an image (its bytes or path).

        Raises ImageError if the image cannot be read.
        """
        words = split_words(text, split_signs=self.model.config.cut_apart)
        if not words:
            return []
        if isinstance(image, str | Path):
            image = read_image(image, ImageSettings())
        if image is not None:
            inspect(image, ImageSettings())
        tagged = self.tag([Example(id="", tokens=tuple(word.text for word in words), image=image)])[0]
        entities: list[Entity] = []
        for span, score in tagged.spans:
            start, end = words[span.start].start, words[span.end - 1].end
            entities.append(Entity(text[start:end], span.type, start, end, score))
        return entities

    def tag(
        self, examples: Sequence[Example], *, collator: DataCollator | None = None, micro_batch: int = 32
    ) -> list[TaggedPost]:
        """Predict tags and entities of posts, in order.

        If memory runs out, the micro-batch is halved. Raises ClusterError if not even one post fits.
        """
        self.model.eval()
        features = encode_examples(examples, self.tokenizer)
        collator = collator or self.make_collator()
        lengths = [feature.encoded.length for feature in features]
        order = [index for batch in length_grouped_batches(lengths, micro_batch, seed=None) for index in batch]
        batcher = OomSafeBatcher(micro_batch)
        tagged = batcher.run(
            lambda indices: self._tag_batch(
                [examples[index] for index in indices], [features[index] for index in indices], collator
            ),
            order,
        )
        self.num_oom_reduced += batcher.num_reduced
        by_index = dict(zip(order, tagged, strict=True))
        return [by_index[index] for index in range(len(features))]

    @torch.inference_mode()
    def _tag_batch(
        self, examples: Sequence[Example], features: Sequence[Feature], collator: DataCollator
    ) -> list[TaggedPost]:
        batch = collator(features).to(self.model.device)
        batch.labels = None
        emissions, mask = self.model(batch).emissions, batch.word_mask
        labels = self.model.config.labels
        paths = self.model.decoder.decode(emissions, mask)
        spans = [lenient_spans([labels[label_id] for label_id in path]) for path in paths]
        labeled_spans = [
            [(span.start, tuple(path[span.start : span.end])) for span in post_spans]
            for path, post_spans in zip(paths, spans, strict=True)
        ]
        scores = self.model.decoder.span_scores(emissions, mask, labeled_spans)
        return [
            TaggedPost(
                example.id,
                tuple(labels[label_id] for label_id in path) + ("O",) * (len(example.tokens) - len(path)),
                tuple(zip(post_spans, post_scores, strict=True)),
            )
            for example, path, post_spans, post_scores in zip(examples, paths, spans, scores, strict=True)
        ]
