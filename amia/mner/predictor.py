"""A whole recognizer: model, reader of words, eyes. What `amia.mner.load(folder)` gives."""

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
from amia.mner.data_collator import in_batches
from amia.mner.features import Example, Feature, Tokenizer, encode_example
from amia.mner.image_processor import saved_pixel_settings
from amia.mner.model import RecognizerModel
from amia.mner.spans import Span, lenient_spans
from amia.mner.systems import system_of
from amia.mner.tokenizers import Vocabulary, WordPieces
from amia.mner.visual_features import DataCollator, FeatureCache, VisualFeatureExtractor
from amia.mner.word_tokenizer import words
from amia.utils.oom import OomSafeBatcher

__all__ = ["Entity", "Recognizer", "TaggedPost"]


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity in a text."""

    text: str
    type: str
    start: int
    """In characters of the text given; `text[start:end]` is the entity."""
    end: int
    score: float
    """Probability, in [0, 1], of these labels at these words."""


@dataclass(frozen=True, slots=True)
class TaggedPost:
    """What came out for one post."""

    id: str
    tags: tuple[str, ...]
    """BIO2, one a word; O for words beyond the encoder's length."""
    spans: tuple[tuple[Span, float], ...]
    """Entities in words, each with its score as in `Entity`."""


class Recognizer:
    """Finds entities in posts. Made by `amia train`, or loaded from its folder."""

    def __init__(self, model: RecognizerModel, reader: Tokenizer) -> None:
        self.model, self.reader = model, reader
        self.halved = 0
        """Posts so far that were tagged in smaller micro-batches than asked, since memory ran out."""

    @classmethod
    def load(cls, folder: str | Path, device: str = "auto") -> Self:
        """The recognizer of a folder. Raises ModelError when there is none, SettingsError for a device not there."""
        folder = Path(folder)
        system = system_of(RecognizerConfig.load(folder).system)
        with silence_libraries(transformers_logging), translate_load_errors("recognizer", str(folder)):
            loaded: Any = system.from_pretrained(folder, use_safetensors=True, output_loading_info=True)
            model, report = loaded
            if lacking := sorted(report["missing_keys"]):
                raise ModelError(f"{folder}: the weights lack {len(lacking)} parts, {lacking[0]} first")
            if system.reads_images:
                model.config.pixels = saved_pixel_settings(model.config.pixels)
            reader: Tokenizer = (
                WordPieces.load(folder, int((model.config.text or {})["max_position_embeddings"]))
                if system.family == "pieces"
                else Vocabulary.load(folder)
            )
        return cls(model.to(resolve_device(device)).eval(), reader)

    def save(self, folder: Path) -> None:
        """Configuration, weights (safetensors) and the reader's files."""
        with silence_libraries(transformers_logging):
            self.model.save_pretrained(folder)
        self.reader.save(folder)

    def batches(self, cache: FeatureCache | None = None, *, decoders: int = 2) -> DataCollator:
        """What turns posts into this recognizer's batches; so many threads decode images."""
        if not self.model.reads_images:
            return DataCollator(self.reader.pad, None)
        config = self.model.config
        seeing = VisualFeatureExtractor(
            self.model.visual, config.pixels or {}, trained=config.train_visual, cache=cache, threads=decoders
        )
        return DataCollator(self.reader.pad, seeing)

    def predict(self, text: str, image: bytes | str | Path | None = None) -> list[Entity]:
        """The entities of one text, in order, with an image's bytes or path beside it, or without.

        Raises ImageError for an image that cannot be read.
        """
        found = words(text, apart=self.model.config.cut_apart)
        if not found:
            return []
        if isinstance(image, str | Path):
            image = read_image(image, ImageSettings())
        if image is not None:
            inspect(image, ImageSettings())
        tagged = self.tag([Example(id="", tokens=tuple(word.text for word in found), image=image)])[0]
        entities: list[Entity] = []
        for span, score in tagged.spans:
            start, end = found[span.start].start, found[span.end - 1].end
            entities.append(Entity(text[start:end], span.type, start, end, score))
        return entities

    def tag(
        self, examples: Sequence[Example], *, batches: DataCollator | None = None, micro_batch: int = 32
    ) -> list[TaggedPost]:
        """Tags and entities of posts, in order.

        Where memory runs out, the same posts are tagged half as many at a time. Raises ClusterError where not even one
        is.
        """
        self.model.eval()
        items = encode_example(examples, self.reader)
        eyes = batches or self.batches()
        lengths = [item.text.length for item in items]
        places = [place for some in in_batches(lengths, micro_batch, seed=None) for place in some]
        passes = OomSafeBatcher(micro_batch)
        tagged = passes.run(
            lambda some: self._tagged([examples[place] for place in some], [items[place] for place in some], eyes),
            places,
        )
        self.halved += passes.split
        done = dict(zip(places, tagged, strict=True))
        return [done[place] for place in range(len(items))]

    @torch.inference_mode()
    def _tagged(self, examples: Sequence[Example], items: Sequence[Feature], batches: DataCollator) -> list[TaggedPost]:
        batch = batches.of(items).to(self.model.device)
        batch.labels = None
        emissions, mask = self.model(batch).emissions, batch.words_mask
        names = self.model.config.labels
        paths = self.model.decoder.decode(emissions, mask)
        spans = [lenient_spans([names[label] for label in path]) for path in paths]
        labeled = [
            [(span.start, tuple(path[span.start : span.end])) for span in found]
            for path, found in zip(paths, spans, strict=True)
        ]
        scores = self.model.decoder.span_scores(emissions, mask, labeled)
        return [
            TaggedPost(
                example.id,
                tuple(names[label] for label in path) + ("O",) * (len(example.tokens) - len(path)),
                tuple(zip(found, scored, strict=True)),
            )
            for example, path, found, scored in zip(examples, paths, spans, scores, strict=True)
        ]
