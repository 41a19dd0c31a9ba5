"""Images as bytes and as pixels: read from the image folder, validate, decode, resize, encode."""

from amia.images.decode import decode, inspect
from amia.images.files import ImageRoot, fetch_image, image_address, read_image
from amia.images.jpeg import Source, decode_generated, encode_jpeg
from amia.images.resize import resize_to_square
from amia.images.settings import MAX_FILE_BYTES, ImageSettings

__all__ = [
    "MAX_FILE_BYTES",
    "ImageRoot",
    "ImageSettings",
    "Source",
    "decode",
    "decode_generated",
    "encode_jpeg",
    "fetch_image",
    "image_address",
    "inspect",
    "read_image",
    "resize_to_square",
]
