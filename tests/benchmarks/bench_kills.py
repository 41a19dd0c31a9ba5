"""`kill -9` of an actor, a raylet or the driver at random moments of `amia augment` on a running cluster, repeatedly.

    python -m tests.benchmarks.bench_kills [--kills 50] [--minutes 30] [--posts 96] [--seed 0]

A head without resources for actors and two worker nodes run on this machine all the time. Every round starts the same
command on a new copy of an ingested run, kills one process with SIGKILL at a random moment of the undisturbed job's
duration, replaces a node that died, and starts the command again if it ended with an error. Then every file is compared
with that of the undisturbed run, byte for byte, and missing and repeated posts are counted.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from amia.demo import write_corpus
from tests.conftest import SMALL
from tests.helpers.drivers import finish, read_files, start
from tests.helpers.nodes import Nodes, running_cluster

KINDS = ("actor", "raylet", "driver")
CPUS = 2.0
"""Of each worker node."""
OPTIONS = ("--config", "demo", *SMALL, "max_failed=1")
AUGMENT = ("--accept-mixture", "--arm", "adaptive", "--arm", "original")


@dataclass(frozen=True)
class Round:
    """Outcome of one disturbed job."""

    kind: str
    moment: float
    """Seconds between the start and the signal."""
    published: int
    """Number of published files when the signal was sent."""
    survived: bool
    """Whether the job finished without being started again."""
    starts: int
    partial_files: int
    """Partially written files of the killed process. Readers ignore them, and `amia gc` removes them."""
    different: list[str]
    """Files that differ from the undisturbed run, are missing, or are additional."""
    lost: int
    """Number of posts that are missing."""
    repeated: int
    """Number of posts that occur more than once."""


def augment(nodes: Nodes, run: Path) -> subprocess.Popen[str]:
    return start("augment", "--run", str(run), *AUGMENT, *OPTIONS, **nodes.env())


def count_posts(run: Path, folder: str) -> Counter[str]:
    return Counter(
        name
        for file in (run / folder).glob("*.parquet")
        for name in pq.read_table(file, columns=["id"])["id"].to_pylist()
    )


def kill_process(nodes: Nodes, process: subprocess.Popen[str], kind: str, rng: random.Random) -> bool:
    """Kill one process. Return False if the job ended first."""
    while process.poll() is None:
        if kind == "driver":
            process.kill()
            return True
        if kind == "raylet":
            nodes.kill_raylet(rng.randrange(100))
            nodes.add(CPUS)
            return True
        if nodes.kill_actor(rng.randrange(100)):
            return True
        time.sleep(0.05)  # there are no actors between two executions
    return False


def run_disturbed(
    nodes: Nodes, ingested: Path, undisturbed: Path, kind: str, moment: float, rng: random.Random
) -> Round | None:
    """Run one disturbed job. Return None if it ended before the moment of the signal."""
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        shutil.copytree(ingested, run)
        process = augment(nodes, run)
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            published = len([key for key in read_files(run) if "#" not in key])
            if not kill_process(nodes, process, kind, rng):
                finish(process)
                return None
        else:
            finish(process)
            return None
        starts, code = 1, finish(process)[0]
        survived = code == 0
        while code and starts < 5:
            nodes.settle()
            code, output, errors = finish(augment(nodes, run))
            starts += 1
        if code:
            print(output, errors)
        nodes.settle()
        files, expected = read_files(run), read_files(undisturbed)
        partial = [key for key in files if "#" in key]
        ingested_posts, augmented_posts = count_posts(ingested, "posts"), count_posts(run, "augmented/adaptive")
        return Round(
            kind=kind,
            moment=moment,
            published=published,
            survived=survived,
            starts=starts,
            partial_files=len(partial),
            different=sorted(
                key
                for key in files.keys() | expected.keys()
                if key not in partial and files.get(key) != expected.get(key)
            ),
            lost=len(ingested_posts.keys() - augmented_posts.keys()),
            repeated=sum(count > 1 for count in augmented_posts.values()),
        )


def print_report(rounds: list[Round], late: int, undisturbed_s: float) -> None:
    print(f"\nundisturbed: {undisturbed_s:.1f} s per job; {late} jobs ended before their signal and do not count")
    print("  killed  kills  survived  started again  not identical  lost  repeated")
    for kind in (*KINDS, "all"):
        group = [round_ for round_ in rounds if kind in (round_.kind, "all")]
        sums = (
            sum(round_.survived for round_ in group),
            sum(round_.starts - 1 for round_ in group),
            sum(bool(round_.different) for round_ in group),
            sum(round_.lost for round_ in group),
            sum(round_.repeated for round_ in group),
        )
        print(
            f"{kind:>8} {len(group):>6} " + "".join(f"{n:>{w}}" for n, w in zip(sums, (9, 15, 15, 6, 10), strict=True))
        )
    print(f"partially written files in the runs: {sum(round_.partial_files for round_ in rounds)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--posts", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, deadline = random.Random(args.seed), time.monotonic() + 60 * args.minutes
    rounds: list[Round] = []
    late = 0
    with tempfile.TemporaryDirectory() as folder, running_cluster(CPUS, CPUS) as nodes:
        corpus, ingested, undisturbed = (Path(folder) / name for name in ("corpus", "ingested", "undisturbed"))
        write_corpus(corpus, posts=args.posts, missing=0.05, broken=0.04)
        code, _, errors = finish(start("ingest", str(corpus), "--run", str(ingested), *OPTIONS, **nodes.env()))
        assert code == 0, errors
        shutil.copytree(ingested, undisturbed)
        start_time = time.monotonic()
        code, _, errors = finish(augment(nodes, undisturbed))
        undisturbed_s = time.monotonic() - start_time
        assert code == 0, errors
        while len(rounds) < args.kills and time.monotonic() < deadline:
            kind = KINDS[len(rounds) % len(KINDS)]
            round_ = run_disturbed(nodes, ingested, undisturbed, kind, rng.uniform(0, undisturbed_s), rng)
            if round_ is None:
                late += 1
                continue
            rounds.append(round_)
            print(
                f"{len(rounds):>3} {kind:>7} at {round_.moment:5.1f} s, {round_.published:>3} files published, "
                f"{'continued' if round_.survived else 'started again'}; "
                f"{'byte-identical' if not round_.different else f'DIFFERENT: {round_.different[:3]}'}, "
                f"{round_.lost} lost, {round_.repeated} repeated, {round_.partial_files} partial files",
                flush=True,
            )
    print_report(rounds, late, undisturbed_s)
    sys.exit(any(round_.different or round_.lost or round_.repeated for round_ in rounds))


if __name__ == "__main__":
    main()
