"""Every hostile image ends in its status, within limits of time and memory, and writes no files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tests.hostile.images import IMAGES, MARKER
from tests.hostile.isolated import decode_status, largest_images

MAX_MB = 900
"""Memory limit of one image with 50 million pixels."""
MAX_SMALL_MB = 350
"""Memory limit of a smaller image."""
MAX_HEADER_MB = 60

Results = dict[tuple[str, str], tuple[str, float]]


@pytest.fixture(scope="module")
def results() -> Results:
    """Status and memory in MB by kind and name, from `tests.hostile.isolated`."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.hostile.isolated"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = map(json.loads, process.stdout.splitlines())
    return {(line["kind"], line["name"]): (line["result"], line["mb"]) for line in lines}


@pytest.mark.promise(19, 35)
@pytest.mark.parametrize("name", IMAGES)
def test_status_and_memory(results: Results, name: str) -> None:
    status, memory_mb = results["image", name]
    assert status == IMAGES[name][1]
    assert memory_mb < (MAX_MB if name == "49-megapixels" else MAX_SMALL_MB)
    assert results["header", name][1] < MAX_HEADER_MB


@pytest.mark.promise(19)
@pytest.mark.parametrize("name", largest_images())
def test_largest_image_of_each_mode(results: Results, name: str) -> None:
    status, memory_mb = results["largest", name]
    assert status == "ok"
    assert 100 < memory_mb < MAX_MB


@pytest.mark.promise(19)
def test_decoding_writes_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Programs like Ghostscript write to the current folder.
    monkeypatch.chdir(tmp_path)
    for data, _ in IMAGES.values():
        if MARKER in data:
            decode_status(data)
    assert list(tmp_path.iterdir()) == []


def test_number_of_images() -> None:
    assert len(IMAGES) > 60
    assert sum(status != "ok" for _, status in IMAGES.values()) > 50
