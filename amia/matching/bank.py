"""Embedded posts, and the bank: the fixed posts whose texts and images are everyone's negatives."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from amia.errors import MixtureError

__all__ = ["Bank", "Embeddings", "Keys", "image_key", "text_key"]

Keys = NDArray[np.bytes_]
"""`[n]` digests of 16 bytes, dtype `S16`."""

_FORMAT = "amia-bank-1"

Key = TypeVar("Key", str, bytes)


def text_key(text: str) -> bytes:
    """16 bytes that are equal for equal clean texts."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def image_key(data: bytes) -> bytes:
    """16 bytes that are equal for equal image files."""
    return hashlib.blake2b(data, digest_size=16).digest()


@dataclass(frozen=True, eq=False)
class Embeddings:
    """n posts that have an image, as CLIP sees them. Raises MixtureError when the arrays disagree."""

    ids: Sequence[str]
    """`[n]` ids, so that no post is its own negative."""
    texts: NDArray[np.floating[Any]]
    """`[n, d]` text embeddings T_s, float16 or float32."""
    images: NDArray[np.floating[Any]]
    """`[n, d]` image embeddings I_s, float16 or float32."""
    text_keys: Keys
    """`[n]` `text_key` of each clean text: an equal text is no negative."""
    image_keys: Keys
    """`[n]` `image_key` of each image: an equal image is no negative."""

    def __post_init__(self) -> None:
        n = len(self.ids)
        shapes = {self.texts.shape, self.images.shape}
        if len(shapes) != 1 or self.texts.ndim != 2 or self.texts.shape[0] != n:
            raise MixtureError(
                f"{n} posts, but text and image embeddings of shape {self.texts.shape}, {self.images.shape}"
            )
        if self.text_keys.shape != (n,) or self.image_keys.shape != (n,):
            raise MixtureError(
                f"{n} posts, but {self.text_keys.shape} text keys and {self.image_keys.shape} image keys"
            )

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def unit_texts(self) -> NDArray[np.float32]:
        """T_s / |T_s| `[n, d]`. Raises MixtureError, naming the post, when a vector is zero or not finite."""
        return self._units(self.texts)

    @cached_property
    def unit_images(self) -> NDArray[np.float32]:
        """I_s / |I_s| `[n, d]`. Raises as `unit_texts`."""
        return self._units(self.images)

    @cached_property
    def places(self) -> tuple[dict[str, list[int]], dict[bytes, list[int]], dict[bytes, list[int]]]:
        """The rows that each id, each text key and each image key stands at."""
        return _places(self.ids), _places(self.text_keys.tolist()), _places(self.image_keys.tolist())

    def _units(self, vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        # Eqs. 2, 3, 5 and 6 divide by the norms; float16 storage moves them a little from 1.
        wide = vectors.astype(np.float32)
        norms = np.sqrt(np.einsum("nd,nd->n", wide, wide))
        bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
        if bad.size:
            raise MixtureError(f"post {self.ids[int(bad[0])]!r}: its embedding is zero or not finite")
        return np.asarray(wide / norms[:, None], np.float32)

    def select(self, rows: Sequence[int] | NDArray[np.integer[Any]]) -> Self:
        """The posts at `rows`, in that order."""
        rows = np.asarray(rows, np.intp)
        return type(self)(
            ids=[self.ids[row] for row in rows],
            texts=self.texts[rows],
            images=self.images[rows],
            text_keys=self.text_keys[rows],
            image_keys=self.image_keys[rows],
        )


class Bank(Embeddings):
    """M training posts that serve as negatives, the same ones for every post: so a loss depends on nothing else."""

    @classmethod
    def of(cls, parts: Sequence[Embeddings], size: int) -> Self:
        """The first `size` posts of `parts`, one part after the other. Raises MixtureError when there is no post."""
        parts = [part for part in parts if len(part)]
        if not parts:
            raise MixtureError("a bank needs posts with an image, and there is none")
        return cls(
            ids=[post_id for part in parts for post_id in part.ids][:size],
            texts=np.concatenate([part.texts for part in parts])[:size],
            images=np.concatenate([part.images for part in parts])[:size],
            text_keys=np.concatenate([part.text_keys for part in parts])[:size],
            image_keys=np.concatenate([part.image_keys for part in parts])[:size],
        )

    def to_bytes(self) -> bytes:
        """The bank as a safetensors file; the same bank always gives the same bytes."""
        ids = json.dumps(list(self.ids), ensure_ascii=True).encode()
        tensors = {
            "ids": np.frombuffer(ids, np.uint8),
            "texts": np.ascontiguousarray(self.texts),
            "images": np.ascontiguousarray(self.images),
            "text_keys": _digests(self.text_keys),
            "image_keys": _digests(self.image_keys),
        }
        return safetensors.numpy.save(tensors, metadata={"format": _FORMAT})

    @classmethod
    def from_bytes(cls, data: bytes, *, where: str = "bank") -> Self:
        """The bank that `to_bytes` wrote. Raises MixtureError, naming `where`, for anything else."""
        try:
            tensors = safetensors.numpy.load(data)
            ids = json.loads(tensors["ids"].tobytes())
            return cls(
                ids=[str(post_id) for post_id in ids],
                texts=tensors["texts"],
                images=tensors["images"],
                text_keys=_keys(tensors["text_keys"]),
                image_keys=_keys(tensors["image_keys"]),
            )
        except (safetensors.SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
            raise MixtureError(f"{where} is not a bank of negatives written by amia: {error}") from error

    def save(self, path: Path) -> None:
        """Write the bank to one file."""
        path.write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a bank from one file. Raises MixtureError when it is missing or foreign."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise MixtureError(f"{path}: no bank of negatives can be read here: {error.strerror}") from error
        return cls.from_bytes(data, where=str(path))


def _places(keys: Sequence[Key]) -> dict[Key, list[int]]:
    places: dict[Key, list[int]] = {}
    for row, key in enumerate(keys):
        places.setdefault(key, []).append(row)
    return places


def _digests(keys: Keys) -> NDArray[np.uint8]:
    return np.frombuffer(keys.tobytes(), np.uint8).reshape(len(keys), 16)  # S16 keeps trailing zero bytes in memory


def _keys(digests: NDArray[np.uint8]) -> Keys:
    return np.ascontiguousarray(digests).view("S16").reshape(-1)
