"""How far the runner scales: 1 to 32 simulated GPU actors, each shard a sleep, on a store with latency.

    python tests/benchmarks/bench_actors.py [--actors 1,2,4,8,16,32] [--seconds 17,0.2] [--shards 4,60]

The model is a sleep of `--seconds` a shard, the store waits 50 ms a request and moves 200 MB/s a connection (25 MB in
and 25 MB out a shard: 512 posts), and actors import no torch; everything else is the runner's own. Weak scaling:
`--shards` for each actor, so ideally every row takes as long as the first.

- `efficiency`: wall time of one actor's shards over that of this many, from the first shard begun to the last published
- `alone`: seconds of sleep that one actor's shards hold, over the wall time: what an actor without any store would take
- `start`: seconds from the call to the first shard begun
- `driver ms`: CPU milliseconds of the driver process a shard; 1,000 over it is the most shards a second it can lead
- `cores`: CPU cores of this machine that were busy meanwhile, all processes; where they are all, they are the limit
"""

import argparse
import json
import logging
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import ray

from ray_jobs.runtime.cluster import Cluster
from ray_jobs.runtime.executor import StageSpec, run_stages
from ray_jobs.runtime.ray_log_filter import without_false_alarm
from ray_jobs.settings.job import Pool
from ray_jobs.stages.base import Stage
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import ShardMetadata, encode
from ray_jobs.storage.store import ObjectInfo, Store

LATENCY_S, BYTES_PER_S, SHARD_BYTES = 0.05, 200e6, 25e6


class FarStore(Store):
    """A store on the disk that answers as one across a network does."""

    def __reduce__(self) -> tuple[type["FarStore"], tuple[str]]:
        return FarStore, (self.address,)

    def create(self, key: str, data: bytes) -> bool:
        time.sleep(LATENCY_S + SHARD_BYTES / BYTES_PER_S)
        return super().create(key, data)

    def exists(self, key: str) -> bool:
        time.sleep(LATENCY_S)
        return super().exists(key)

    def list(self, prefix: str) -> dict[str, ObjectInfo]:
        time.sleep(LATENCY_S)
        return super().list(prefix)


class Sleeping(Stage[str, str]):
    """A GPU stage without the GPU."""

    name: ClassVar[str] = "slept"
    pool: ClassVar[str] = "synthesize"
    version = 1

    def __init__(self, store: Store, seconds: float) -> None:
        super().__init__(store, "bench")
        self._seconds = seconds

    def load(self, shard: str) -> str:
        time.sleep(2 * LATENCY_S + SHARD_BYTES / BYTES_PER_S)  # its size, then its bytes
        return shard

    def run(self, loaded: str) -> str:
        time.sleep(self._seconds)
        return loaded

    def publish(self, shard: str, done: str) -> ShardMetadata:
        data, facts = encode(pa.table({"id": [done]}), stage=self.name, identity="bench")
        self.store.create(self.keys(shard)[0], data)
        return facts


def plan_of(shards: int) -> Plan:
    return Plan(
        posts={"train": shards},
        per_shard=1,
        seed=0,
        digest="bench",
        types=[],
        rejected=0,
        repaired=0,
        labeled=0,
        source={},
        scratch="scratch/bench",
        segments={"train": [shards]},
    )


def busy_s() -> float:
    """CPU seconds that this machine has spent so far, all processes."""
    user, nice, system, *_ = (int(each) for each in Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def one(actors: int, seconds: float, shards: int) -> dict[str, Any]:
    """Figures of one execution."""
    plan = plan_of(actors * shards)
    with tempfile.TemporaryDirectory() as folder:
        store = FarStore(folder)
        pool = Pool(min=actors, max=actors, cpus=1, lease=4 if seconds > 1 else 16)
        step = StageSpec(Sleeping(store, seconds), pool)
        begun, before, machine = time.time(), resource.getrusage(resource.RUSAGE_SELF), busy_s()
        run_stages(store, Cluster(is_local=False, autoscales=False), plan, [step], plan.shards, wait_s=300, quiet=True)
        after, spent = resource.getrusage(resource.RUSAGE_SELF), busy_s() - machine
        wall = time.time() - begun
        lines = [json.loads(line) for file in Path(folder, "log").iterdir() for line in file.read_text().splitlines()]
    first = min(line["ended"] - line["publish_s"] - line["run_s"] - line["load_s"] for line in lines)
    last = max(line["ended"] for line in lines)
    driver = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "actors": actors,
        "worked": len({line["pid"] for line in lines}),
        "seconds": seconds,
        "shards": len(lines),
        "wall": last - first,
        "alone": shards * seconds / (last - first),
        "start": first - begun,
        "driver_ms": 1000 * driver / len(lines),
        "cores": spent / wall,
    }


def main() -> None:
    """Rows as they come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actors", default="1,2,4,8,16,32")
    parser.add_argument("--seconds", default="17,0.2")
    parser.add_argument("--shards", default="4,60", help="shards an actor, for each of --seconds")
    chosen = parser.parse_args()
    counts = [int(each) for each in chosen.actors.split(",")]
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    ray.init(
        address="local",
        num_cpus=max(counts) + 4,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=200_000_000,
    )
    print("| s a shard | actors | at work | shards | efficiency | alone | start, s | driver ms | cores |")
    print("|---|---|---|---|---|---|---|---|---|")
    for seconds, shards in zip(chosen.seconds.split(","), chosen.shards.split(","), strict=True):
        base = None
        for actors in counts:
            row = one(actors, float(seconds), int(shards))
            base = base or row["wall"]
            print(
                f"| {seconds} | {actors} | {row['worked']} | {row['shards']} | {base / row['wall']:.3f} | "
                f"{row['alone']:.3f} | {row['start']:.1f} | {row['driver_ms']:.1f} | {row['cores']:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    with without_false_alarm():
        main()
