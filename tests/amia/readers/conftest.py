"""Fixtures of the readers' tests."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.paths import TWEETS


@pytest.fixture(scope="session")
def tweets() -> Path:
    """Small corpus with the irregularities of real ones."""
    return TWEETS


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real corpora, which are not part of the repository."""
    folder = os.environ.get("AMIA_SHARED_DATA")
    if not folder:
        pytest.skip("AMIA_SHARED_DATA does not name the folder of the real corpora")
    return Path(folder)


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(buffer, "JPEG")
    return buffer.getvalue()
