"""200,000 posts with tiny images: memory stays flat, and the plan does not depend on how the files are cut."""

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


def pictures() -> list[bytes]:
    found, noise = [], np.random.default_rng(0)
    for _ in range(IMAGES):
        data = io.BytesIO()
        Image.fromarray(noise.integers(0, 256, (24, 24, 3), np.uint8)).save(data, "JPEG", quality=80)
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


@dataclass
class Memory:
    """Memory of a job's processes while it ran, in MB, as often as it was looked at."""

    driver: list[float] = field(default_factory=list)
    actors: dict[int, list[float]] = field(default_factory=dict)


def measured(source: Path, run: Path) -> Memory:
    """`amia ingest` as a process of its own, watched while it runs."""
    words = ("pools.fetch.min=2", "pools.fetch.max=2", "bucket_mb=64")
    memory, start_s = Memory(), time.monotonic()
    driver = start("ingest", str(source), "--run", str(run), *words)
    seen = psutil.Process(driver.pid)
    while driver.poll() is None:
        with suppress(psutil.Error):
            memory.driver.append(seen.memory_full_info().uss / 1e6)
        for process in seen.children(recursive=True):
            with suppress(psutil.Error):
                if "MapWorker" in " ".join(process.cmdline()):
                    memory.actors.setdefault(process.pid, []).append(process.memory_full_info().uss / 1e6)
        time.sleep(0.25)
    code, said, complained = finish(driver)
    assert (code, complained) == (0, "")
    posts = Plan.find(Store(run)).total  # type: ignore[union-attr]  # it was ingested
    rate = posts / (time.monotonic() - start_s)
    largest = max(max(each) for each in memory.actors.values())
    print(f"{posts:,} posts: {rate:,.0f} posts/s, driver {max(memory.driver):.0f} MB, actor {largest:.0f} MB at most")
    assert f"{posts:,} with a usable image" in said
    return memory


@pytest.mark.timeout(900)
def test_memory_is_flat_and_files_do_not_matter(tmp_path: Path) -> None:
    small = measured(corpus(tmp_path / "small", 100_000, 2, backwards=False), tmp_path / "small-run")
    large = measured(corpus(tmp_path / "large", 200_000, 3, backwards=False), tmp_path / "run")
    # The driver holds a part (24 MB) of each bucket, and never more than its buffer.
    assert max(large.driver) < max(small.driver) + 80
    # An actor holds one bucket, of 60 MB both times, and gives back the one before: it does not grow with the corpus.
    assert len(large.actors) == 2
    most = [max(max(seen) for seen in memory.actors.values()) for memory in (small, large)]
    assert most[1] < most[0] + 60
    for seen in large.actors.values():
        quarter = len(seen) // 4
        assert max(seen[-quarter:]) < max(seen[2 * quarter : 3 * quarter]) + 30
    measured(corpus(tmp_path / "cut", 200_000, 11, backwards=True), tmp_path / "other-run")
    plan, other = Plan.find(Store(tmp_path / "run")), Plan.find(Store(tmp_path / "other-run"))
    assert plan
    assert other
    assert (plan.total, plan.digest) == (200_000, other.digest)
    assert_equal_files(tmp_path / "run", tmp_path / "other-run", "posts")
