"""Mismatched pairs of text and image out of a batch, from which MAF learns what does not belong together."""

import torch
from torch import Tensor

__all__ = ["differing", "swapped"]

SHARE = 8
"""One in so many posts with an image in each half of the swap: together a quarter of them."""


def swapped(has_image: Tensor) -> tuple[Tensor, Tensor]:
    """Places [N] of a random quarter of the posts with an image, and whose image each gets instead.

    From `has_image` bool [B]. Two halves swap, so that a second swap puts everything back. N is even, and 0 where
    there are fewer than 8 images. Draws from torch's random state.
    """
    places = has_image.nonzero().squeeze(1)
    half = len(places) // SHARE
    chosen = places[torch.randperm(len(places), device=places.device)[: 2 * half]]
    return chosen, chosen.roll(half)


def differing(pieces: Tensor, pooled: Tensor, has_image: Tensor) -> Tensor:
    """Bool [B, B]: pairs of posts with an image that differ in both text and image.

    From pieces long [B, P] and images [B, C]. A repost or a repeated picture matches no worse than one's own.
    """
    return has_image[:, None] & has_image & ~_equal(pieces) & ~_equal(pooled.detach())


def _equal(rows: Tensor) -> Tensor:
    """Bool [B, B]: which of the rows [B, N] are equal."""
    number: Tensor = rows.unique(dim=0, return_inverse=True)[1]  # [B]
    return number[:, None] == number
