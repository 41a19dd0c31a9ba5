"""200,000 posts with tiny images: constant memory, and a plan that does not depend on the files."""

import io
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store
from tests.helpers.drivers import assert_equal_files, finish, start

pytestmark = pytest.mark.slow
IMAGES = 300


def make_jpegs() -> list[bytes]:
    images, noise = [], np.random.default_rng(0)
    for _ in range(IMAGES):
        data = io.BytesIO()
        Image.fromarray(noise.integers(0, 256, (24, 24, 3), np.uint8)).save(data, "JPEG", quality=80)
        images.append(data.getvalue())
    return images


def write_parquet(folder: Path, posts: int, files: int, *, reverse: bool) -> Path:
    """Write a corpus to Parquet files. The posts do not depend on the number of files."""
    folder.mkdir()
    images = make_jpegs()
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    order = range(posts - 1, -1, -1) if reverse else range(posts)
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


@dataclass
class Memory:
    """Samples of the memory of a job's processes, in MB."""

    driver: list[float] = field(default_factory=list)
    actors: dict[int, list[float]] = field(default_factory=dict)


def ingest_and_measure(source: Path, run: Path) -> Memory:
    """Run `amia ingest` in a process of its own and sample its memory."""
    overrides = ("pools.read.max=2", "pools.sort.max=2", "pools.fetch.min=2", "pools.fetch.max=2", "bucket_mb=64")
    memory, start_s = Memory(), time.monotonic()
    driver = start("ingest", str(source), "--run", str(run), *overrides)
    process = psutil.Process(driver.pid)
    while driver.poll() is None:
        with suppress(psutil.Error):
            memory.driver.append(process.memory_full_info().uss / 1e6)
        for child in process.children(recursive=True):
            with suppress(psutil.Error):
                if "MapWorker" in " ".join(child.cmdline()):
                    memory.actors.setdefault(child.pid, []).append(child.memory_full_info().uss / 1e6)
        time.sleep(0.25)
    code, stdout, stderr = finish(driver)
    assert (code, stderr) == (0, "")
    posts = Plan.find(Store(run)).total  # type: ignore[union-attr]  # it was ingested
    rate = posts / (time.monotonic() - start_s)
    largest = max(map(max, memory.actors.values()))
    print(f"{posts:,} posts: {rate:,.0f} posts/s, driver {max(memory.driver):.0f} MB, actor {largest:.0f} MB at most")
    assert f"{posts:,} with a usable image" in stdout
    return memory


@pytest.mark.timeout(900)
def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    small = ingest_and_measure(write_parquet(tmp_path / "small", 100_000, 2, reverse=False), tmp_path / "small-run")
    large = ingest_and_measure(write_parquet(tmp_path / "large", 200_000, 3, reverse=False), tmp_path / "run")
    # The driver holds counts and the places of segments, no posts.
    assert max(large.driver) < max(small.driver) + 80
    # An actor holds a part of a split (64 MB), or a bucket (60 MB), and frees the previous one.
    assert len(large.actors) >= 2
    max_small, max_large = (max(map(max, memory.actors.values())) for memory in (small, large))
    assert max_large < max_small + 60
    for samples in large.actors.values():
        quarter = len(samples) // 4
        assert max(samples[-quarter:]) < max(samples[2 * quarter : 3 * quarter]) + 30
    ingest_and_measure(write_parquet(tmp_path / "cut", 200_000, 11, reverse=True), tmp_path / "other-run")
    plan, other = Plan.find(Store(tmp_path / "run")), Plan.find(Store(tmp_path / "other-run"))
    assert plan
    assert other
    assert (plan.total, plan.digest) == (200_000, other.digest)
    assert_equal_files(tmp_path / "run", tmp_path / "other-run", "posts")
