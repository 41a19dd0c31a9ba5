"""Grey levels to the numbers that an image encoder was trained on, without doing the same sums for every pixel.

An image processor scales and normalises each pixel by itself, in float64 and back, on the CPU. There are only 256 grey
levels, so its answers to all of them are asked once, and pixels look theirs up wherever they are: the same bits on
every device, and uint8 is a quarter of what would otherwise travel to a GPU.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import CLIPImageProcessorPil

__all__ = ["shaded", "shades"]


def shades(processor: CLIPImageProcessorPil) -> NDArray[np.float32]:
    """What `processor` makes of each grey level of each channel, `[3, 256]`."""
    levels = np.broadcast_to(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), (16, 16, 3))
    made = processor(levels, do_resize=False, do_center_crop=False, input_data_format="channels_last")
    return np.asarray(made["pixel_values"], np.float32).reshape(3, 256)


def shaded(levels: torch.Tensor, shades: torch.Tensor) -> torch.Tensor:
    """float32 `[n, 3, h, w]` of grey levels uint8 `[n, 3, h, w]`, by the table `[3, 256]` on the same device."""
    made = torch.empty(levels.shape, dtype=shades.dtype, device=levels.device)
    for channel, table in enumerate(shades):
        each = levels[:, channel]  # [n, h, w]
        made[:, channel] = table.index_select(0, each.flatten().int()).view_as(each)
    return made
