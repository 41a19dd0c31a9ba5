"""The frozen measure: mixture, bank and what they were made with, so that any post can be scored the same way later."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from amia.errors import IdentityError, MixtureError
from amia.matching.bank import Bank
from amia.matching.gmm_fit import Fit
from amia.matching.triplet import TripletSettings

__all__ = ["BANK_FILE", "MIXTURE_FILE", "MatchingModel", "fit_groups"]

MIXTURE_FILE = "mixture.json"
BANK_FILE = "bank.safetensors"

_FORMAT = "amia-mixture-1"
_ALL = "all"


def fit_groups(fit_on: Literal["train", "per_split", "joint"], splits: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Which mixtures to fit, and on the losses of which of `splits` (those that hold posts with an image).

    `train` fits on train alone, or on everything when no post is train. The key is the name of the mixture: a split's
    name, or `all`.
    """
    if fit_on == "per_split":
        return {split: (split,) for split in splits}
    if fit_on == "train" and "train" in splits:
        return {"train": ("train",)}
    return {_ALL: tuple(splits)}


@dataclass(frozen=True, eq=False)
class MatchingModel:
    """Everything that theta of a post depends on, besides the post."""

    fits: Mapping[str, Fit]
    """By name as in `fit_groups`: one for all splits, or one a split."""
    bank: Bank
    """The negatives."""
    encoder: Mapping[str, str]
    """`ClipEncoder.identity()` of the encoder that made the bank and the losses."""
    triplet: TripletSettings
    """How the losses were made."""
    cosine_range: tuple[float, float] | None = None
    """Smallest and largest cosine of the training posts: the scale of the arm `cosine-minmax`."""

    def theta(self, losses: NDArray[np.floating[Any]], split: str) -> NDArray[np.float64]:
        """theta `[n]` of posts of one split. Raises MixtureError when there is one mixture a split, and none for it."""
        if split in self.fits:
            return self.fits[split].mixture.theta(losses)
        if len(self.fits) > 1:
            raise MixtureError(f"no mixture was fitted for split {split!r}; there are {', '.join(self.fits)}")
        (fit,) = self.fits.values()
        return fit.mixture.theta(losses)

    def check(self, encoder: Mapping[str, str], triplet: TripletSettings) -> None:
        """Raises IdentityError, naming both sides, when losses come from another encoder or are made otherwise."""
        theirs = {**self.encoder, **triplet_identity(self.triplet)}
        ours = {**encoder, **triplet_identity(triplet)}
        differing = [name for name in sorted(theirs | ours) if theirs.get(name) != ours.get(name)]
        if differing:
            lines = (
                f"  {name}: {theirs.get(name, '-')} in the mixture, {ours.get(name, '-')} here" for name in differing
            )
            raise IdentityError("the frozen mixture belongs to other losses:\n" + "\n".join(lines))

    def to_bytes(self) -> dict[str, bytes]:
        """The two files by name, `mixture.json` and `bank.safetensors`."""
        bank = self.bank.to_bytes()
        about = {
            "format": _FORMAT,
            "fits": {name: fit.to_json() for name, fit in self.fits.items()},
            "encoder": dict(self.encoder),
            "triplet": self.triplet.model_dump(),
            "bank": hashlib.sha256(bank).hexdigest(),
            "cosine_range": self.cosine_range,
        }
        return {MIXTURE_FILE: json.dumps(about, indent=2).encode() + b"\n", BANK_FILE: bank}

    @classmethod
    def from_bytes(cls, about: bytes, bank: bytes, *, where: str = MIXTURE_FILE) -> Self:
        """What `to_bytes` gave. Raises MixtureError, naming `where`, for anything else."""
        try:
            data = json.loads(about)
            if data["format"] != _FORMAT:
                raise ValueError(f"format {data['format']!r}")
            fits = {str(name): Fit.from_json(fit) for name, fit in data["fits"].items()}
            if not fits:
                raise ValueError("no fit")
            encoder = {str(name): str(value) for name, value in data["encoder"].items()}
            triplet = TripletSettings.model_validate(data["triplet"])
            digest = data["bank"]
            ends = data["cosine_range"]
            cosine_range = None if ends is None else (float(ends[0]), float(ends[1]))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, MixtureError) as error:
            raise MixtureError(f"{where} is no mixture written by amia: {error}") from error
        if hashlib.sha256(bank).hexdigest() != digest:
            raise MixtureError(f"{where} and the bank beside it do not belong together")
        return cls(fits, Bank.from_bytes(bank, where=f"{BANK_FILE} beside {where}"), encoder, triplet, cosine_range)

    def save(self, folder: Path) -> None:
        """Write both files into `folder`, made if missing."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.to_bytes().items():
            (folder / name).write_bytes(data)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read both files from a folder, or from where a `mixture.json` lies. Raises MixtureError."""
        about = path / MIXTURE_FILE if path.is_dir() else path
        try:
            return cls.from_bytes(about.read_bytes(), (about.parent / BANK_FILE).read_bytes(), where=str(about))
        except OSError as error:
            raise MixtureError(f"{error.filename}: no frozen mixture can be read here: {error.strerror}") from error


def triplet_identity(settings: TripletSettings) -> dict[str, str]:
    """What losses depend on: the settings that the chosen kind of negatives reads (the bank is part of the mixture)."""
    kind = {"hardest_of": settings.hardest_of} if settings.negatives == "expected" else {"batch": settings.batch}
    named = {"negatives": settings.negatives, "margin": settings.margin, **kind}
    return {name: str(value) for name, value in named.items()}
