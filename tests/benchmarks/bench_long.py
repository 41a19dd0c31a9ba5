"""A long job: is its last tenth as fast as its first, and does memory stay flat?

    python tests/benchmarks/bench_long.py [--posts 150000] [--per-shard 256]

`amia ingest` and `amia augment --config demo` on JSONL: a few thousand drawn posts, again and again under new ids. For
each stage with at least forty shards: posts a second in the first and in the last tenth of its shards, counted from the
second shard on, when every actor works; and memory at those times, in MiB (pages that processes share count once), of
the driver and of the largest actor.
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
from tests.benchmarks.facts import machine
from tests.benchmarks.memory import Watched

EVERY_S = 4.0
DRAWN = 4000
LEAST = 40


@dataclass(frozen=True)
class Look:
    """Memory at one moment, in MiB."""

    at: float
    driver: float
    largest_actor: float


def write_jsonl(folder: Path, posts: int) -> Path:
    """Posts whose images lie in `folder/images`."""
    write_corpus(folder, posts=DRAWN, missing=0, broken=0)
    drawn = [raw for raw in open_corpus(str(folder)) if hasattr(raw, "tokens")]
    file = folder / "posts.jsonl"
    with file.open("w") as lines:
        for number in range(posts):
            raw = drawn[number % len(drawn)]
            row = {"id": f"p{number}", "split": raw.split, "tokens": raw.tokens, "tags": raw.tags}
            lines.write(json.dumps(row | {"image_path": raw.image_path}) + "\n")
    return file


def command(*words: str) -> list[Look]:
    """An amia command, with its memory every few seconds."""
    looks: list[Look] = []
    process = subprocess.Popen([sys.executable, "-m", "ray_jobs", *words], stdout=subprocess.DEVNULL)
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(EVERY_S):
            seen = Watched()
            seen.look()
            looks.append(Look(time.time(), seen.driver / 2**20, seen.largest_actor / 2**20))

    watching = threading.Thread(target=watch)
    watching.start()
    code = process.wait()
    stop.set()
    watching.join()
    if code:
        raise SystemExit(f"amia {' '.join(words)} ended with {code}")
    return looks


def told(store: Store, looks: list[Look]) -> None:
    """A row for each stage of each execution that is long enough."""
    for key in sorted(store.list("log")):
        lines = [json.loads(line) for line in store.read(key).decode().splitlines()]
        for stage in dict.fromkeys(line["stage"] for line in lines):
            ends = sorted((line["ended"], line["posts"]) for line in lines if line["stage"] == stage)
            if len(ends) < LEAST:
                continue
            tenth = len(ends) // 10
            cells = []
            for part in (ends[1 : tenth + 2], ends[-tenth - 2 : -1]):
                begun, ended = part[0][0], part[-1][0]
                inside = [look for look in looks if begun <= look.at <= ended]
                memory = [
                    f"{statistics.median(getattr(look, what) for look in inside):,.0f}" if inside else "-"
                    for what in ("driver", "largest_actor")
                ]
                cells.append((sum(posts for _, posts in part[1:]) / (ended - begun), *memory))
            (first, *before), (last, *after) = cells
            print(
                f"| {stage} | {sum(posts for _, posts in ends):,} | {first:,.0f} | {last:,.0f} | {last / first:.2f} | "
                f"{before[0]} | {after[0]} | {before[1]} | {after[1]} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=150_000)
    parser.add_argument("--per-shard", type=int, default=256)
    chosen = parser.parse_args()
    about = machine()
    print(f"{about['cpu']}, {about['cores']} cores, load {about['load']}; {chosen.posts:,} posts\n")
    print("| stage | posts | posts/s, first tenth | last | ratio | driver, first | last | actor, first | last |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        source, run = write_jsonl(Path(folder, "corpus"), chosen.posts), str(Path(folder, "run"))
        begun = time.monotonic()
        shared = ("--run", run, "--config", "demo", f"per_shard={chosen.per_shard}")
        looks = command("ingest", str(source), *shared, "--images", str(Path(folder, "corpus", "images")))
        looks += command("augment", *shared)
        spent = time.monotonic() - begun
        told(Store(run), looks)
    print(f"\n{chosen.posts:,} posts in {spent / 60:.1f} minutes")


if __name__ == "__main__":
    main()
