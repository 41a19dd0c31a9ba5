"""The map as a file: the one that ships, and how it is written from an experiment."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from amia.errors import RunError
from amia.experiments.when_map import WhenMap, read_shipped_map, ship_map
from tests.helpers.when_maps import make_map

MAP = make_map(notice="drawn")


def write_tables(folder: Path, when: WhenMap | None) -> Path:
    file = folder / "tables.json"
    file.write_text(json.dumps({"name": "demo-when", "tables": [], "map": when and when.model_dump(mode="json")}))
    return file


def test_shipped_map_is_complete_or_absent() -> None:
    when = read_shipped_map()
    if when is not None:
        assert len(when.points) == 12
        assert {"text", "original", "adaptive", "two-sided"} <= set(when.arms)
        assert all(set(point.arms) == set(when.arms) for point in when.points)


def test_ships_the_map_of_an_experiment(tmp_path: Path) -> None:
    file = tmp_path / "when_map.json"
    assert ship_map(write_tables(tmp_path, MAP), file) == MAP
    assert read_shipped_map(file) == MAP
    assert read_shipped_map(tmp_path / "none.json") is None


def test_ships_no_unfinished_map(tmp_path: Path) -> None:
    arms = dict(MAP.points[5].arms)
    del arms["two-sided"]
    points = (*MAP.points[:5], MAP.points[5].model_copy(update={"arms": arms}), *MAP.points[6:])
    with pytest.raises(RunError, match=r"no results at mismatched=0.2, known=1.0: finish the experiment"):
        ship_map(write_tables(tmp_path, MAP.model_copy(update={"points": points})), tmp_path / "when_map.json")
    with pytest.raises(RunError, match="holds no map"):
        ship_map(write_tables(tmp_path, None), tmp_path / "when_map.json")
    assert not (tmp_path / "when_map.json").exists()


def test_refuses_other_files(tmp_path: Path) -> None:
    file = tmp_path / "when_map.json"
    file.write_text('{"points": []}')
    with pytest.raises(RunError, match="holds no map"):
        read_shipped_map(file)


def test_needs_every_combination_once() -> None:
    for points in (MAP.points[1:], (*MAP.points, MAP.points[0])):
        with pytest.raises(ValidationError, match="one for every combination"):
            WhenMap(recognizer="umt", notice=None, points=points)


def test_missing_results_are_nan() -> None:
    (first, *others) = MAP.points
    when = MAP.model_copy(update={"points": (first.model_copy(update={"arms": {}}), *others)})
    gains = when.gains("adaptive", "text")
    assert gains.shape == (3, 4, 3)
    assert gains[0, 0, 0] != gains[0, 0, 0]
    assert (gains[0] - gains[1])[0, 1] == pytest.approx(1)
    assert MAP.gains("original", "original")[0].tolist() != MAP.gains("original", "text")[0].tolist()
