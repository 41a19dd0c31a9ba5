"""Images to what a batch carries: features of a frozen backbone, or pixels for one that learns."""

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from amia.errors import ImageError
from amia.mner.data_collator import Batch, collate
from amia.mner.features import Feature
from amia.mner.image_processor import read_pixels
from amia.mner.layers.visual_encoder import REGIONS, VisualEncoder

__all__ = ["DataCollator", "FeatureCache", "VisualFeatureExtractor"]

# MERGED FROM amia.mner.visual_features: Features of images on disk: a frozen backbone sees each image once, not once an epoch.
#
# SQLite, since several workers of one machine may read and write it at the same time, and what a killed one left half
# written is not there.
_MANY = 500
"""Keys a query."""


class FeatureCache:
    """Bytes by key, up to a limit; what exceeds it is not kept."""

    def __init__(self, path: Path, limit: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
        # What a crash of the machine loses is computed again.
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            self._base.execute(f"PRAGMA {pragma}")
        self._base.execute("CREATE TABLE IF NOT EXISTS features (key TEXT PRIMARY KEY, value BLOB)")
        self._limit = limit
        """Bytes."""

    def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Those of the keys that are here."""
        found: dict[str, bytes] = {}
        for start in range(0, len(keys), _MANY):
            some = keys[start : start + _MANY]
            places = ",".join("?" * len(some))
            query = f"SELECT key, value FROM features WHERE key IN ({places})"  # noqa: S608  # only question marks
            found.update(self._base.execute(query, some))
        return found

    def put(self, values: Mapping[str, bytes]) -> None:
        """Keep these too, as far as the limit allows."""
        pages, size = (self._base.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        if pages * size + sum(map(len, values.values())) <= self._limit:
            try:
                self._base.executemany("INSERT OR IGNORE INTO features VALUES (?, ?)", values.items())
            except sqlite3.OperationalError:  # the disk is full, or another's lock does not end: what lacks is computed
                self._limit = 0

    def close(self) -> None:
        """Give the file back."""
        self._base.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_AT_ONCE = 32
"""Images a forward pass of the backbone."""


class VisualFeatureExtractor:
    """What a recognizer sees of images. `trained`: the backbone learns, so pixels travel with the batch."""

    def __init__(
        self,
        visual: VisualEncoder,
        pixels: dict[str, Any],
        *,
        trained: bool = False,
        cache: FeatureCache | None = None,
        threads: int = 2,
    ) -> None:
        self._visual, self._pixels, self._trained, self._cache = visual, pixels, trained, cache
        self._pool = ThreadPoolExecutor(threads, "decode")

    def add_to(self, batch: Batch, images: Sequence[bytes | None]) -> None:
        """Write what is seen into a batch; a post without an image that can be read counts as one without."""
        if self._trained:
            self._add_pixels(batch, images)
        else:
            self._add_features(batch, images)

    def _add_pixels(self, batch: Batch, images: Sequence[bytes | None]) -> None:
        side = self._pixels["side"]
        pixels = torch.zeros(len(images), 3, side, side)
        for row, read in enumerate(self._pool.map(self._read, images)):
            if read is not None:
                pixels[row], batch.has_image[row] = torch.from_numpy(read), True
        batch.pixels = pixels

    def _add_features(self, batch: Batch, images: Sequence[bytes | None]) -> None:
        width = self._visual.width
        keys = [None if image is None else hashlib.sha256(image).hexdigest() for image in images]
        wanted = dict.fromkeys(key for key in keys if key is not None)
        found = self._cache.get(list(wanted)) if self._cache and wanted else {}
        lacking = {key: image for key, image in zip(keys, images, strict=True) if key is not None and key not in found}
        computed = self._compute(lacking)
        if self._cache and computed:
            self._cache.put(computed)
        found |= computed
        features = np.zeros((len(images), REGIONS + 1, width), np.float16)
        for row, key in enumerate(keys):
            if key in found:
                features[row] = np.frombuffer(found[key], np.float16).reshape(REGIONS + 1, width)
                batch.has_image[row] = True
        seen = torch.from_numpy(features).float()
        batch.regions, batch.pooled = seen[:, :REGIONS], seen[:, REGIONS]

    @torch.no_grad()
    def _compute(self, images: dict[str, bytes | None]) -> dict[str, bytes]:
        """Regions and pooled vector of each image that can be read, as the bytes of float16 [50, C].

        Also where nothing is kept: an image is the same to the recognizer whether it comes from the disk or not.
        """
        read = dict(zip(images, self._pool.map(self._read, images.values()), strict=True))
        whole = {key: each for key, each in read.items() if each is not None}
        keys, done = list(whole), dict[str, bytes]()
        weights = next(self._visual.parameters())
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            pixels = torch.from_numpy(np.stack([whole[key] for key in some])).to(weights.device, weights.dtype)
            regions, pooled = self._visual(pixels)
            rows = torch.cat([regions, pooled.unsqueeze(1)], 1).to("cpu", torch.float16).numpy()  # [b, 50, C]
            done.update((key, row.tobytes()) for key, row in zip(some, rows, strict=True))
        return done

    def _read(self, image: bytes | None) -> npt.NDArray[np.float32] | None:
        if image is None:
            return None
        try:
            return read_pixels(image, self._pixels)
        except ImageError:
            return None


class DataCollator:
    """Items to batches: words padded, images seen. `seeing` is None for a system that reads no image."""

    def __init__(self, pad: int, seeing: VisualFeatureExtractor | None) -> None:
        self._pad, self._seeing = pad, seeing

    def of(self, items: Sequence[Feature]) -> Batch:
        """One batch of these posts."""
        batch = collate([item.text for item in items], self._pad)
        if self._seeing is not None:
            self._seeing.add_to(batch, [item.image for item in items])
        return batch
