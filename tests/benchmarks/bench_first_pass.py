"""The first pass of `amia ingest`: on cores, from a bucket, with memory, and after earlier runs.

    python -m tests.benchmarks.bench_first_pass cores   [--posts 200000]   one and two actors, and a bare loop
    python -m tests.benchmarks.bench_first_pass bucket  [--posts 20000]    requests by format, 30 ms each
    python -m tests.benchmarks.bench_first_pass fetch   [--posts 5000]     second pass, against `obstore.get`
    python -m tests.benchmarks.bench_first_pass memory  [--posts 1000000]  memory of driver and actors
    python -m tests.benchmarks.bench_first_pass since   [--posts 1000000]  the same for a tenth more, after a run

Each prints a table. Seconds of a stage are those from the start of its first shard to the end of its last one, as the
run's log has them, without the start of Ray. `bucket` and `fetch` use an S3 on this machine behind a proxy that adds
30 ms to each request and counts them; the server shares the cores with the job, and its own time is told apart.
"""

import argparse
import asyncio
import io
import json
import logging
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import numpy as np
import obstore
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from moto.server import ThreadedMotoServer
from PIL import Image
from webdataset import TarWriter

from amia.posts import RawPost, hash_post, validate_post
from amia.readers import open_corpus
from amia.utils.object_store import open_remote
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store
from tests.helpers.buckets import upload
from tests.helpers.drivers import finish, start
from tests.helpers.faulty_s3 import Fault, FaultyS3, faulty_s3

logging.getLogger("werkzeug").setLevel(logging.ERROR)

DELAY_S = 0.03
ROW_GROUP = 2_000
IMAGES = 300
TEXT = "post number {} of a corpus that is larger than it looks, with as many words as a tweet has, about nothing much"


@dataclass
class Measured:
    """One `amia ingest`."""

    seconds: float
    stages: dict[str, float]
    """Seconds of each stage."""
    stage_cpu_s: dict[str, float]
    """Seconds of processor time of its actors."""
    driver_cpu_s: float
    driver_mb: list[float] = field(default_factory=list)
    actors_mb: dict[int, list[float]] = field(default_factory=dict)

    @property
    def driver_share(self) -> float:
        """Share of the driver in the processor time of the first pass."""
        return self.driver_cpu_s / (self.driver_cpu_s + sum(self.stage_cpu_s.values()))

    @property
    def largest_actor_mb(self) -> float:
        """Largest memory of an actor."""
        return max(map(max, self.actors_mb.values()))


def ingest(source: str, run: str, *words: str) -> Measured:
    """Run `amia ingest` in a process of its own, sample its memory, and read its log."""
    begun = time.monotonic()
    driver = start("ingest", source, "--run", run, "max_failed=1", *words)
    process, driver_mb, actors_mb, cpu = psutil.Process(driver.pid), [], {}, 0.0
    while driver.poll() is None:
        with suppress(psutil.Error):
            driver_mb.append(process.memory_full_info().uss / 1e6)
            cpu = sum(process.cpu_times()[:2])
            for child in process.children(recursive=True):
                if "MapWorker" in " ".join(child.cmdline()):
                    actors_mb.setdefault(child.pid, []).append(child.memory_full_info().uss / 1e6)
        time.sleep(0.25)
    code, _, stderr = finish(driver)
    assert code == 0, stderr
    seconds = time.monotonic() - begun
    spans: dict[str, list[tuple[float, float]]] = {}
    cpu_s: Counter[str] = Counter()
    store = Store(run)
    for key in store.list("log"):
        for line in map(json.loads, store.read(key).splitlines() if key.endswith(".jsonl") else ()):
            work_s = line["load_s"] + line["run_s"] + line["publish_s"]
            spans.setdefault(line["stage"], []).append((line["ended"] - work_s, line["ended"]))
            cpu_s[line["stage"]] += line["cpu_s"]
    stages = {name: max(end for _, end in span) - min(first for first, _ in span) for name, span in spans.items()}
    return Measured(seconds, stages, dict(cpu_s), cpu, driver_mb, actors_mb)


def make_images(side: int = 24) -> list[bytes]:
    images, noise = [], np.random.default_rng(0)
    for _ in range(IMAGES):
        data = io.BytesIO()
        Image.fromarray(noise.integers(0, 256, (side, side, 3), np.uint8)).save(data, "JPEG", quality=80)
        images.append(data.getvalue())
    return images


def write_parquet(folder: Path, numbers: range, files: int, *, images: bool = True) -> Path:
    folder.mkdir(parents=True)
    jpegs, kind = make_images(), pa.struct({"bytes": pa.binary(), "path": pa.string()})
    size = -(-len(numbers) // files)
    for file in range(files):
        part = numbers[file * size : (file + 1) * size]
        columns: dict[str, object] = {
            "id": [f"post-{number}" for number in part],
            "split": [("train", "train", "train", "test")[number % 4] for number in part],
            "text": [TEXT.format(number) for number in part],
        }
        if images:
            columns["image"] = pa.array([{"bytes": jpegs[number % IMAGES], "path": None} for number in part], kind)
        pq.write_table(pa.table(columns), folder / f"part-{file:03d}.parquet", row_group_size=ROW_GROUP)
    return folder


def write_jsonl(folder: Path, numbers: range, files: int) -> Path:
    """Write posts with image keys, and the images."""
    (folder / "images").mkdir(parents=True)
    jpegs = make_images()
    for file in range(files):
        lines = []
        for number in numbers[file::files]:
            (folder / "images" / f"{number}.jpg").write_bytes(jpegs[number % IMAGES])
            lines.append(
                json.dumps({"id": f"post-{number}", "text": TEXT.format(number), "image": f"images/{number}.jpg"})
            )
        (folder / f"part-{file:03d}.jsonl").write_text("\n".join(lines))
    return folder


def write_tars(folder: Path, numbers: range, files: int) -> Path:
    folder.mkdir(parents=True)
    jpegs = make_images()
    for file in range(files):
        with TarWriter(str(folder / f"part-{file:03d}.tar")) as tar:
            for number in numbers[file::files]:
                record = {"id": f"post-{number}", "text": TEXT.format(number)}
                tar.write({"__key__": str(number), "jpg": jpegs[number % IMAGES], "json": record})
    return folder


def write_conll(folder: Path, numbers: range, files: int) -> Path:
    (folder / "images").mkdir(parents=True)
    jpegs = make_images()
    for file, name in zip(range(files), ("train", "valid", "test"), strict=False):
        blocks = []
        for number in numbers[file::files]:
            (folder / "images" / f"{number}.jpg").write_bytes(jpegs[number % IMAGES])
            words = "\n".join(f"{word}\tO" for word in TEXT.format(number).split())
            blocks.append(f"IMGID:{number}\n{words}")
        (folder / f"{name}.txt").write_text("\n\n".join(blocks) + "\n")
    return folder


def table(rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table; the first row is its heading."""
    print(
        "\n"
        + "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (rows[0], ["---"] * len(rows[0]), *rows[1:]))
    )


def cores(folder: Path, posts: int) -> None:
    """Compare one and two actors by turns, and a bare loop over the same readers in one process."""
    source = write_jsonl_texts(folder / "source", posts, 16)
    first_pass: dict[int, list[float]] = {1: [], 2: []}
    loops: list[float] = []
    share, cpu = 0.0, 0.0
    for turn in range(3):
        begun = time.perf_counter()
        for raw in open_corpus(str(source)):
            if isinstance(raw, RawPost):
                validate_post(raw)
                hash_post(raw)
        loops.append(time.perf_counter() - begun)
        for actors in (1, 2) if turn % 2 else (2, 1):
            words = [f"pools.{pool}.max={actors}" for pool in ("read", "sort")]
            measured = ingest(str(source), str(folder / f"run-{turn}-{actors}"), *words, "split_mb=4", "bucket_mb=8")
            first_pass[actors].append(measured.stages["read"] + measured.stages["sort"])
            share, cpu = measured.driver_share, measured.stage_cpu_s["read"] + measured.stage_cpu_s["sort"]
    one, two, loop = (statistics.median(values) for values in (first_pass[1], first_pass[2], loops))
    table(
        [
            [
                "posts",
                "two actors : one",
                "bare loop : one actor",
                "loop posts/s",
                "CPU of actors : loop",
                "driver's share of CPU",
            ],
            [
                f"{posts:,}",
                f"{two / one:.2f}",
                f"{loop / one:.2f}",
                f"{posts / loop:,.0f}",
                f"{cpu / loop:.2f}",
                f"{share:.1%}",
            ],
        ]
    )


def write_jsonl_texts(folder: Path, posts: int, files: int) -> Path:
    folder.mkdir(parents=True)
    for file in range(files):
        lines = (json.dumps({"id": f"post-{n}", "text": TEXT.format(n)}) for n in range(posts)[file::files])
        (folder / f"part-{file:03d}.jsonl").write_text("\n".join(lines))
    return folder


@dataclass
class Bucket:
    """A bucket behind the proxy."""

    proxy: FaultyS3
    backend: str

    def requests(self) -> Counter[str]:
        """Return the requests so far by method, and forget them."""
        counts = Counter(method for method, _, _ in self.proxy.requests)
        self.proxy.requests.clear()
        return counts


@contextmanager
def slow_bucket() -> Iterator[Bucket]:
    """Start an S3 and the proxy, and let `obstore` find the proxy."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    backend = f"http://{host}:{port}"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ[name] = "testing"
    os.environ |= {"AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
    boto3.client("s3", endpoint_url=backend).create_bucket(Bucket="amia-runs")
    with faulty_s3(backend) as proxy:
        proxy.schedule = _delay
        os.environ["AWS_ENDPOINT_URL"] = proxy.endpoint
        yield Bucket(proxy, backend)
    server.stop()


def _delay(method: str, path: str) -> Fault:
    time.sleep(DELAY_S)
    return None


def bucket(folder: Path, posts: int) -> None:
    """Count requests by format, and measure the second pass."""
    formats: Mapping[str, Callable[..., Path]] = {
        "Parquet, images inside": write_parquet,
        "JSONL, image keys": write_jsonl,
        "WebDataset tars": write_tars,
        "CoNLL, image keys": write_conll,
    }
    rows: list[list[object]] = [
        ["format", "posts", "seconds", "GET", "PUT", "HEAD", "requests per 1,000 posts", "in the server"]
    ]
    with slow_bucket() as s3:
        for number, (name, write) in enumerate(formats.items()):
            source = upload_fast(
                s3, write(folder / f"source{number}", range(posts), 3), f"s3://amia-runs/source{number}"
            )
            s3.requests()
            s3.proxy.backend_s = 0.0
            measured = ingest(source, f"s3://amia-runs/run{number}", "split_mb=4")
            counts = s3.requests()
            per_thousand = 1000 * counts.total() / posts
            share = f"{s3.proxy.backend_s / counts.total() * 1000:.1f} ms a request"
            kinds = [counts[kind] for kind in ("GET", "PUT", "HEAD")]
            rows.append([name, f"{posts:,}", f"{measured.seconds:.0f}", *kinds, f"{per_thousand:.0f}", share])
    table(rows)


def upload_fast(s3: Bucket, folder: Path, address: str) -> str:
    """Upload without the delay of the proxy."""
    os.environ["AWS_ENDPOINT_URL"] = s3.backend
    upload(folder, address)
    os.environ["AWS_ENDPOINT_URL"] = s3.proxy.endpoint
    return address


def fetch(folder: Path, posts: int) -> None:
    """Compare the second pass with bare requests for the same keys, 64 in flight, by turns."""
    ratios = []
    with slow_bucket() as s3:
        source = upload_fast(s3, write_jsonl(folder / "source", range(posts), 1), "s3://amia-runs/source")
        keys = [f"images/{number}.jpg" for number in range(posts)]
        for turn in range(3):
            bare = asyncio.run(_get_all(source, keys))
            stage = ingest(source, f"s3://amia-runs/run{turn}", "pools.fetch.max=1").stages["posts"]
            ratios.append(bare / stage)
            print(f"  bare {bare:.1f} s, stage {stage:.1f} s", flush=True)
    table(
        [
            ["posts", "bare requests : second pass", "lowest", "highest"],
            [f"{posts:,}", f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f}", f"{max(ratios):.2f}"],
        ]
    )


async def _get_all(address: str, keys: Sequence[str]) -> float:
    """Return the seconds that it takes to get all keys, 64 at a time."""
    store, limit = open_remote(address), asyncio.Semaphore(64)

    async def get(key: str) -> int:
        async with limit:
            return len(await (await obstore.get_async(store, key)).bytes_async())

    begun = time.perf_counter()
    await asyncio.gather(*map(get, keys))
    return time.perf_counter() - begun


MEMORY_WORDS = ("pools.read.max=2", "pools.sort.max=2", "pools.fetch.max=2", "bucket_mb=64")


def memory(folder: Path, posts: int) -> None:
    """Ingest a tenth of the posts, and all of them, from 64 Parquet files."""
    rows: list[list[object]] = [
        ["posts", "seconds", "posts/s", "driver MB", "largest actor MB", "driver's share of CPU"]
    ]
    for count in (posts // 10, posts):
        source = write_parquet(folder / f"source{count}", range(count), 64)
        measured = ingest(str(source), str(folder / f"run{count}"), *MEMORY_WORDS)
        rows.append(
            [
                f"{count:,}",
                f"{measured.seconds:.0f}",
                f"{count / measured.seconds:,.0f}",
                f"{max(measured.driver_mb):.0f}",
                f"{measured.largest_actor_mb:.0f}",
                f"{measured.driver_share:.1%}",
            ]
        )
        quarter = {pid: len(samples) // 4 for pid, samples in measured.actors_mb.items()}
        for pid, samples in measured.actors_mb.items():
            if quarter[pid] > 4:
                by_quarter = [max(samples[n * quarter[pid] : (n + 1) * quarter[pid]]) for n in range(4)]
                print(
                    f"  actor {pid}: MB by quarter of its life: {', '.join(f'{mb:.0f}' for mb in by_quarter)}",
                    flush=True,
                )
    table(rows)


def since(folder: Path, posts: int) -> None:
    """Ingest texts, then a tenth more of which a fifth was seen before, half of it under new ids."""
    rows: list[list[object]] = [["earlier posts", "new posts", "known", "seconds", "driver MB", "largest actor MB"]]
    for count in (posts // 10, posts):
        base = folder / str(count)
        ingest(str(write_parquet(base / "one", range(count), 16, images=False)), str(base / "run1"), *MEMORY_WORDS)
        new, seen = range(count, count + posts // 10 * 4 // 5), range(posts // 10 // 5)
        write_parquet(base / "two", new, 4, images=False)
        half = len(seen) // 2
        again = [
            {
                "id": f"post-{n}" if n < half else f"again-{n}",
                "split": ("train", "train", "train", "test")[n % 4],
                "text": TEXT.format(n),
            }
            for n in seen
        ]
        pq.write_table(pa.Table.from_pylist(again), base / "two" / "seen.parquet")
        measured = ingest(str(base / "two"), str(base / "run2"), "--since", str(base / "run1"), *MEMORY_WORDS)
        plan = Plan.find(Store(base / "run2"))
        assert plan is not None
        assert (plan.total, plan.known) == (len(new), len(seen))
        rows.append(
            [
                f"{count:,}",
                f"{plan.total:,}",
                f"{plan.known:,}",
                f"{measured.seconds:.0f}",
                f"{max(measured.driver_mb):.0f}",
                f"{measured.largest_actor_mb:.0f}",
            ]
        )
    table(rows)


DEFAULT_POSTS = {cores: 200_000, bucket: 20_000, fetch: 5_000, memory: 1_000_000, since: 1_000_000}


def main() -> None:
    """Run one part."""
    parts = {part.__name__: part for part in DEFAULT_POSTS}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=parts)
    parser.add_argument("--posts", type=int)
    options = parser.parse_args()
    part = parts[options.part]
    with tempfile.TemporaryDirectory(prefix="amia-bench-") as folder:
        part(Path(folder), options.posts or DEFAULT_POSTS[part])


if __name__ == "__main__":
    main()
