"""The visual encoder: a ResNet's last feature map as 7 x 7 regions, and its mean."""

from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

__all__ = ["REGIONS", "SIDE", "VisualEncoder"]

SIDE = 7
REGIONS = SIDE * SIDE


class VisualEncoder(nn.Module):
    """A `transformers` ResNet of any depth, frozen unless asked otherwise.

    Its BatchNorm always runs on its running statistics. Public code leaves the frozen backbone in training mode, so
    that its statistics drift from epoch to epoch with whatever images were seen.
    """

    def __init__(self, settings: dict[str, Any], *, trained: bool = False) -> None:
        super().__init__()
        config = AutoConfig.for_model(**settings)
        self.trained = trained
        # Not in the precision that the backbone was once saved in, but in that of the layers around it.
        self.backbone = AutoModel.from_config(config, dtype=torch.get_default_dtype(), trust_remote_code=False)
        self.width: int = config.hidden_sizes[-1]
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode: neither BatchNorm nor anything else here is to follow the batch."""
        # Here, not once in the constructor: weights read from a file replace the frozen ones, and would learn.
        self.backbone.requires_grad_(self.trained)
        return super().train(False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Regions [B, 49, C], row by row of the map, and pooled [B, C], from normalized pixels [B, 3, h, w]."""
        if pixels.is_cuda:
            # As a GPU's convolutions want them. The weights stay as they are, since safetensors takes no other layout.
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        map_ = self.backbone(pixel_values=pixels).last_hidden_state  # [B, C, h', w']
        regions = F.adaptive_avg_pool2d(map_, SIDE).flatten(2).transpose(1, 2)
        return regions, map_.mean((2, 3))


def no_features(posts: int, width: int) -> tuple[Tensor, Tensor]:
    """What stands for the features of posts without an image."""
    return torch.zeros(posts, REGIONS, width), torch.zeros(posts, width)
