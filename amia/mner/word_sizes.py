"""How large the layers of the LSTM family are: what `RecogniserConfig.words` holds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from amia.errors import ModelError

__all__ = ["WordSizes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WordSizes:
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
            raise ModelError(f"config.json is of no LSTM recogniser: its `words` do not fit ({error})") from None
        return sizes

    def to_json(self) -> dict[str, Any]:
        """What `of` reads."""
        return {**asdict(self), "char_kernels": list(self.char_kernels)}
