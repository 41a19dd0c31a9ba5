"""The driver's own time in `amia augment` on a large run in an object store: listings, footers, tables, fit, manifest.

    python -m tests.benchmarks.bench_driver [--shards 200000] [--latency 0.03] [--sample 2000]

Nothing is stored and no model runs: a simulated store answers every request after `--latency` seconds, a page of a
listing holds 1,000 keys, and the footers are those that the stages write for 512 posts a shard. The first line is the
time of reading every footer nine times, as drivers did before they kept facts, extrapolated from `--sample` shards: 16
threads, and two requests a footer. All other lines are measured in full with the job's own functions. What the driver
does while actors run is shown, and costs no time. Ray's own time is not part of it: about 1.3 ms a lease. The aim
is less than three minutes.
"""

import argparse
import itertools
import resource
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from amia.matching.bank import Bank, Embeddings
from amia.matching.histogram import LossHistogram, count_thetas
from amia.utils.store_reader import ObjectInfo, RangeReader
from ray_jobs.jobs.context import RunContext
from ray_jobs.jobs.execution_plan import plan_run
from ray_jobs.jobs.manifest import publish_manifest
from ray_jobs.jobs.mixture import fit_model
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.settings.job import load_settings
from ray_jobs.storage.facts import ShardFacts, pack_footers
from ray_jobs.storage.fingerprint import check_or_write_identity
from ray_jobs.storage.layout import EMBEDDINGS, POSTS, SCORES, SYNTHESIZED, arm_folder, shard_key
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import ShardMetadata, encode, read_all_metadata, read_metadata
from ray_jobs.storage.store import Store

PER_SHARD = 512
LEASE = 16
VARIANTS = 200
"""Different shards of a folder; all others repeat them."""
PAGE = 1000
"""Keys of one response of a listing."""
PASSES = 9
"""Times that drivers read every footer before: posts 4, scores 2, augmented, embeddings and synthesized 1."""
ARM = arm_folder("adaptive")
EXECUTIONS = ((EMBEDDINGS, SCORES), (SYNTHESIZED, ARM))


class SimulatedStore(Store):
    """Shards of a few variants, and other files in memory. Every request takes `latency_s` seconds."""

    def __init__(self, latency_s: float) -> None:
        super().__init__("s3://simulated/run")
        self.latency_s, self.num_requests = latency_s, 0
        self.files: dict[str, bytes] = {}
        self.folders: dict[str, dict[str, ObjectInfo]] = {}
        self.data: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def publish(self, folder: str, shards: Sequence[str], variants: Sequence[bytes]) -> None:
        """Publish shards at once, without a request: an actor does it."""
        for shard, data in zip(shards, itertools.cycle(variants), strict=False):
            key = shard_key(folder, shard)
            self.folders.setdefault(folder, {})[key] = ObjectInfo(len(data), 0.0)
            self.data[key] = data

    def wait(self, requests: int = 1) -> None:
        """Wait for the responses of consecutive requests."""
        with self._lock:
            self.num_requests += requests
        time.sleep(requests * self.latency_s)

    def list(self, prefix: str) -> dict[str, ObjectInfo]:
        keys = dict(self.folders.get(prefix, {}))
        self.wait(max(1, -(-len(keys) // PAGE)))
        return keys

    def open(self, key: str, size: int | None = None, e_tag: str | None = None) -> RangeReader:
        if size is None:
            self.wait()
        return RangeReader(self, key, len(self.data[key]), e_tag)

    def read_range(self, key: str, start: int, end: int, e_tag: str | None = None) -> bytes:
        self.wait()
        return self.data[key][start:end]

    def find(self, key: str) -> bytes | None:
        self.wait()
        return self.files.get(key)

    def read(self, key: str) -> bytes:
        self.wait()
        return self.files[key]

    def exists(self, key: str) -> bool:
        self.wait()
        return key in self.files

    def create(self, key: str, data: bytes) -> bool:
        self.wait()
        return self.files.setdefault(key, data) == data


def make_variants(folder: str, margin: float) -> list[tuple[bytes, ShardMetadata]]:
    """Return shards with the footers that the stage of a folder writes."""
    rng = np.random.default_rng(0)
    variants = []
    for _ in range(VARIANTS):
        match = rng.random(PER_SHARD) < 0.6
        losses = np.clip(np.where(match, rng.normal(0.1, 0.03, PER_SHARD), rng.normal(0.3, 0.05, PER_SHARD)), 0, None)
        histogram = LossHistogram(margin).counts(losses)
        filled = np.flatnonzero(histogram)
        bins = {"bins": filled.tolist(), "counts": histogram[filled].tolist()}
        counts, extra = {
            POSTS: ({"image=no_image": 12, "image=ok": 500}, {}),
            EMBEDDINGS: ({}, {"with_image": 500}),
            SCORES: ({}, {"histogram": bins, "cosine": [-0.1, 0.4]}),
            SYNTHESIZED: ({"synthesis=ok": PER_SHARD}, {"redraws": 0}),
            ARM: (
                {"image=no_image|synthesis=ok": 12, "image=ok|synthesis=ok": 500},
                {"ratio": {"0": 12, "blend": 500}, "theta": count_thetas(rng.random(500))},
            ),
        }[folder]
        table = pa.table({"id": [f"{value:019d}" for value in rng.integers(0, 2**62, PER_SHARD)]})
        variants.append(encode(table, stage=folder, identity="0" * 64, counts=counts, extra=extra))
    return variants


class Steps:
    """Times the parts of a job."""

    def __init__(self, store: SimulatedStore) -> None:
        self._store, self.total_s = store, 0.0
        print("| step | seconds | seconds of processor time | requests |\n|---|---|---|---|")

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start, cpu, requests = time.perf_counter(), time.process_time(), self._store.num_requests
        yield
        seconds = time.perf_counter() - start
        self.total_s += seconds
        cpu_s, num_requests = time.process_time() - cpu, self._store.num_requests - requests
        print(f"| {name} | {seconds:.1f} | {cpu_s:.1f} | {num_requests:,} |", flush=True)


def seconds_before(store: SimulatedStore, keys: Sequence[str]) -> float:
    """Return the seconds per footer as drivers read them before."""
    start = time.perf_counter()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: read_metadata(store, key), keys))
    return (time.perf_counter() - start) / len(keys)


def make_plan(shards: int) -> Plan:
    return Plan(
        posts={"train": (shards - shards // 20) * PER_SHARD, "test": shards // 20 * PER_SHARD},
        per_shard=PER_SHARD,
        seed=0,
        digest="0" * 64,
        types=["PER", "LOC", "ORG", "MISC"],
        rejected=0,
        repaired=0,
        labeled=0,
        source={},
        scratch="scratch/x",
        segments={},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=200_000)
    parser.add_argument("--latency", type=float, default=0.03)
    parser.add_argument("--sample", type=int, default=2_000)
    args = parser.parse_args()
    store, plan, settings = SimulatedStore(args.latency), make_plan(args.shards), load_settings("default")
    shards = plan.shards
    variants = {folder: make_variants(folder, settings.triplet.margin) for folder in (POSTS, *sum(EXECUTIONS, ()))}
    made_with = {"image": {"size": 512}, "clip": {"weights": "x"}}
    identities = {folder: {"stage": folder, "settings": made_with} for folder in variants}
    for folder, identity in identities.items():
        check_or_write_identity(store, folder, identity)
    post = Embeddings(["x"], *(np.zeros((1, 512), "<f2") for _ in range(2)), *(np.zeros(1, "S16") for _ in range(2)))
    bank = Bank.of([post], 1).to_bytes()
    store.publish(POSTS, shards, [data for data, _ in variants[POSTS]])

    print(f"{args.shards:,} shards of {PER_SHARD} posts, {args.latency * 1000:g} ms a request\n")
    sample = [shard_key(POSTS, shard) for shard in shards[: args.sample]]
    each_s = seconds_before(store, sample)
    print(
        f"before: {each_s * 1000:.2f} ms a footer ({len(sample):,} read) x {args.shards:,} shards x {PASSES} passes = "
        f"{each_s * args.shards * PASSES / 60:.1f} minutes\n"
    )
    facts = ShardFacts(store, plan, publishes=True)
    add_footers(facts, POSTS, shards, variants[POSTS])
    facts.publish(POSTS)  # by ingest

    def run(name: str) -> None:
        steps = Steps(store)
        facts = ShardFacts(store, plan, publishes=True)
        job = RunContext(store, settings, plan, {}, Cluster(is_local=False, autoscales=False), facts, quiet=True)
        with steps("listing of the posts"):
            assert not plan.missing_posts(facts)
        with steps("footers of the posts, plan of the executions"):
            plan_run(facts, plan, settings, ["adaptive"])
        for folders in EXECUTIONS:
            title = " and ".join(folders)
            with steps(f"{title}: listings before"):
                facts.list_all(folders)
                missing = [folder for folder in folders if len(facts.list(folder)) < len(shards)]
            for folder in missing:
                store.publish(folder, shards, [data for data, _ in variants[folder]])
                cpu_s = add_footers(facts, folder, shards, variants[folder])
                print(f"| {folder}: footers from actors, while they run | 0.0 | {cpu_s:.1f} | 0 |")
            with steps(f"{title}: listings after, tables"):
                for folder in missing:
                    facts.forget(folder)
                facts.list_all(missing)
                for folder in missing:
                    facts.publish(folder)
            if SCORES in folders:
                with steps("fit of the mixture"):
                    fit_model(job, "encoder", bank, accept_mixture=True)
        with steps("manifest and data set card"):
            _, counts = publish_manifest(job, "adaptive", identities[ARM], "generator")
        assert counts.total() == plan.total
        print(f"| **{name}** | **{steps.total_s:.1f}** | | |\n")

    run("after")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the driver, with the simulated store: {peak_mb:,.0f} MB\n\nthe finished run started again\n")
    run("after, again")
    sizes = {key: info.size for key, info in store.folders[POSTS].items()}
    start = time.perf_counter()
    read_all_metadata(store, sample, sizes)
    each_s = (time.perf_counter() - start) / len(sample)
    minutes = each_s * args.shards / 60
    print(f"a run without tables: {each_s * 1000:.2f} ms a footer, {minutes:.1f} minutes a folder, once")


def add_footers(
    facts: ShardFacts, folder: str, shards: Sequence[str], variants: Sequence[tuple[bytes, ShardMetadata]]
) -> float:
    """Add the footers lease by lease, as rows of Ray Data bring them. Returns the processor time of the driver."""
    footers, seconds = itertools.cycle([footer for _, footer in variants]), 0.0
    for start in range(0, len(shards), LEASE):
        lines = pack_footers({shard_key(folder, shard): next(footers) for shard in shards[start : start + LEASE]})
        cpu = time.process_time()
        facts.add(lines)
        seconds += time.process_time() - cpu
    return seconds


if __name__ == "__main__":
    main()
