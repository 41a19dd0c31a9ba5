"""The image of what came out."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from amia.report.grid import GAP, TILE, Triple, draw_grid, spread


def _png(color: tuple[int, int, int]) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (4, 4), color).save(data, "PNG")
    return data.getvalue()


def test_spread_runs_from_the_lowest_to_the_highest() -> None:
    thetas = [0.5, 0.1, 0.9, 0.3, 0.7]
    assert [thetas[place] for place in spread(thetas, 3)] == [0.1, 0.5, 0.9]
    assert sorted(spread(thetas, 9)) == [0, 1, 2, 3, 4]
    assert spread([], 3) == []
    assert spread([0.2, 0.1], 1) == [1]


def test_every_picture_stands_in_its_column(tmp_path: Path) -> None:
    red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    triple = Triple(_png(red), _png(green), _png(blue), 0.25, "a text that is far too long for its place " * 5)
    lacking = Triple(None, _png(green), _png(green), 0.0, "no image")
    draw_grid([("low", [triple, lacking]), ("high", [])], tmp_path / "grid.png")
    pixels = np.asarray(Image.open(tmp_path / "grid.png"))
    middles = [GAP + place * (TILE + GAP) + TILE // 2 for place in range(3)]
    assert [tuple(pixels[60 + TILE // 2, x]) for x in middles] == [red, green, blue]
    assert tuple(pixels[60 + TILE // 2 + TILE + 34 + GAP, middles[0]]) not in (red, green, blue)
