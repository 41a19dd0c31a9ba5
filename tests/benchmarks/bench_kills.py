"""`kill -9` of an actor, a raylet or the driver at random moments of `amia augment` on a standing cluster, and again.

    python tests/benchmarks/bench_kills.py [--kills 50] [--minutes 30] [--posts 96] [--seed 0]

A head without room for actors and two worker nodes stand on this machine all the while. Every round starts the same
command on a fresh copy of an ingested run, kills one process with SIGKILL at a moment drawn evenly from the time that
the undisturbed job took, replaces a node that died, and starts the command again if it ended with an error. Then every
file is compared with the undisturbed run's, byte for byte, and every post is looked for.
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

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ray_jobs"))

from conftest import SMALL

from amia.demo import write_corpus
from tests.helpers.drivers import finish, read_files, start
from tests.helpers.nodes import Nodes, running_cluster

KINDS = ("actor", "raylet", "driver")
CPUS = 2.0
"""Of each worker node."""
WORDS = ("--config", "demo", *SMALL, "max_failed=1")
AUGMENT = ("--accept-mixture", "--arm", "adaptive", "--arm", "original")


@dataclass(frozen=True)
class Round:
    """What became of one job."""

    kind: str
    moment: float
    """Seconds after its start."""
    published: int
    """Files under their final names when the signal was sent."""
    survived: bool
    """Whether the job came to its end without being started again."""
    starts: int
    left: int
    """Half-written files that the killed process left; `amia gc` removes them, and no reader takes them for shards."""
    different: list[str]
    """Files that are not as in the undisturbed run, missing and additional ones included."""
    lost: int
    twice: int


def augment(nodes: Nodes, run: Path) -> subprocess.Popen[str]:
    return start("augment", "--run", str(run), *AUGMENT, *WORDS, **nodes.env())


def posts(run: Path, folder: str) -> Counter[str]:
    return Counter(
        name
        for file in (run / folder).glob("*.parquet")
        for name in pq.read_table(file, columns=["id"])["id"].to_pylist()
    )


def strike(nodes: Nodes, process: subprocess.Popen[str], kind: str, draw: random.Random) -> bool:
    """Kill one process. False: the job was over before there was one to kill."""
    while process.poll() is None:
        if kind == "driver":
            process.kill()
            return True
        if kind == "raylet":
            nodes.kill_raylet(draw.randrange(100))
            nodes.add(CPUS)
            return True
        if nodes.kill_actor(draw.randrange(100)):
            return True
        time.sleep(0.05)  # between two executions no actor is there
    return False


def one(nodes: Nodes, ingested: Path, right: Path, kind: str, moment: float, draw: random.Random) -> Round | None:
    """One job, disturbed. None: it ended before its moment."""
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        shutil.copytree(ingested, run)
        process = augment(nodes, run)
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            published = len([key for key in read_files(run) if "#" not in key])
            if not strike(nodes, process, kind, draw):
                finish(process)
                return None
        else:
            finish(process)
            return None
        starts, code = 1, finish(process)[0]
        survived = code == 0
        while code and starts < 5:
            nodes.settle()
            code, said, complained = finish(augment(nodes, run))
            starts += 1
        if code:
            print(said, complained)
        nodes.settle()
        found, wanted = read_files(run), read_files(right)
        left = [key for key in found if "#" in key]
        went_in, came_out = posts(ingested, "posts"), posts(run, "augmented/adaptive")
        return Round(
            kind=kind,
            moment=moment,
            published=published,
            survived=survived,
            starts=starts,
            left=len(left),
            different=sorted(
                key for key in found.keys() | wanted.keys() if key not in left and found.get(key) != wanted.get(key)
            ),
            lost=len(went_in.keys() - came_out.keys()),
            twice=sum(count > 1 for count in came_out.values()),
        )


def report(rounds: list[Round], late: int, undisturbed_s: float) -> None:
    print(f"\nundisturbed: {undisturbed_s:.1f} s a job; {late} jobs were over before their moment and do not count")
    print("  killed  kills  survived  started again  not identical  lost  twice")
    for kind in (*KINDS, "all"):
        some = [each for each in rounds if kind in (each.kind, "all")]
        sums = (
            sum(each.survived for each in some),
            sum(each.starts - 1 for each in some),
            sum(bool(each.different) for each in some),
            sum(each.lost for each in some),
            sum(each.twice for each in some),
        )
        print(f"{kind:>8} {len(some):>6} " + "".join(f"{n:>{w}}" for n, w in zip(sums, (9, 15, 15, 6, 7), strict=True)))
    print(f"half-written files left beside the runs: {sum(each.left for each in rounds)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--posts", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    draw, ends = random.Random(asked.seed), time.monotonic() + 60 * asked.minutes
    rounds: list[Round] = []
    late = 0
    with tempfile.TemporaryDirectory() as folder, running_cluster(CPUS, CPUS) as nodes:
        corpus, ingested, right = (Path(folder) / name for name in ("corpus", "ingested", "right"))
        write_corpus(corpus, posts=asked.posts, missing=0.05, broken=0.04)
        code, _, complained = finish(start("ingest", str(corpus), "--run", str(ingested), *WORDS, **nodes.env()))
        assert code == 0, complained
        shutil.copytree(ingested, right)
        began = time.monotonic()
        code, _, complained = finish(augment(nodes, right))
        undisturbed_s = time.monotonic() - began
        assert code == 0, complained
        while len(rounds) < asked.kills and time.monotonic() < ends:
            kind = KINDS[len(rounds) % len(KINDS)]
            done = one(nodes, ingested, right, kind, draw.uniform(0, undisturbed_s), draw)
            if done is None:
                late += 1
                continue
            rounds.append(done)
            print(
                f"{len(rounds):>3} {kind:>7} at {done.moment:5.1f} s, {done.published:>3} files published, "
                f"{'went on by itself' if done.survived else 'started again'}; "
                f"{'byte-identical' if not done.different else f'DIFFERENT: {done.different[:3]}'}, "
                f"{done.lost} lost, {done.twice} twice, {done.left} half-written left",
                flush=True,
            )
    report(rounds, late, undisturbed_s)
    sys.exit(any(each.different or each.lost or each.twice for each in rounds))


if __name__ == "__main__":
    main()
