"""Cross-modal alignment as in MAF: a post's text finds its own image among those of the batch, and the other way."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Alignment", "alignment_losses"]

TEMPERATURE = 0.179
TEXT_TO_IMAGE = 0.7
"""Weight of text -> image; the rest is image -> text."""


class Alignment(nn.Module):
    """Texts [B, H] and pooled images [B, C] through two layers each to vectors of width H that are compared."""

    def __init__(self, width: int, visual_width: int) -> None:
        super().__init__()
        self.text = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.image = nn.Sequential(nn.Linear(visual_width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, texts: Tensor, images: Tensor, compared: Tensor) -> Tensor:
        """`alignment_losses` of both."""
        return alignment_losses(self.text(texts), self.image(images), compared)


def alignment_losses(texts: Tensor, images: Tensor, compared: Tensor) -> Tensor:
    """Float32 [B]: how badly each of vectors `texts` [B, H] and `images` [B, H] finds its partner by cosine.

    `compared` bool [B, B], symmetric: which other posts are negatives of a post. One that has none loses exactly 0.
    """
    with torch.autocast(texts.device.type, enabled=False):
        similar = (
            F.normalize(texts.float(), dim=1) @ F.normalize(images.float(), dim=1).T / TEMPERATURE
        )  # [text, image]
    own = torch.eye(len(compared), dtype=torch.bool, device=compared.device)
    similar = similar.masked_fill(~(compared | own), float("-inf"))
    to_image, to_text = (similar.log_softmax(way).diagonal() for way in (1, 0))
    return -(TEXT_TO_IMAGE * to_image + (1 - TEXT_TO_IMAGE) * to_text)
