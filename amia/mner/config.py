"""What a saved recogniser is: its system, its labels, and the shapes of its encoders."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from transformers import PreTrainedConfig
from transformers.utils import logging as transformers_logging

from amia.errors import ModelError
from amia.mner.labels import TYPES, label_names
from amia.hub_safety import check_model_folder
from amia.hub import loading, quiet

__all__ = ["RecogniserConfig"]


class RecogniserConfig(PreTrainedConfig):
    """The `config.json` of a recogniser's folder. Labels stand in `id2label`, as everywhere at Hugging Face."""

    model_type = "amia-recogniser"

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
    ) -> "RecogniserConfig":
        """The configuration of a new recogniser over entity types `types`."""
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
        """The configuration in a recogniser's folder. Raises ModelError when there is none, or of another model."""
        file = folder / "config.json"
        if not file.is_file():
            raise ModelError(f"{folder} holds no recogniser (no config.json): `amia train` makes one")
        check_model_folder("recogniser", folder)
        with quiet(transformers_logging), loading("recogniser", str(folder)):
            kind = json.loads(file.read_text(encoding="utf-8")).get("model_type")
            if kind != cls.model_type:
                raise ModelError(f"{folder} holds a {kind or 'nameless'} model, not a recogniser of `amia train`")
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
