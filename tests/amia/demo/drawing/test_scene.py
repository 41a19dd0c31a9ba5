"""Drawings: sizes, positions, and the boxes of what they show."""

import random
from itertools import combinations, combinations_with_replacement

import numpy as np
import pytest

from amia.demo.drawing.appearance import Variation
from amia.demo.drawing.scene import draw_photograph, draw_scene
from amia.demo.names import FAMOUS, KINDS

COMBINATIONS = [kinds for count in (1, 2, 3) for kinds in combinations_with_replacement(KINDS, count)]


def entities(kinds):
    return [FAMOUS[kind][index] for index, kind in enumerate(kinds)]


def area(box):
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])


def intersection(first, second):
    return (*(max(a, b) for a, b in zip(first[:2], second[:2], strict=True)), *map(min, first[2:], second[2:]))


def test_photographs_vary_in_size():
    rng = random.Random(0)
    photos = [draw_photograph([FAMOUS["ORG"][0]], rng).image for _ in range(20)]
    assert len({photo.size for photo in photos}) > 5
    assert all(min(photo.size) >= 64 and max(photo.size) <= 168 for photo in photos)


@pytest.mark.parametrize("kinds", COMBINATIONS, ids="+".join)
def test_every_entity_is_visible_in_its_box(kinds):
    """Without an entity the image differs inside of its box; figures hide each other by less than half."""
    chosen = entities(kinds)
    image, boxes = draw_scene(chosen, Variation(), 96, 96)
    assert len(boxes) == len(chosen)
    figures = [box for box, kind in zip(boxes, kinds, strict=True) if kind != "LOC"]
    for first, second in combinations(figures, 2):
        assert area(intersection(first, second)) < 0.5 * min(area(first), area(second))
    for box in boxes:
        assert 0 <= box[0] < box[2] <= 96
        assert 0 <= box[1] < box[3] <= 96
        pixels = np.asarray(image.crop(box), int)
        assert pixels.std(axis=(0, 1)).max() > 10


def test_box_is_tight():
    """Outside of the box of the only figure there is nothing but the wall and the floor."""
    image, (box,) = draw_scene([FAMOUS["MISC"][0]], Variation(), 96, 96)
    empty = np.asarray(draw_scene([], Variation(), 96, 96).image, int)
    differs = np.abs(np.asarray(image, int) - empty).max(2) > 0
    rows, columns = np.nonzero(differs)
    # The image is shrunk by three, so that a box may include a pixel that is hardly covered.
    measured = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.abs(np.array(measured) - np.array(box)).max() <= 1


def test_places_share_the_width():
    _, boxes = draw_scene(entities(("LOC", "LOC")), Variation(), 90, 60)
    assert boxes == ((0, 0, 45, 60), (45, 0, 90, 60))
