"""200,000 posts with tiny images: memory stays flat, and the plan does not depend on how the files are cut."""

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drivers import same
from PIL import Image

from ray_jobs.ingest import Ingested, ingest
from ray_jobs.settings import load_settings

pytestmark = pytest.mark.slow
IMAGES = 300


def pictures() -> list[bytes]:
    found = []
    for number in range(IMAGES):
        data = io.BytesIO()
        Image.effect_noise((24, 24), 30 + number % 50).convert("RGB").save(data, "JPEG", quality=80)
        found.append(data.getvalue())
    return found


def corpus(folder: Path, posts: int, files: int, *, backwards: bool) -> Path:
    """`posts` posts in `files` Parquet files; the same posts whatever the files."""
    folder.mkdir()
    images = pictures()
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    order = range(posts - 1, -1, -1) if backwards else range(posts)
    size = -(-posts // files)
    for file in range(files):
        numbers = order[file * size : (file + 1) * size]
        table = pa.table(
            {
                "id": [f"post-{number}" for number in numbers],
                "split": [("train", "train", "train", "test")[number % 4] for number in numbers],
                "text": [f"post number {number} of a corpus that is larger than it looks" for number in numbers],
                "image": pa.array([{"bytes": images[number % IMAGES], "path": None} for number in numbers], image),
            }
        )
        pq.write_table(table, folder / f"part-{file:03d}.parquet", row_group_size=2000)
    return folder


class Peak:
    """The largest memory that this process, and any one process of a stage, was seen to hold, in MB."""

    driver = 0.0
    actor = 0.0


@contextmanager
def watched() -> Iterator[Peak]:
    peak, ended = Peak(), threading.Event()

    def look() -> None:
        mine = psutil.Process()
        while not ended.wait(0.25):
            peak.driver = max(peak.driver, mine.memory_info().rss / 1e6)
            for process in mine.children(recursive=True):
                try:
                    if "MapWorker" in " ".join(process.cmdline()):
                        peak.actor = max(peak.actor, process.memory_full_info().uss / 1e6)
                except psutil.Error:
                    continue

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def measured(source: Path, run: Path) -> tuple[Ingested, Peak]:
    words = ["bucket_mb=16", "pools.fetch.min=2", "pools.fetch.max=2"]
    start = time.monotonic()
    with watched() as peak:
        done = ingest(str(source), str(run), load_settings("default", words), quiet=True)
    rate = done.plan.total / (time.monotonic() - start)
    print(f"{done.plan.total:,} posts: {rate:,.0f} posts/s, driver {peak.driver:.0f} MB, actor {peak.actor:.0f} MB")
    return done, peak


@pytest.mark.timeout(900)
def test_memory_is_flat_and_files_do_not_matter(cluster: None, tmp_path: Path) -> None:
    _, small = measured(corpus(tmp_path / "small", 50_000, 2, backwards=False), tmp_path / "small-run")
    done, large = measured(corpus(tmp_path / "large", 200_000, 3, backwards=False), tmp_path / "run")
    assert done.counts == {"image=ok": 200_000}
    # Four times the posts may cost a tenth more, and the driver its list of shards.
    assert large.actor < 1.1 * small.actor + 20
    assert large.driver < 1.1 * small.driver + 60
    other, _ = measured(corpus(tmp_path / "cut", 200_000, 11, backwards=True), tmp_path / "other-run")
    assert other.plan.digest == done.plan.digest
    same(tmp_path / "run", tmp_path / "other-run", "posts")
