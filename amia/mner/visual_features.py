"""Images as a batch carries them: features of a frozen backbone, or pixels for one that is trained."""

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from amia.errors import ImageError
from amia.mner.image_processor import preprocess_image
from amia.mner.layers.visual_encoder import NUM_REGIONS, VisualEncoder

__all__ = ["FeatureCache", "VisualFeatureExtractor", "VisualFeatures"]

BACKBONE_BATCH = 32
"""Images per forward pass of the backbone."""
KEYS_PER_QUERY = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class VisualFeatures:
    """Features or pixels of B images; zeros for an image that is missing or cannot be read."""

    has_image: Tensor
    """bool [B]: True for an image that could be read."""
    pixel_values: Tensor | None = None
    """float [B, 3, side, side], if the backbone is trained."""
    regions: Tensor | None = None
    """float [B, 49, C], if it is frozen."""
    pooled: Tensor | None = None
    """float [B, C], if it is frozen."""


class VisualFeatureExtractor:
    """Computes the visual input of a recognizer.

    `trained`: the backbone is trained, so the result holds pixels instead of features. With a `cache`, a frozen
    backbone computes each image's features once instead of once per epoch. `threads` decode images.
    """

    def __init__(
        self,
        visual_encoder: VisualEncoder,
        pixel_settings: dict[str, Any],
        *,
        trained: bool = False,
        cache: "FeatureCache | None" = None,
        threads: int = 2,
    ) -> None:
        self._visual_encoder, self._pixel_settings = visual_encoder, pixel_settings
        self._trained, self._cache = trained, cache
        self._pool = ThreadPoolExecutor(threads, "decode")

    def __call__(self, images: Sequence[bytes | None]) -> VisualFeatures:
        """Decode images and compute their features, or return their pixels."""
        return self._get_pixels(images) if self._trained else self._get_features(images)

    def _get_pixels(self, images: Sequence[bytes | None]) -> VisualFeatures:
        side = self._pixel_settings["side"]
        pixel_values = torch.zeros(len(images), 3, side, side)
        has_image = torch.zeros(len(images), dtype=torch.bool)
        for row, pixels in enumerate(self._pool.map(self._preprocess, images)):
            if pixels is not None:
                pixel_values[row], has_image[row] = torch.from_numpy(pixels), True
        return VisualFeatures(has_image=has_image, pixel_values=pixel_values)

    def _get_features(self, images: Sequence[bytes | None]) -> VisualFeatures:
        width = self._visual_encoder.width
        keys = [None if image is None else hashlib.sha256(image).hexdigest() for image in images]
        unique_keys = dict.fromkeys(key for key in keys if key is not None)
        by_key = self._cache.get(list(unique_keys)) if self._cache and unique_keys else {}
        missing = {key: image for key, image in zip(keys, images, strict=True) if key is not None and key not in by_key}
        computed = self._compute(missing)
        if self._cache and computed:
            self._cache.put(computed)
        by_key |= computed
        features = np.zeros((len(images), NUM_REGIONS + 1, width), np.float16)
        has_image = torch.zeros(len(images), dtype=torch.bool)
        for row, key in enumerate(keys):
            if key in by_key:
                features[row] = np.frombuffer(by_key[key], np.float16).reshape(NUM_REGIONS + 1, width)
                has_image[row] = True
        tensor = torch.from_numpy(features).float()
        return VisualFeatures(has_image=has_image, regions=tensor[:, :NUM_REGIONS], pooled=tensor[:, NUM_REGIONS])

    @torch.no_grad()
    def _compute(self, images: dict[str, bytes | None]) -> dict[str, bytes]:
        """Return regions and pooled vector of each readable image, as the bytes of float16 [50, C].

        Features are rounded to float16 without a cache too, so that they are the same with and without one.
        """
        preprocessed = dict(zip(images, self._pool.map(self._preprocess, images.values()), strict=True))
        readable = {key: pixels for key, pixels in preprocessed.items() if pixels is not None}
        keys, features = list(readable), dict[str, bytes]()
        weights = next(self._visual_encoder.parameters())
        for start in range(0, len(keys), BACKBONE_BATCH):
            batch_keys = keys[start : start + BACKBONE_BATCH]
            pixels = torch.from_numpy(np.stack([readable[key] for key in batch_keys]))
            regions, pooled = self._visual_encoder(pixels.to(weights.device, weights.dtype))
            rows = torch.cat([regions, pooled.unsqueeze(1)], 1).to("cpu", torch.float16).numpy()  # [b, 50, C]
            features.update((key, row.tobytes()) for key, row in zip(batch_keys, rows, strict=True))
        return features

    def _preprocess(self, image: bytes | None) -> npt.NDArray[np.float32] | None:
        if image is None:
            return None
        try:
            return preprocess_image(image, self._pixel_settings)
        except ImageError:
            return None


class FeatureCache:
    """Key-value store of bytes on disk, up to a size limit beyond which nothing more is stored.

    SQLite, since several workers of one machine may read and write it at the same time, and a killed worker leaves no
    partial entries.
    """

    def __init__(self, path: Path, limit: int) -> None:
        """Open or create the file at `path`; `limit` is in bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
        # A crash of the machine may lose the last entries; they are computed again.
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE IF NOT EXISTS features (key TEXT PRIMARY KEY, value BLOB)")
        self._limit = limit

    def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values of those keys that are stored."""
        values: dict[str, bytes] = {}
        for start in range(0, len(keys), KEYS_PER_QUERY):
            query_keys = keys[start : start + KEYS_PER_QUERY]
            placeholders = ",".join("?" * len(query_keys))
            query = f"SELECT key, value FROM features WHERE key IN ({placeholders})"  # noqa: S608  # only question marks
            values.update(self._database.execute(query, query_keys))
        return values

    def put(self, values: Mapping[str, bytes]) -> None:
        """Store values under new keys, unless they exceed the limit. Existing keys are not overwritten."""
        pages, page_size = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
        )
        if pages * page_size + sum(map(len, values.values())) <= self._limit:
            try:
                self._database.executemany("INSERT OR IGNORE INTO features VALUES (?, ?)", values.items())
            except sqlite3.OperationalError:  # full disk, or a lock that is not released: stop storing
                self._limit = 0

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
