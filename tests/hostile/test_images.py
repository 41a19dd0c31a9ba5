"""Every bad image ends in its status, in few seconds and little memory, and leaves nothing behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tests.hostile.apart import decoded, largest
from tests.hostile.images import ARMED, IMAGES

MEMORY_MB = 900
"""That one image may take, at 50 million pixels."""
SMALL_MB = 350
"""That one may take which is not so large."""
HEADER_MB = 60

Told = dict[tuple[str, str], tuple[str, float]]


@pytest.fixture(scope="module")
def told() -> Told:
    """What `hostile.apart` says of each image: its status, and MB."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.apart"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = map(json.loads, done.stdout.splitlines())
    return {(line["kind"], line["name"]): (line["said"], line["mb"]) for line in lines}


@pytest.mark.promise(19, 35)
@pytest.mark.parametrize("name", IMAGES)
def test_it_ends_in_its_status_within_bounds(told: Told, name: str) -> None:
    said, taken = told["image", name]
    assert said == IMAGES[name][1]
    assert taken < (MEMORY_MB if name == "49-megapixels" else SMALL_MB)
    assert told["header", name][1] < HEADER_MB


@pytest.mark.promise(19)
@pytest.mark.parametrize("name", largest())
def test_the_largest_picture_of_every_kind(told: Told, name: str) -> None:
    said, taken = told["largest", name]
    assert said == "ok"
    assert 100 < taken < MEMORY_MB


@pytest.mark.promise(19)
def test_no_file_leaves_anything_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Ghostscript and its like write where they stand.
    monkeypatch.chdir(tmp_path)
    for data, _ in IMAGES.values():
        if ARMED in data:
            decoded(data)
    assert list(tmp_path.iterdir()) == []


def test_there_are_enough_of_them() -> None:
    assert len(IMAGES) > 60
    assert sum(status != "ok" for _, status in IMAGES.values()) > 50
