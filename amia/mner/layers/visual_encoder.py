"""Visual encoder: the last feature map of a ResNet as 7 x 7 regions, and its mean."""

from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

__all__ = ["NUM_REGIONS", "VisualEncoder"]

GRID_SIDE = 7
NUM_REGIONS = GRID_SIDE * GRID_SIDE


class VisualEncoder(nn.Module):
    """A `transformers` ResNet of any depth, frozen by default.

    Its BatchNorm layers always use their running statistics. Public code leaves the frozen backbone in training mode,
    so that its statistics drift from epoch to epoch with the images it sees.
    """

    def __init__(self, settings: dict[str, Any], *, trained: bool = False) -> None:
        super().__init__()
        config = AutoConfig.for_model(**settings)
        self.trained = trained
        # In the precision of the surrounding layers, not in that of the saved backbone.
        self.backbone = AutoModel.from_config(config, dtype=torch.get_default_dtype(), trust_remote_code=False)
        self.width: int = config.hidden_sizes[-1]
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Keep the module in evaluation mode, so that BatchNorm does not depend on the batch."""
        # Not only in the constructor: loading weights from a file replaces the frozen parameters by trainable ones.
        self.backbone.requires_grad_(self.trained)
        return super().train(False)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Return regions [B, 49, C], in row-major order, and pooled [B, C] of normalized pixels [B, 3, h, w]."""
        if pixel_values.is_cuda:
            # Faster convolutions on a GPU. The weights keep their layout, since safetensors supports no other.
            pixel_values = pixel_values.contiguous(memory_format=torch.channels_last)
        feature_map = self.backbone(pixel_values=pixel_values).last_hidden_state  # [B, C, h', w']
        regions = F.adaptive_avg_pool2d(feature_map, GRID_SIDE).flatten(2).transpose(1, 2)
        return regions, feature_map.mean((2, 3))
