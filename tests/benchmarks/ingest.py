"""ingest: posts and megabytes per second, compared with copying the same files."""

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
from tests.benchmarks.runs import enlarge_image, local_ray

IMAGE_SIZES = {"demo images": None, "images of 1024 px": 1024}

Files = Counter[str]
"""Number of image files by the hash of their content."""


def run(bench: Bench) -> None:
    """Measure on a running Ray; a line of `job` covers the start-up of a job."""
    with bench.scratch() as scratch, local_ray():
        for number, (name, image_size) in enumerate(IMAGE_SIZES.items()):
            corpus, copy, target = (scratch / f"{folder}-{number}" for folder in ("corpus", "copy", "run"))
            posts = 2000 if image_size is None else 200
            write_corpus(corpus, posts=posts, missing=0, broken=0)
            if image_size is not None:
                for index, file in enumerate(sorted((corpus / "images").iterdir())):
                    file.write_bytes(enlarge_image(file.read_bytes(), image_size, index))
            files = [file for file in sorted(corpus.rglob("*")) if file.is_file()]
            megabytes = sum(file.stat().st_size for file in files) / 1e6
            settings = load_settings("demo")

            def run_ingest(corpus: Path = corpus, target: Path = target) -> IngestResult:
                return ingest(str(corpus), str(target), load_settings("demo"), quiet=True)

            sides = compare(
                f"ingest, {name}",
                Side(
                    "amia ingest: read, check, sort, decode, publish",
                    run_ingest,
                    lambda result, target=target: _count_published(Store(target), result),
                    lambda target=target: shutil.rmtree(target),
                ),
                Side(
                    "copying the same files",
                    lambda corpus=corpus, copy=copy: shutil.copytree(corpus, copy),
                    _count_copied,
                    lambda copy=copy: shutil.rmtree(copy),
                ),
                check_files,
                rounds=bench.rounds(3),
                in_other_processes=True,
                note=f"{posts} posts, {megabytes:.1f} MB, {settings.pools.fetch.max} actors at most",
            )
            sides.line.details |= {
                "posts_per_s": posts / sides.ours_s,
                "mb_per_s": megabytes / sides.ours_s,
                "copy_mb_per_s": megabytes / sides.theirs_s,
            }
            bench.add(sides.line)


def _count_published(store: Store, result: IngestResult) -> Files:
    files: Files = Counter()
    for shard in result.plan.shards:
        images = read_shard(store, f"posts/{shard}.parquet", ["image"])["image"].to_pylist()
        files.update(hashlib.sha256(image["bytes"]).hexdigest() for image in images)
    return files


def _count_copied(folder: Path) -> Files:
    return Counter(hashlib.sha256(file.read_bytes()).hexdigest() for file in (folder / "images").iterdir())


def check_files(ours: Files, theirs: Files) -> str:
    assert ours == theirs, f"{(theirs - ours).total()} image files are missing in the shards"
    return f"all {ours.total():,} image files in the shards, byte for byte"
