"""Batches: posts as padded tensors, and batches of posts with similar lengths."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from amia.mner.features import EncodedPost, Feature
from amia.mner.visual_features import VisualFeatureExtractor

__all__ = ["Batch", "DataCollator", "collate", "length_grouped_batches"]

EMPTY = torch.empty(0, dtype=torch.long)
"""Value of the fields of the other kind of tokenizer."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """B posts of at most W words, S subwords, and C characters per word."""

    ids: list[str]
    word_mask: Tensor
    """bool [B, W]: True for a word, False for padding."""
    labels: Tensor | None = None
    """long [B, W], 0 in the padding."""
    input_ids: Tensor = EMPTY
    """long [B, S]: subwords with [CLS] and [SEP]."""
    attention_mask: Tensor = EMPTY
    """bool [B, S]."""
    first_subwords: Tensor = EMPTY
    """long [B, W]: index of each word's first subword."""
    word_ids: Tensor = EMPTY
    """long [B, W]."""
    char_ids: Tensor = EMPTY
    """long [B, W, C], 0 in the padding."""
    has_image: Tensor
    """bool [B]."""
    pixel_values: Tensor | None = None
    """float [B, 3, h, w], normalized. None if features were precomputed."""
    regions: Tensor | None = None
    """float [B, 49, D]."""
    pooled: Tensor | None = None
    """float [B, D]."""

    def __len__(self) -> int:
        """Return the number of posts."""
        return len(self.ids)

    def to(self, device: torch.device) -> "Batch":
        """Return a copy of the batch on another device."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
            for name, value in values.items()
        }
        return replace(self, **moved)


class DataCollator:
    """Collates features to batches, with the images if `visual_features` is not None."""

    def __init__(self, pad_id: int, visual_features: VisualFeatureExtractor | None) -> None:
        self._pad_id, self._visual_features = pad_id, visual_features

    def __call__(self, features: Sequence[Feature]) -> Batch:
        """Return one batch of these posts."""
        batch = collate([feature.encoded for feature in features], self._pad_id)
        if self._visual_features is not None:
            images = self._visual_features([feature.image for feature in features])
            batch.has_image, batch.pixel_values = images.has_image, images.pixel_values
            batch.regions, batch.pooled = images.regions, images.pooled
        return batch


def collate(posts: Sequence[EncodedPost], pad_id: int = 0) -> Batch:
    """Pad posts of at least one word each to a batch without images."""
    tensors: dict[str, Any] = {}
    num_words = [len(post.first_subwords or post.word_ids or ()) for post in posts]
    tensors["word_mask"] = _length_mask(num_words)
    if posts[0].input_ids is not None:
        input_ids = [post.input_ids or () for post in posts]
        tensors["input_ids"] = _pad(input_ids, pad_id)
        tensors["attention_mask"] = _length_mask([len(row) for row in input_ids])
        tensors["first_subwords"] = _pad([post.first_subwords or () for post in posts])
    if posts[0].word_ids is not None:
        tensors["word_ids"] = _pad([post.word_ids or () for post in posts])
    if posts[0].char_ids is not None:
        tensors["char_ids"] = _pad_characters([post.char_ids or () for post in posts])
    if posts[0].labels is not None:
        tensors["labels"] = _pad([(post.labels or ())[:count] for post, count in zip(posts, num_words, strict=True)])
    return Batch(ids=[post.id for post in posts], has_image=torch.zeros(len(posts), dtype=torch.bool), **tensors)


def length_grouped_batches(
    lengths: Sequence[int], size: int, *, seed: int | None, window: int = 50
) -> Iterator[list[int]]:
    """Yield batches of indices of posts with similar lengths; the last may be short.

    With a seed the order is random: posts are shuffled, each `window` of batches is sorted by length, and the batches
    are shuffled. Without one they are sorted, longest first, so that a lack of memory shows at once.
    """
    if seed is None:
        indices = sorted(range(len(lengths)), key=lambda index: -lengths[index])
        yield from (indices[start : start + size] for start in range(0, len(indices), size))
        return
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(lengths), generator=generator).tolist()
    batches: list[list[int]] = []
    for start in range(0, len(shuffled), size * window):
        indices = sorted(shuffled[start : start + size * window], key=lambda index: lengths[index])
        batches += [indices[begin : begin + size] for begin in range(0, len(indices), size)]
    for batch_index in torch.randperm(len(batches), generator=generator).tolist():
        yield batches[batch_index]


def _pad(rows: Sequence[Sequence[int]], fill: int = 0) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows], dtype=torch.long)


def _pad_characters(posts: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    max_chars = max(len(word) for words in posts for word in words)
    max_words = max(map(len, posts))
    padded_posts = [[*words, *[()] * (max_words - len(words))] for words in posts]
    return torch.stack(
        [torch.tensor([[*word, *[0] * (max_chars - len(word))] for word in words]) for words in padded_posts]
    )


def _length_mask(lengths: Sequence[int]) -> Tensor:
    return torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
