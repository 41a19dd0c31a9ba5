"""The second pass of ingest: many images are requested at the same time, and each failure is that of its post."""

import threading
from pathlib import Path
from typing import Any

import pytest

from amia.errors import ImageError, StoreError
from amia.images import ImageSettings
from ray_jobs.stages import fetch as fetch_module
from ray_jobs.stages.fetch import Fetch
from ray_jobs.storage.store import Store
from tests.helpers.toy import toy_plan

IN_FLIGHT = 4


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetch:
    """A stage whose only shard has eight images outside the source, one inside, and one post without an image."""
    rows: list[dict[str, Any]] = [{"id": str(n), "image": None, "image_path": f"{n}.jpg"} for n in range(8)]
    rows += [
        {"id": "inside", "image": b"bytes", "image_path": None},
        {"id": "none", "image": None, "image_path": None},
    ]
    monkeypatch.setattr(fetch_module.BucketReader, "read", lambda *_: [dict(row) for row in rows])
    store = Store(tmp_path / "run")
    return Fetch(store, plan=toy_plan(1), image_root=tmp_path, images=ImageSettings(), in_flight=IN_FLIGHT)


def test_requests_are_in_flight_together(stage: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    barrier, lock = threading.Barrier(IN_FLIGHT, timeout=60), threading.Lock()
    running, most = 0, 0

    def fetch_image(_root: object, path: str, _limits: object) -> bytes:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        barrier.wait()  # passes only if as many requests are in flight
        with lock:
            running -= 1
        if path == "3.jpg":
            raise ImageError("missing", path)
        return path.encode()

    monkeypatch.setattr(fetch_module, "fetch_image", fetch_image)
    rows = stage.load("train-00000-of-00001")
    assert most == IN_FLIGHT
    images = {row["id"]: (row["image"], row["status"]) for row in rows}
    assert images == {
        **{str(n): (f"{n}.jpg".encode(), "ok") for n in range(8)},
        "3": (None, "bad_image(missing)"),
        "inside": (b"bytes", "ok"),
        "none": (None, "no_image"),
    }


def test_failure_of_the_storage_ends_the_shard(stage: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch_image(*_: object) -> bytes:
        raise StoreError("1.jpg could not be read from s3://bucket")

    monkeypatch.setattr(fetch_module, "fetch_image", fetch_image)
    with pytest.raises(StoreError, match="could not be read"):
        stage.load("train-00000-of-00001")
