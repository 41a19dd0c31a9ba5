"""Scaling of the executor: 1 to 32 simulated GPU actors that sleep for each shard, on a store with latency.

    python -m tests.benchmarks.bench_actors [--actors 1,2,4,8,16,32] [--seconds 17,0.2] [--shards 4,60]

The model sleeps for `--seconds` per shard, the store waits 50 ms per request and transfers 200 MB/s per connection (25
MB in and 25 MB out per shard of 512 posts), and actors do not import torch. Everything else is the real executor. Weak
scaling: there are `--shards` for each actor, so ideally every row takes as long as the first.

- `efficiency`: wall time of one actor divided by that of this many, from the start of the first shard to the
  publication of the last
- `alone`: seconds of sleep of one actor's shards divided by the wall time: 1 if the store cost nothing
- `start`: seconds from the call to the start of the first shard
- `driver ms`: CPU milliseconds of the driver process per shard; 1,000 divided by it is the maximum of shards per second
- `cores`: busy CPU cores of this machine, all processes; if all are busy, they are the limit
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

from amia.utils.store_reader import ObjectInfo
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.runtime.executor import StageSpec, run_stages
from ray_jobs.runtime.ray_log_filter import without_false_alarm
from ray_jobs.settings.job import Pool
from ray_jobs.stages.base import Stage
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import ShardMetadata, encode
from ray_jobs.storage.store import Store

LATENCY_S, BYTES_PER_S, SHARD_BYTES = 0.05, 200e6, 25e6


class SlowStore(Store):
    """A store on disk with the latency and bandwidth of a network."""

    def __reduce__(self) -> tuple[type["SlowStore"], tuple[str]]:
        return SlowStore, (self.address,)

    def create(self, key: str, data: bytes) -> bool:
        time.sleep(LATENCY_S + SHARD_BYTES / BYTES_PER_S)
        return super().create(key, data)

    def exists(self, key: str) -> bool:
        time.sleep(LATENCY_S)
        return super().exists(key)

    def list(self, prefix: str) -> dict[str, ObjectInfo]:
        time.sleep(LATENCY_S)
        return super().list(prefix)


class SleepStage(Stage[str, str]):
    """A GPU stage that sleeps instead of computing."""

    name: ClassVar[str] = "slept"
    pool: ClassVar[str] = "synthesize"
    version = 1

    def __init__(self, store: Store, seconds: float) -> None:
        super().__init__(store)
        self._seconds = seconds

    def identity(self, folder: str) -> Identity:
        return {"stage": folder}

    def load(self, shard: str) -> str:
        time.sleep(2 * LATENCY_S + SHARD_BYTES / BYTES_PER_S)  # its size, then its bytes
        return shard

    def run(self, loaded: str) -> str:
        time.sleep(self._seconds)
        return loaded

    def publish(self, shard: str, done: str) -> ShardMetadata:
        data, metadata = encode(pa.table({"id": [done]}), stage=self.name, identity="bench")
        self.store.create(self.keys(shard)[0], data)
        return metadata


def create_plan(shards: int) -> Plan:
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


def used_cpu_s() -> float:
    """Return the CPU seconds that all processes of this machine have used so far."""
    user, nice, system, *_ = (int(field) for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def measure(actors: int, seconds: float, shards: int) -> dict[str, Any]:
    """Run one execution, and return its figures."""
    plan = create_plan(actors * shards)
    with tempfile.TemporaryDirectory() as folder:
        store = SlowStore(folder)
        pool = Pool(min=actors, max=actors, cpus=1, lease=4 if seconds > 1 else 16)
        spec = StageSpec(SleepStage(store, seconds), pool)
        start, before, cpu_before = time.time(), resource.getrusage(resource.RUSAGE_SELF), used_cpu_s()
        run_stages(
            store,
            Cluster(is_local=False, autoscales=False),
            plan,
            [spec],
            plan.shards,
            wait_s=300,
            quiet=True,
            stall_s=600,
        )
        after, cpu_s = resource.getrusage(resource.RUSAGE_SELF), used_cpu_s() - cpu_before
        wall = time.time() - start
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
        "start": first - start,
        "driver_ms": 1000 * driver / len(lines),
        "cores": cpu_s / wall,
    }


def main() -> None:
    """Print one row per number of actors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actors", default="1,2,4,8,16,32")
    parser.add_argument("--seconds", default="17,0.2")
    parser.add_argument("--shards", default="4,60", help="shards per actor, for each of --seconds")
    args = parser.parse_args()
    counts = [int(count) for count in args.actors.split(",")]
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    ray.init(
        address="local",
        num_cpus=max(counts) + 4,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=200_000_000,
    )
    print("| s per shard | actors | active | shards | efficiency | alone | start, s | driver ms | cores |")
    print("|---|---|---|---|---|---|---|---|---|")
    for seconds, shards in zip(args.seconds.split(","), args.shards.split(","), strict=True):
        base = None
        for actors in counts:
            row = measure(actors, float(seconds), int(shards))
            base = base or row["wall"]
            print(
                f"| {seconds} | {actors} | {row['worked']} | {row['shards']} | {base / row['wall']:.3f} | "
                f"{row['alone']:.3f} | {row['start']:.1f} | {row['driver_ms']:.1f} | {row['cores']:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    with without_false_alarm():
        main()
