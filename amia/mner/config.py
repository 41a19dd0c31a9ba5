"""Configuration of a saved recognizer: its system, its labels, and the shapes of its encoders."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from transformers import PreTrainedConfig
from transformers.utils import logging as transformers_logging

from amia.errors import ModelError
from amia.hub import silence_libraries, translate_load_errors
from amia.hub_safety import check_model_folder
from amia.mner.spans import TYPES, label_names

__all__ = ["LstmConfig", "RecognizerConfig"]

OLD_MODEL_TYPES = ("amia-recogniser",)
"""Values of `model_type` in folders that earlier versions saved."""


class RecognizerConfig(PreTrainedConfig):
    """The `config.json` of a recognizer's folder. Labels are in `id2label`, as usual at Hugging Face."""

    model_type = "amia-recognizer"

    system: str = "bert-crf"
    """Name in the registry, `amia.mner.systems`."""
    text: dict[str, Any] | None = None
    """Configuration of the text encoder (BERT family), with its `model_type`."""
    visual: dict[str, Any] | None = None
    """Configuration of the ResNet. None: the system reads no images."""
    cut_apart: bool = False
    """Whether `@`, `#` and apostrophes are tokens in the training posts, so that new texts are split the same way."""
    train_visual: bool = False
    """Whether the ResNet is trained too. A frozen one computes each image's features once."""
    pixels: dict[str, Any] | None = None
    """`side`, `mean` and `std` of the ResNet's input."""
    words: dict[str, Any] | None = None
    """Sizes of the layers of the LSTM family: the fields of `LstmConfig`."""
    crf_constraints: bool = True
    """Whether the CRF enforces BIO2: `I-X` only after `B-X` or `I-X`."""
    dropout: float = 0.1
    """Dropout probability of the encoder's output states."""
    initializer_range: float = 0.02
    """Standard deviation of the weights of new layers."""

    @classmethod
    def create(
        cls,
        system: str,
        types: Sequence[str] = TYPES,
        *,
        text: PreTrainedConfig | None = None,
        visual: PreTrainedConfig | None = None,
        words: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> "RecognizerConfig":
        """Return the configuration of a new recognizer for the entity types `types`."""
        labels = label_names(types)
        return cls(
            system=system,
            text=None if text is None else text.to_dict(),
            visual=None if visual is None else visual.to_dict(),
            words=None if words is None else dict(words),
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
            **kwargs,
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load the configuration in a recognizer's folder. Raises ModelError if it is missing or of another model."""
        file = folder / "config.json"
        if not file.is_file():
            raise ModelError(f"{folder} holds no recognizer (no config.json): create one with `amia train`")
        check_model_folder("recognizer", folder)
        with silence_libraries(transformers_logging), translate_load_errors("recognizer", str(folder)):
            model_type = json.loads(file.read_text(encoding="utf-8")).get("model_type")
            if model_type not in (cls.model_type, *OLD_MODEL_TYPES):
                raise ModelError(
                    f"{folder} holds a model of type {model_type or 'unknown'}, not a recognizer of `amia train`"
                )
            config = cls.from_pretrained(folder)
            id2label: dict[Any, Any] = config.id2label or {}
            if sorted(id2label) != list(range(len(id2label))) or not all(
                isinstance(label, str) for label in id2label.values()
            ):
                raise ModelError(f"{folder}: the labels in config.json are not names numbered from 0")
            return config

    @property
    def labels(self) -> list[str]:
        """BIO2 labels in the order of their ids."""
        id2label: dict[Any, str] = self.id2label or {}
        return [id2label[index] for index in range(len(id2label))]

    @property
    def types(self) -> list[str]:
        """Entity types in the order of their labels."""
        return [label[2:] for label in self.labels if label.startswith("B-")]


@dataclass(frozen=True, slots=True, kw_only=True)
class LstmConfig:
    """Sizes of the layers of the LSTM family; `RecognizerConfig.words` holds them.

    The defaults are those of the public CNN-BiLSTM-CRF for Twitter posts.
    """

    words: int
    """Size of the word vocabulary, including 0 (padding) and 1 (unknown)."""
    rare: int
    """First id of the words that occur at most once in the training posts; smaller ids are more frequent words."""
    characters: int
    """Size of the character vocabulary, including 0 (padding) and 1 (unknown)."""
    word_width: int = 200
    char_width: int = 30
    hidden: int = 100
    """Hidden size of the word LSTM, per direction."""
    char_filters: int = 32
    """Filters per kernel size of the character CNN."""
    char_kernels: tuple[int, ...] = (2, 3, 4)
    """Kernel sizes of the character CNN, in characters."""
    char_inner: int = 100
    """Width of the layer between the CNN's filters and its output."""
    char_output: int = 50
    """Output width of the character CNN."""
    char_hidden: int = 25
    """Hidden size of the character LSTM, per direction."""
    forget: float = 0.5
    """Probability, in training, that a rare word is replaced by the unknown word."""

    @classmethod
    def from_dict(cls, sizes: Mapping[str, Any] | None) -> Self:
        """Create it from `RecognizerConfig.words`. Raises ModelError if sizes are missing or unknown."""
        try:
            config = cls(**(sizes or {}))
        except TypeError as error:
            raise ModelError(f"config.json is not of an LSTM recognizer: invalid `words` ({error})") from None
        return config

    def to_dict(self) -> dict[str, Any]:
        """Return the input of `from_dict`, ready for JSON."""
        return {**asdict(self), "char_kernels": list(self.char_kernels)}
