"""Several posts as tensors, padded to the longest of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from amia.mner.features import EncodedPost

__all__ = ["Batch", "collate", "in_batches"]


NOTHING = torch.empty(0, dtype=torch.long)
"""What stands for members that a family of systems does not read."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """B posts of at most W words, P pieces and C characters a word."""

    ids: list[str]
    words_mask: Tensor
    """bool [B, W]: where a word stands."""
    labels: Tensor | None = None
    """long [B, W], 0 beyond a post's end."""
    pieces: Tensor = NOTHING
    """long [B, P]: word pieces with [CLS] and [SEP]."""
    pieces_mask: Tensor = NOTHING
    """bool [B, P]."""
    first: Tensor = NOTHING
    """long [B, W]: the place of each word's first piece."""
    words: Tensor = NOTHING
    """long [B, W]: numbers of a vocabulary."""
    chars: Tensor = NOTHING
    """long [B, W, C], 0 beyond a word's end."""
    has_image: Tensor
    """bool [B]."""
    pixels: Tensor | None = None
    """float [B, 3, h, w], normalized; None where features were computed before."""
    regions: Tensor | None = None
    """float [B, 49, D]."""
    pooled: Tensor | None = None
    """float [B, D]."""

    def __len__(self) -> int:
        """Posts."""
        return len(self.ids)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        members: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
            for name, value in members.items()
        }
        return replace(self, **moved)


def collate(encoded: Sequence[EncodedPost], pad_piece: int = 0) -> Batch:
    """A batch of posts with at least one word each, without what belongs to images."""
    several: dict[str, Any] = {}
    words = [len(each.first or each.words or ()) for each in encoded]
    several["words_mask"] = _mask(words)
    if encoded[0].pieces is not None:
        pieces = [each.pieces or () for each in encoded]
        several["pieces"], several["pieces_mask"] = _padded(pieces, pad_piece), _mask([len(row) for row in pieces])
        several["first"] = _padded([each.first or () for each in encoded])
    if encoded[0].words is not None:
        several["words"] = _padded([each.words or () for each in encoded])
    if encoded[0].chars is not None:
        several["chars"] = _chars([each.chars or () for each in encoded])
    if encoded[0].labels is not None:
        several["labels"] = _padded([(each.labels or ())[:count] for each, count in zip(encoded, words, strict=True)])
    return Batch(ids=[each.id for each in encoded], has_image=torch.zeros(len(encoded), dtype=torch.bool), **several)


def in_batches(lengths: Sequence[int], size: int, *, seed: int | None, window: int = 50) -> Iterator[list[int]]:
    """Places of posts, cut into batches of similar lengths; the last may be short.

    With a seed the order is random: posts are shuffled, each `window` of batches is sorted by length, and the batches
    are shuffled. Without one, they come sorted, longest first, which is where too little memory shows at once.
    """
    if seed is None:
        places = sorted(range(len(lengths)), key=lambda place: -lengths[place])
        yield from (places[start : start + size] for start in range(0, len(places), size))
        return
    chance = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(lengths), generator=chance).tolist()
    batches: list[list[int]] = []
    for start in range(0, len(shuffled), size * window):
        near = sorted(shuffled[start : start + size * window], key=lambda place: lengths[place])
        batches += [near[begin : begin + size] for begin in range(0, len(near), size)]
    for number in torch.randperm(len(batches), generator=chance).tolist():
        yield batches[number]


def _padded(rows: Sequence[Sequence[int]], fill: int = 0) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows], dtype=torch.long)


def _chars(rows: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    width = max(len(word) for row in rows for word in row)
    most = max(map(len, rows))
    return torch.stack(
        [
            torch.tensor([[*word, *[0] * (width - len(word))] for word in [*row, *[()] * (most - len(row))]])
            for row in rows
        ]
    )


def _mask(lengths: Sequence[int]) -> Tensor:
    return torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
