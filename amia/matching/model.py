"""The matching model: mixture, bank and how they were made, so that any post can be scored in the same way later."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from amia.errors import IdentityError, MixtureError
from amia.matching.bank import Bank
from amia.matching.gmm_fit import MixtureFit
from amia.matching.triplet import TripletSettings

__all__ = [
    "BANK_FILE",
    "MIXTURE_FILE",
    "MatchingModel",
    "fit_groups",
    "newest_files",
    "renewed_files",
    "triplet_identity",
]

MIXTURE_FILE = "mixture.json"
BANK_FILE = "bank.safetensors"

_FORMAT = "amia-mixture-1"
_ALL = "all"
_RENEWED = re.compile(r"mixture-r(\d+)\.json")


@dataclass(frozen=True, eq=False)
class MatchingModel:
    """Everything besides the post that theta of a post depends on."""

    fits: Mapping[str, MixtureFit]
    """Named as in `fit_groups`: one fit for all splits, or one for each split."""
    bank: Bank
    """The negatives."""
    encoder: Mapping[str, str]
    """`ClipEncoder.identity()` of the encoder of the bank and of the posts in the fit."""
    triplet: TripletSettings
    """Settings of the losses."""
    cosine_range: tuple[float, float] | None = None
    """Smallest and largest cosine of the training posts: the scale of the arm `cosine-minmax`."""
    fitted_bank: str | None = None
    """SHA-256 of the bank that the losses of the fit were computed with, if some of its posts were replaced since."""

    @property
    def digest(self) -> str:
        """SHA-256 of the frozen mixture, which does not change if posts of the bank are replaced."""
        return hashlib.sha256(_to_json(self._describe())).hexdigest()

    @property
    def bank_digest(self) -> str:
        """SHA-256 of the bank that the losses of the fit were computed with."""
        return self.fitted_bank or hashlib.sha256(self.bank.to_bytes()).hexdigest()

    def has_mixture(self, split: str) -> bool:
        """Check whether there is a mixture for the posts of a split."""
        return split in self.fits or len(self.fits) == 1

    def theta(self, losses: NDArray[np.floating[Any]], split: str) -> NDArray[np.float64]:
        """Compute theta `[n]` of posts of one split.

        Raises MixtureError if there is one mixture for each split, but none for this one.
        """
        if split in self.fits:
            return self.fits[split].mixture.theta(losses)
        if not self.has_mixture(split):
            raise MixtureError(f"no mixture was fitted for split {split!r}; there are {', '.join(self.fits)}")
        (fit,) = self.fits.values()
        return fit.mixture.theta(losses)

    def check(self, encoder: Mapping[str, str], triplet: TripletSettings) -> None:
        """Raise IdentityError, naming both values, if losses come from another encoder or from other settings."""
        expected = {**self.encoder, **triplet_identity(self.triplet)}
        actual = {**encoder, **triplet_identity(triplet)}
        differing = [name for name in sorted(expected | actual) if expected.get(name) != actual.get(name)]
        if differing:
            lines = (
                f"  {name}: {expected.get(name, '-')} in the mixture, {actual.get(name, '-')} here"
                for name in differing
            )
            raise IdentityError("the mixture was fitted on losses of another kind:\n" + "\n".join(lines))

    def to_bytes(self) -> dict[str, bytes]:
        """Return the contents of the two files by name, `mixture.json` and `bank.safetensors`."""
        bank, data = self.bank.to_bytes(), self._describe()
        if self.fitted_bank is not None:
            data["renewed_bank"] = hashlib.sha256(bank).hexdigest()
        return {MIXTURE_FILE: _to_json(data), BANK_FILE: bank}

    def _describe(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "fits": {name: fit.to_json() for name, fit in self.fits.items()},
            "encoder": dict(self.encoder),
            "triplet": self.triplet.model_dump(),
            "bank": self.bank_digest,
            "cosine_range": self.cosine_range,
        }

    @classmethod
    def from_bytes(cls, mixture: bytes, bank: bytes, *, where: str = MIXTURE_FILE) -> Self:
        """Restore the output of `to_bytes`. Raises MixtureError, naming `where`, for any other data."""
        try:
            data = json.loads(mixture)
            if data["format"] != _FORMAT:
                raise ValueError(f"format {data['format']!r}")
            fits = {str(name): MixtureFit.from_json(fit) for name, fit in data["fits"].items()}
            if not fits:
                raise ValueError("no fit")
            encoder = {str(name): str(value) for name, value in data["encoder"].items()}
            triplet = TripletSettings.model_validate(data["triplet"])
            fitted_bank = data["bank"] if "renewed_bank" in data else None
            digest = data.get("renewed_bank", data["bank"])
            limits = data["cosine_range"]
            cosine_range = None if limits is None else (float(limits[0]), float(limits[1]))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, MixtureError) as error:
            raise MixtureError(f"{where} is not a mixture written by amia: {error}") from error
        if hashlib.sha256(bank).hexdigest() != digest:
            raise MixtureError(f"{where} and the bank next to it do not belong together: their hashes differ")
        read = Bank.from_bytes(bank, where=f"{BANK_FILE} next to {where}")
        return cls(fits, read, encoder, triplet, cosine_range, fitted_bank)

    def save(self, folder: Path) -> None:
        """Write both files into `folder`, creating it if it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.to_bytes().items():
            (folder / name).write_bytes(data)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read both files from a folder, or from the folder of a `mixture.json`. Raises MixtureError."""
        folder = path if path.is_dir() else path.parent
        try:
            mixture_name, bank_name = newest_files(file.name for file in folder.iterdir())
            mixture_file = path if path.is_file() and path.name != MIXTURE_FILE else folder / mixture_name
            bank_file = folder / bank_name
            return cls.from_bytes(mixture_file.read_bytes(), bank_file.read_bytes(), where=str(mixture_file))
        except OSError as error:
            raise MixtureError(f"{error.filename}: cannot read a fitted mixture: {error.strerror}") from error


def fit_groups(fit_on: Literal["train", "per_split", "joint"], splits: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the mixtures to fit, by name, each with the splits whose losses it is fitted on.

    `splits` are those that hold posts with an image. `train` fits on train alone, or on everything if no post is in
    train. The name of a mixture is a split's name, or `all`.
    """
    if fit_on == "per_split":
        return {split: (split,) for split in splits}
    if fit_on == "train" and "train" in splits:
        return {"train": ("train",)}
    return {_ALL: tuple(splits)}


def newest_files(names: Iterable[str], before: int | None = None) -> tuple[str, str]:
    """Return the names of the mixture and the bank among the files of a folder: those after the last renewal.

    `before`: after the last one before the renewal with this number.
    """
    numbers = [int(match[1]) for name in names if (match := _RENEWED.fullmatch(name))]
    generations = [number for number in numbers if before is None or number < before]
    return renewed_files(max(generations)) if generations else (MIXTURE_FILE, BANK_FILE)


def renewed_files(generation: int) -> tuple[str, str]:
    """Return the names of mixture and bank after posts of the bank were replaced. The bank is written first."""
    return f"mixture-r{generation}.json", f"bank-r{generation}.safetensors"


def triplet_identity(settings: TripletSettings) -> dict[str, str]:
    """Return the settings that losses depend on: those of the chosen kind of negatives, without the bank size.

    The bank itself is part of the matching model.
    """
    sampling = {"hardest_of": settings.hardest_of} if settings.negatives == "expected" else {"batch": settings.batch}
    identity = {"negatives": settings.negatives, "margin": settings.margin, **sampling}
    return {name: str(value) for name, value in identity.items()}


def _to_json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, indent=2).encode() + b"\n"
