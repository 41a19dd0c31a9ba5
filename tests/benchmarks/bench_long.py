"""A long job: compares speed and memory in the first and in the last tenth of each stage.

    python -m tests.benchmarks.bench_long [--posts 150000] [--per-shard 256]

Runs `amia ingest` and `amia augment --config demo` on a JSONL file of a few thousand demo posts that are repeated under
new ids. For each stage with at least forty shards it prints the posts per second in the first and in the last tenth of
the shards (without the first shard, before which not all actors work), and the memory of the driver and of the largest
actor at those times, in MiB (pages that processes share count once).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from amia.demo import write_corpus
from amia.readers import open_corpus
from ray_jobs.storage.store import Store
from tests.benchmarks.environment import machine
from tests.benchmarks.memory import PeakMemory

INTERVAL_S = 4.0
DISTINCT_POSTS = 4000
MIN_SHARDS = 40


@dataclass(frozen=True)
class MemorySample:
    """Memory at one moment, in MiB."""

    at: float
    driver: float
    largest_actor: float


def write_jsonl(folder: Path, posts: int) -> Path:
    """Write posts with images in `folder/images`."""
    write_corpus(folder, posts=DISTINCT_POSTS, missing=0, broken=0)
    distinct = [raw for raw in open_corpus(str(folder)) if hasattr(raw, "tokens")]
    file = folder / "posts.jsonl"
    with file.open("w") as lines:
        for number in range(posts):
            raw = distinct[number % len(distinct)]
            row = {"id": f"p{number}", "split": raw.split, "tokens": raw.tokens, "tags": raw.tags}
            lines.write(json.dumps(row | {"image_path": raw.image_path}) + "\n")
    return file


def run_command(*args: str) -> list[MemorySample]:
    """Run an amia command, and sample its memory every few seconds."""
    samples: list[MemorySample] = []
    process = subprocess.Popen([sys.executable, "-m", "ray_jobs", *args], stdout=subprocess.DEVNULL)
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(INTERVAL_S):
            peak = PeakMemory()
            peak.update()
            samples.append(MemorySample(time.time(), peak.driver / 2**20, peak.largest_actor / 2**20))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    stop.set()
    watcher.join()
    if code:
        raise SystemExit(f"amia {' '.join(args)} ended with {code}")
    return samples


def print_stages(store: Store, samples: list[MemorySample]) -> None:
    """Print a row for each stage of each execution that is long enough."""
    for key in sorted(store.list("log")):
        lines = [json.loads(line) for line in store.read(key).decode().splitlines()]
        for stage in dict.fromkeys(line["stage"] for line in lines):
            ends = sorted((line["ended"], line["posts"]) for line in lines if line["stage"] == stage)
            if len(ends) < MIN_SHARDS:
                continue
            tenth = len(ends) // 10
            columns = []
            for part in (ends[1 : tenth + 2], ends[-tenth - 2 : -1]):
                start, end = part[0][0], part[-1][0]
                inside = [sample for sample in samples if start <= sample.at <= end]
                memory = [
                    f"{statistics.median(getattr(sample, name) for sample in inside):,.0f}" if inside else "-"
                    for name in ("driver", "largest_actor")
                ]
                columns.append((sum(posts for _, posts in part[1:]) / (end - start), *memory))
            (first, *before), (last, *after) = columns
            print(
                f"| {stage} | {sum(posts for _, posts in ends):,} | {first:,.0f} | {last:,.0f} | {last / first:.2f} | "
                f"{before[0]} | {after[0]} | {before[1]} | {after[1]} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=150_000)
    parser.add_argument("--per-shard", type=int, default=256)
    args = parser.parse_args()
    info = machine()
    print(f"{info['cpu']}, {info['cores']} cores, load {info['load']}; {args.posts:,} posts\n")
    print("| stage | posts | posts/s, first tenth | last | ratio | driver, first | last | actor, first | last |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        source, run = write_jsonl(Path(folder, "corpus"), args.posts), str(Path(folder, "run"))
        start = time.monotonic()
        shared = ("--run", run, "--config", "demo", f"per_shard={args.per_shard}")
        samples = run_command("ingest", str(source), *shared, "--images", str(Path(folder, "corpus", "images")))
        samples += run_command("augment", *shared)
        seconds = time.monotonic() - start
        print_stages(Store(run), samples)
    print(f"\n{args.posts:,} posts in {seconds / 60:.1f} minutes")


if __name__ == "__main__":
    main()
