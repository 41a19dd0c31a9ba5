"""Multimodal named entity recognizers.

>>> import amia.mner
>>> recognizer = amia.mner.load("runs/tweets/models/umt")  # doctest: +SKIP
>>> recognizer.predict("Blue skies over Kyoto", "kyoto.jpg")  # doctest: +SKIP
[Entity(text='Kyoto', type='LOC', start=16, end=21, score=0.98)]
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amia.mner.predictor import Recognizer

__all__ = ["load"]


def load(folder: str | Path, device: str = "auto") -> "Recognizer":
    """Load the recognizer from a folder that `amia train` wrote; its `predict(text, image)` finds entities.

    `device`: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`. Raises ModelError if the folder holds no
    recognizer, SettingsError if the device does not exist.
    """
    # Imported here because it imports torch, which reading the settings does not need.
    from amia.mner.predictor import Recognizer

    return Recognizer.load(folder, device)
