"""Images in the geometry of an image encoder, without the detours that an image processor makes on the way.

A processor turns a photograph into an array, the array into an image, scales that, and makes an array of it again: at
512 pixels a quarter of its time, while Python's lock is held. Pillow scales the image as it is.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import CLIPImageProcessorPil
from transformers.image_transforms import get_resize_output_image_size
from transformers.image_utils import ChannelDimension

__all__ = ["apply_lut", "normalization_lut", "resize_and_crop"]


# MERGED FROM amia.matching.preprocess: Gray levels to the numbers that an image encoder was trained on, without doing the same sums for every pixel.
#
# An image processor scales and normalizes each pixel by itself, in float64 and back, on the CPU. There are only 256 gray
# levels, so its answers to all of them are asked once, and pixels look theirs up wherever they are: the same bits on
# every device, and uint8 is a quarter of what would otherwise travel to a GPU.
def resize_and_crop(processor: CLIPImageProcessorPil, images: Sequence[Image.Image]) -> NDArray[np.uint8]:
    """`[n, 3, h, w]` of RGB images, to the bit as `processor` scales and crops them. Raises whatever it raises."""
    size: Any = processor.size  # of a type that its library's hints do not know
    direct = (
        processor.do_resize and size.shortest_edge and not size.longest_edge and isinstance(processor.resample, int)
    )
    if direct:
        images = [image.resize(_size(image, size.shortest_edge), processor.resample) for image in images]
    geometry = {"do_resize": processor.do_resize and not direct, "do_rescale": False, "do_normalize": False}
    made = processor(list(images), return_tensors="np", **geometry)  # type: ignore[arg-type]  # as for `size`
    levels: NDArray[np.uint8] = made["pixel_values"]
    return levels


def _size(image: Image.Image, edge: int) -> tuple[int, int]:
    """Width and height with the shorter side as long as `edge`, rounded as the processor's library rounds."""
    shape = np.broadcast_to(np.uint8(0), (3, image.height, image.width))
    height, width = get_resize_output_image_size(
        shape, edge, default_to_square=False, input_data_format=ChannelDimension.FIRST
    )
    return width, height


def normalization_lut(processor: CLIPImageProcessorPil) -> NDArray[np.float32]:
    """What `processor` makes of each gray level of each channel, `[3, 256]`."""
    levels = np.broadcast_to(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), (16, 16, 3))
    made = processor(levels, do_resize=False, do_center_crop=False, input_data_format="channels_last")
    return np.asarray(made["pixel_values"], np.float32).reshape(3, 256)


def apply_lut(levels: torch.Tensor, normalization_lut: torch.Tensor) -> torch.Tensor:
    """float32 `[n, 3, h, w]` of gray levels uint8 `[n, 3, h, w]`, by the table `[3, 256]` on the same device."""
    made = torch.empty(levels.shape, dtype=normalization_lut.dtype, device=levels.device)
    for channel, table in enumerate(normalization_lut):
        each = levels[:, channel]  # [n, h, w]
        made[:, channel] = table.index_select(0, each.flatten().int()).view_as(each)
    return made
