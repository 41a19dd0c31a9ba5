"""Recognizers of entities in posts.

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
    """The recognizer of a folder that `amia train` made; its `predict(text, image)` finds entities.

    `device`: `auto` (a GPU when there is one), `cpu`, `cuda` or `cuda:N`. Raises ModelError when the folder holds no
    recognizer, SettingsError for a device that is not there.
    """
    # Loading a recognizer means loading torch, which reading settings can do without.
    from amia.mner.predictor import Recognizer

    return Recognizer.load(folder, device)
