"""Colours of the drawn world and how light changes them."""

import colorsys

Colour = tuple[int, int, int]

BRIGHT: dict[str, Colour] = {
    "red": (222, 48, 56),
    "orange": (245, 140, 30),
    "yellow": (250, 214, 50),
    "green": (52, 168, 72),
    "cyan": (40, 196, 210),
    "blue": (44, 88, 218),
    "purple": (140, 60, 200),
    "pink": (244, 96, 178),
    "white": (246, 246, 246),
    "black": (36, 36, 42),
}
"""Colours that a look is told by; two of them never come close under `shade`."""

SKINS: tuple[Colour, ...] = ((250, 218, 186), (232, 184, 140), (184, 124, 80), (120, 78, 52))

HAIRS: tuple[Colour, ...] = (
    (40, 32, 30),
    (112, 66, 34),
    (240, 206, 96),
    (198, 76, 34),
    (170, 170, 178),
    (236, 90, 180),
)

SKIES: tuple[Colour, ...] = (
    (136, 196, 240),
    (250, 176, 120),
    (46, 48, 104),
    (236, 150, 190),
    (190, 226, 196),
    (206, 206, 214),
)

GROUNDS: tuple[Colour, ...] = (
    (70, 140, 62),
    (206, 160, 84),
    (120, 82, 58),
    (88, 96, 120),
    (150, 60, 70),
    (56, 110, 140),
)

INK: Colour = (40, 36, 40)
"""Outlines, eyes, spectacles."""


def shade(colour: Colour, hue: float = 0.5, light: float = 0.5) -> Colour:
    """`colour` with its hue turned by up to 0.02 and its brightness by up to 12 %, both from 0 to 1, 0.5 for none."""
    h, s, v = colorsys.rgb_to_hsv(*(channel / 255 for channel in colour))
    v = min(1.0, v * (1 + 0.24 * (light - 0.5)))
    r, g, b = colorsys.hsv_to_rgb((h + 0.04 * (hue - 0.5)) % 1, s, v)
    return round(r * 255), round(g * 255), round(b * 255)


def wall(tint: float) -> Colour:
    """The plain background of a post without a place: a pale colour that goes once round the wheel with `tint`."""
    r, g, b = colorsys.hsv_to_rgb(tint % 1, 0.16, 0.86)
    return round(r * 255), round(g * 255), round(b * 255)


def darker(colour: Colour, share: float = 0.7) -> Colour:
    """`colour` with every channel multiplied by `share`."""
    return round(colour[0] * share), round(colour[1] * share), round(colour[2] * share)
