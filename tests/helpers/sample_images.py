"""Small images in which a wrong rotation or color is visible, and functions to compare them."""

import io

import numpy as np
from PIL import Image

RED, GREEN, BLUE, WHITE = (254, 0, 0), (0, 128, 1), (0, 0, 254), (255, 255, 255)


def sample_image(width: int = 48, height: int = 32) -> Image.Image:
    """Return an image with four quarters of different colors, so that a wrong rotation is visible."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    image.paste(WHITE, (width // 2, height // 2, width, height))
    return image


def encode_image(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corner_pixels(image: Image.Image) -> list[tuple[int, ...]]:
    width, height = image.size
    points = [(3, 3), (width - 4, 3), (3, height - 4), (width - 4, height - 4)]
    return [tuple(image.getpixel(point)) for point in points]


def is_close(actual: list[tuple[int, ...]], expected: list[tuple[int, ...]], tolerance: int = 12) -> bool:
    return bool((np.abs(np.array(actual, int) - np.array(expected, int)) <= tolerance).all())
