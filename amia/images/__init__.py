"""Bytes <-> pixels: fetched from inside the image folder, checked, decoded, brought to one geometry, encoded."""

from amia.images.decode import decode, inspect
from amia.images.files import fetch_image, read_image
from amia.images.jpeg import Source, decode_drawn, encode_jpeg
from amia.images.resize import fit_to
from amia.images.settings import LARGEST_FILE, ImageSettings

__all__ = [
    "LARGEST_FILE",
    "ImageSettings",
    "Source",
    "decode",
    "decode_drawn",
    "encode_jpeg",
    "fetch_image",
    "fit_to",
    "inspect",
    "read_image",
]
