"""What a saved recognizer is: its system, its labels, and the shapes of its encoders."""

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


# MERGED FROM amia.mner.config: How large the layers of the LSTM family are: what `RecognizerConfig.words` holds.
class RecognizerConfig(PreTrainedConfig):
    """The `config.json` of a recognizer's folder. Labels stand in `id2label`, as everywhere at Hugging Face."""

    model_type = "amia-recognizer"

    system: str = "bert-crf"
    """Name in the registry, `amia.mner.systems`."""
    text: dict[str, Any] | None = None
    """Configuration of the text encoder (BERT family), with its `model_type`."""
    visual: dict[str, Any] | None = None
    """Configuration of the ResNet; None: the system reads no image."""
    cut_apart: bool = False
    """Whether the training posts' words had `@`, `#` and apostrophes cut off, and a new text is to be cut likewise."""
    train_visual: bool = False
    """Whether the ResNet learns too; a frozen one computes each image's features once."""
    pixels: dict[str, Any] | None = None
    """`side`, `mean` and `std` of what the ResNet reads."""
    words: dict[str, Any] | None = None
    """Sizes of word and character embeddings (LSTM family)."""
    crf_constraints: bool = True
    """Whether the CRF knows that BIO2 allows no `I-X` after anything but `B-X` and `I-X`."""
    dropout: float = 0.1
    """Of the hidden states that leave the encoder."""
    initializer_range: float = 0.02
    """Standard deviation of new layers' weights."""

    @classmethod
    def of(
        cls,
        system: str,
        types: Sequence[str] = TYPES,
        *,
        text: PreTrainedConfig | None = None,
        visual: PreTrainedConfig | None = None,
        words: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> "RecognizerConfig":
        """The configuration of a new recognizer over entity types `types`."""
        names = label_names(types)
        return cls(
            system=system,
            text=None if text is None else text.to_dict(),
            visual=None if visual is None else visual.to_dict(),
            words=None if words is None else dict(words),
            id2label=dict(enumerate(names)),
            label2id={name: number for number, name in enumerate(names)},
            **more,
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The configuration in a recognizer's folder. Raises ModelError when there is none, or of another model."""
        file = folder / "config.json"
        if not file.is_file():
            raise ModelError(f"{folder} holds no recognizer (no config.json): `amia train` makes one")
        check_model_folder("recognizer", folder)
        with silence_libraries(transformers_logging), translate_load_errors("recognizer", str(folder)):
            kind = json.loads(file.read_text(encoding="utf-8")).get("model_type")
            if kind != cls.model_type:
                raise ModelError(f"{folder} holds a {kind or 'nameless'} model, not a recognizer of `amia train`")
            config = cls.from_pretrained(folder)
            named: dict[Any, Any] = config.id2label or {}
            if sorted(named) != list(range(len(named))) or not all(isinstance(name, str) for name in named.values()):
                raise ModelError(f"{folder}: its labels are not names numbered from 0 on")
            return config

    @property
    def labels(self) -> list[str]:
        """BIO2 labels in the order of their numbers."""
        names: dict[Any, str] = self.id2label or {}
        return [names[number] for number in range(len(names))]

    @property
    def types(self) -> list[str]:
        """Entity types, in the order of their labels."""
        return [name[2:] for name in self.labels if name.startswith("B-")]


@dataclass(frozen=True, slots=True, kw_only=True)
class LstmConfig:
    """The defaults are those of the public CNN-BiLSTM-CRF for Twitter posts."""

    words: int
    """Numbers of the vocabulary, 0 (padding) and 1 (unknown) included."""
    rare: int
    """The first number of a word that training posts hold at most once; those below are more frequent."""
    characters: int
    """Numbers of the characters, 0 (padding) and 1 (unknown) included."""
    word_width: int = 200
    char_width: int = 30
    hidden: int = 100
    """States of the words' LSTM, a direction."""
    char_filters: int = 32
    """Filters of each kernel of the characters' CNN."""
    char_kernels: tuple[int, ...] = (2, 3, 4)
    """Characters that a filter sees."""
    char_inner: int = 100
    """Between the CNN's filters and its output."""
    char_output: int = 50
    """What the CNN says of a word."""
    char_hidden: int = 25
    """States of the characters' LSTM, a direction."""
    forget: float = 0.5
    """Probability, in training, that a rare word is read as the unknown one."""

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> Self:
        """From what a configuration holds. Raises ModelError when sizes are missing or unknown."""
        try:
            sizes = cls(**(given or {}))
        except TypeError as error:
            raise ModelError(f"config.json is of no LSTM recognizer: its `words` do not fit ({error})") from None
        return sizes

    def to_json(self) -> dict[str, Any]:
        """What `of` reads."""
        return {**asdict(self), "char_kernels": list(self.char_kernels)}
