"""Embeddings of posts, and the bank: a fixed set of posts whose texts and images are the negatives of every post."""

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


@dataclass(frozen=True, eq=False)
class Embeddings:
    """CLIP embeddings of n posts that have an image. Raises MixtureError if the shapes of the arrays disagree."""

    ids: Sequence[str]
    """`[n]` ids. A post is never its own negative."""
    texts: NDArray[np.floating[Any]]
    """`[n, d]` text embeddings T_s, float16 or float32."""
    images: NDArray[np.floating[Any]]
    """`[n, d]` image embeddings I_s, float16 or float32."""
    text_keys: Keys
    """`[n]` `text_key` of each clean text. A post with an equal text is not a negative."""
    image_keys: Keys
    """`[n]` `image_key` of each image. A post with an equal image is not a negative."""

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
        """T_s / |T_s| `[n, d]`. Raises MixtureError, naming the post, if a vector is zero or not finite."""
        return self._normalize(self.texts)

    @cached_property
    def unit_images(self) -> NDArray[np.float32]:
        """I_s / |I_s| `[n, d]`. Raises MixtureError, naming the post, if a vector is zero or not finite."""
        return self._normalize(self.images)

    @cached_property
    def row_index(self) -> tuple[dict[str, list[int]], dict[bytes, list[int]], dict[bytes, list[int]]]:
        """Three dictionaries: the rows of each id, of each text key and of each image key."""
        return _index_rows(self.ids), _index_rows(self.text_keys.tolist()), _index_rows(self.image_keys.tolist())

    def select(self, rows: Sequence[int] | NDArray[np.integer[Any]]) -> Self:
        """Return the posts at `rows`, in that order."""
        rows = np.asarray(rows, np.intp)
        return type(self)(
            ids=[self.ids[row] for row in rows],
            texts=self.texts[rows],
            images=self.images[rows],
            text_keys=self.text_keys[rows],
            image_keys=self.image_keys[rows],
        )

    def _normalize(self, vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        # Eqs. 2, 3, 5 and 6 divide by the norms. Storage in float16 moves the norms slightly away from 1.
        wide = vectors.astype(np.float32)
        norms = np.sqrt(np.einsum("nd,nd->n", wide, wide))
        invalid = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
        if invalid.size:
            raise MixtureError(f"post {self.ids[int(invalid[0])]!r}: its embedding is zero or not finite")
        return np.asarray(wide / norms[:, None], np.float32)


class Bank(Embeddings):
    """M training posts that serve as negatives for every post, so that a loss does not depend on a batch."""

    @classmethod
    def of(cls, parts: Sequence[Embeddings], size: int) -> Self:
        """Return the first `size` posts of the concatenated `parts`. Raises MixtureError if there are no posts."""
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
        """Serialize the bank as a safetensors file. Equal banks give equal bytes."""
        ids = json.dumps(list(self.ids), ensure_ascii=True).encode()
        tensors = {
            "ids": np.frombuffer(ids, np.uint8),
            "texts": np.ascontiguousarray(self.texts),
            "images": np.ascontiguousarray(self.images),
            "text_keys": _keys_to_bytes(self.text_keys),
            "image_keys": _keys_to_bytes(self.image_keys),
        }
        return safetensors.numpy.save(tensors, metadata={"format": _FORMAT})

    @classmethod
    def from_bytes(cls, data: bytes, *, where: str = "bank") -> Self:
        """Read the output of `to_bytes`. Raises MixtureError, naming `where`, for any other data."""
        try:
            tensors = safetensors.numpy.load(data)
            ids = json.loads(tensors["ids"].tobytes())
            return cls(
                ids=[str(post_id) for post_id in ids],
                texts=tensors["texts"],
                images=tensors["images"],
                text_keys=_keys_from_bytes(tensors["text_keys"]),
                image_keys=_keys_from_bytes(tensors["image_keys"]),
            )
        except (safetensors.SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
            raise MixtureError(f"{where} is not a bank of negatives written by amia: {error}") from error

    def save(self, path: Path) -> None:
        """Write the bank to the file `path`."""
        path.write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a bank from the file `path`. Raises MixtureError if the file is missing or is not a bank."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise MixtureError(f"{path}: cannot read a bank of negatives: {error.strerror}") from error
        return cls.from_bytes(data, where=str(path))


def text_key(text: str) -> bytes:
    """Return a digest of 16 bytes that is equal for equal clean texts."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def image_key(data: bytes) -> bytes:
    """Return a digest of 16 bytes that is equal for equal image files."""
    return hashlib.blake2b(data, digest_size=16).digest()


def _index_rows(keys: Sequence[Key]) -> dict[Key, list[int]]:
    index: dict[Key, list[int]] = {}
    for row, key in enumerate(keys):
        index.setdefault(key, []).append(row)
    return index


def _keys_to_bytes(keys: Keys) -> NDArray[np.uint8]:
    return np.frombuffer(keys.tobytes(), np.uint8).reshape(len(keys), 16)  # S16 keeps trailing zero bytes in memory


def _keys_from_bytes(digests: NDArray[np.uint8]) -> Keys:
    return np.ascontiguousarray(digests).view("S16").reshape(-1)
