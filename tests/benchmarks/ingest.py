"""ingest: posts and megabytes a second against copying the same files."""

import hashlib
import shutil
from collections import Counter
from pathlib import Path

from amia.demo import write_corpus
from ray_jobs.jobs.ingest import IngestResult, ingest
from ray_jobs.settings.job import load_settings
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store
from tests.benchmarks.bench import Bench
from tests.benchmarks.harness import Side, compare
from tests.benchmarks.runs import local_ray, photograph

SIDES = {"demo images": None, "images of 1024 px": 1024}

Files = Counter[str]
"""How often the content of each image file is there."""


def run(bench: Bench) -> None:
    """On a Ray that runs already; what a job's start costs is a line of `job`."""
    with bench.scratch() as scratch, local_ray():
        for number, (name, side) in enumerate(SIDES.items()):
            corpus, copy, target = (scratch / f"{each}-{number}" for each in ("corpus", "copy", "run"))
            posts = 2000 if side is None else 200
            write_corpus(corpus, posts=posts, missing=0, broken=0)
            if side is not None:
                for place, file in enumerate(sorted((corpus / "images").iterdir())):
                    file.write_bytes(photograph(file.read_bytes(), side, place))
            files = [file for file in sorted(corpus.rglob("*")) if file.is_file()]
            megabytes = sum(file.stat().st_size for file in files) / 1e6
            settings = load_settings("demo")

            def read(corpus: Path = corpus, target: Path = target) -> IngestResult:
                return ingest(str(corpus), str(target), load_settings("demo"), quiet=True)

            sides = compare(
                f"ingest, {name}",
                Side(
                    "amia ingest: read, checked, sorted, decoded, published",
                    read,
                    lambda done, target=target: _published(Store(target), done),
                    lambda target=target: shutil.rmtree(target),
                ),
                Side(
                    "copying the same files",
                    lambda corpus=corpus, copy=copy: shutil.copytree(corpus, copy),
                    _copied,
                    lambda copy=copy: shutil.rmtree(copy),
                ),
                all_there,
                rounds=bench.rounds(3),
                elsewhere=True,
                note=f"{posts} posts, {megabytes:.1f} MB, {settings.pools.fetch.max} actors at most",
            )
            sides.line.details |= {
                "posts_per_s": posts / sides.ours_s,
                "mb_per_s": megabytes / sides.ours_s,
                "copy_mb_per_s": megabytes / sides.theirs_s,
            }
            bench.add(sides.line)


def _published(store: Store, done: IngestResult) -> Files:
    found: Files = Counter()
    for shard in done.plan.shards:
        images = read_shard(store, f"posts/{shard}.parquet", ["image"])["image"].to_pylist()
        found.update(hashlib.sha256(image["bytes"]).hexdigest() for image in images)
    return found


def _copied(folder: Path) -> Files:
    return Counter(hashlib.sha256(file.read_bytes()).hexdigest() for file in (folder / "images").iterdir())


def all_there(ours: Files, theirs: Files) -> str:
    assert ours == theirs, f"{(theirs - ours).total()} image files are not in the shards"
    return f"all {ours.total():,} image files in the shards, byte for byte"
