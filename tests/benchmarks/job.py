"""job: the whole job on demo posts, compared with one loop in one process over the same classes on the same cores."""

import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

from amia.demo import write_corpus
from ray_jobs.settings.job import load_settings
from ray_jobs.storage.layout import AUGMENTED, EMBEDDINGS, LOG, POSTS, SCORES, SYNTHESIZED, arm_folder, shard_key
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store
from tests.benchmarks.bench import Bench
from tests.benchmarks.environment import machine
from tests.benchmarks.harness import Line, figure
from tests.benchmarks.memory import PeakMemory, watch_memory

NUM_POSTS = 2000
MAX_THETA_DIFFERENCE = 1e-3
STAGES = (POSTS, EMBEDDINGS, SCORES, SYNTHESIZED, AUGMENTED)
Milestones = dict[str, float]
"""Seconds since the command was started."""


@dataclass(frozen=True)
class Timeline:
    """Output of `tests.benchmarks.timeline` for one command, and the log of its executions."""

    given: float
    """Time at which the command was started, in seconds since 1970."""
    milestones: Milestones
    executions: list[tuple[float, float]]
    """Start and end of each execution that had work."""
    order_s: float
    log: list[list[dict[str, Any]]]
    """One line per shard, by execution."""

    @property
    def done(self) -> float:
        """Seconds from the start of the command to its end."""
        return self.milestones["done"]

    @property
    def first_posts(self) -> list[float]:
        """Seconds until each execution started with its first post."""
        return [min(_shard_start(line) for line in lines) - self.given for lines in self.log]

    @property
    def work_s(self) -> float:
        """Seconds without start-up: of the interpreter, of Ray, and of the processes and models of each execution."""
        startup = [first - start for first, (start, _) in zip(self.first_posts, self.executions, strict=True)]
        return self.done - self.milestones["Ray started"] - sum(startup)


def run(bench: Bench) -> None:
    """Run both sides by turns, each in its own processes. Start-up is measured separately and excluded."""
    if bench.scale:
        _run_at_scale(bench)
        return
    posts = 400 if bench.quick else NUM_POSTS
    with bench.scratch() as scratch:
        corpus = scratch / "corpus"
        write_corpus(corpus, posts=posts, missing=0, broken=0)
        threads = _best_threads(scratch, posts // 10)
        rounds: list[tuple[Timeline, Timeline, Milestones]] = []
        for number in range(1 if bench.quick else 2):
            run_folder = scratch / f"run-{number}"
            rounds.append(
                (*run_job(corpus, run_folder), _run_loop(corpus, scratch / "loop.parquet", threads, run_folder))
            )
            equal = _check_equal(Store(run_folder), scratch / "loop.parquet")
        bench.add(_ratio_line(rounds, posts, threads, equal))
        ingest, augment, _ = rounds[-1]
        first = _first_post_milestones(augment)
        bench.add(_startup_line(first))
        bench.rates["job"] = _rates(Store(run_folder), posts, ingest, augment) | {"first_post_s": first}
        bench.plan = rates_to_plan(Store(run_folder), posts, ingest, augment)


def run_job(corpus: Path, run: Path) -> tuple[Timeline, Timeline]:
    """Run `amia ingest` and `amia augment` with the demo's settings, each in its own process."""
    return _run_command("ingest", run, corpus), _run_command("augment", run)


def _run_command(verb: str, run: Path, *args: object) -> Timeline:
    store = Store(run)
    before = store.list(LOG).keys()
    output = _run_module("timeline", verb, run, *args)
    keys = sorted(store.list(LOG).keys() - before)  # names begin with the start time
    return Timeline(**output, log=[_read_log(store, key) for key in keys if key.endswith(".jsonl")])


def _run_loop(corpus: Path, out: Path, threads: int, *run: Path) -> Milestones:
    milestones: Milestones = _run_module("plain_loop", corpus, out, threads, *run)
    return milestones


def _run_module(module: str, *args: object) -> Any:
    """Run a module of this package with the current time as its first argument, and return the JSON that it prints."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", str(time.time()), *map(str, args)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{process.stderr[-3000:]}")
    return json.loads(process.stdout.splitlines()[-1])


def _best_threads(scratch: Path, posts: int) -> int:
    """Return the faster of one thread and all cores for the plain loop, measured on a few posts."""
    corpus, cores = scratch / "small-corpus", len(os.sched_getaffinity(0))
    write_corpus(corpus, posts=posts, missing=0, broken=0)
    seconds = {}
    for threads in sorted({1, cores}):
        milestones = _run_loop(corpus, scratch / "loop.parquet", threads)
        seconds[threads] = milestones["done"] - milestones["loaded"]
    return min(seconds, key=seconds.__getitem__)


def _ratio_line(rounds: list[tuple[Timeline, Timeline, Milestones]], posts: int, threads: int, equal: str) -> Line:
    """Return the ratio of both sides without start-up: libraries and models, of the job in every process."""
    ratios, total_ratios = [], []
    for ingest, augment, loop in rounds:
        ratios.append((loop["done"] - loop["loaded"]) / (ingest.work_s + augment.work_s))
        total_ratios.append(loop["done"] / (ingest.done + augment.done))
    return Line(
        "whole job, start-up paid",
        statistics.median(ratios),
        "x",
        min(ratios),
        max(ratios),
        0.9,
        ours="amia ingest, then amia augment --config demo",
        theirs=f"one loop in one process over the same classes, {threads} thread(s)",
        note=f"{posts} posts on the same cores; with all start-up {statistics.median(total_ratios):.2f} x",
        details={
            "rounds": [
                {
                    "ingest": {"done": ingest.done, "work_s": ingest.work_s},
                    "augment": {"done": augment.done, "work_s": augment.work_s},
                    "executions": [*ingest.executions, *augment.executions],
                    "first_posts": [*ingest.first_posts, *augment.first_posts],
                    "bare": loop,
                }
                for ingest, augment, loop in rounds
            ],
            "ratios": ratios,
            "with_start_up": total_ratios,
            "equal": equal,
        },
    )


def _first_post_milestones(augment: Timeline) -> Milestones:
    """Return the milestones of `amia augment` up to the first post, whose times are in the run's log."""
    milestones = {name: seconds for name, seconds in augment.milestones.items() if name != "done"}
    published = min(line["ended"] for line in augment.log[0]) - augment.given
    return {**milestones, "first post begun": augment.first_posts[0], "first shard published": published}


def _startup_line(milestones: Milestones) -> Line:
    steps, previous = [], 0.0
    for name, seconds in milestones.items():
        steps.append(f"{name} {seconds - previous:+.1f}")
        previous = seconds
    total = milestones["first post begun"]
    return figure("from `amia augment` to the first post", total, "s", note=", ".join(steps), milestones=milestones)


def _shard_start(line: dict[str, Any]) -> float:
    """Return the time at which an actor started to load a shard."""
    return float(line["ended"] - line["load_s"] - line["run_s"] - line["publish_s"])


def _read_log(store: Store, key: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in store.read(key).decode().splitlines()]


def _rates(store: Store, posts: int, *commands: Timeline) -> dict[str, Any]:
    """Return for each stage: seconds per post of each phase, posts per second of one actor, bytes per post."""
    rates: dict[str, Any] = {}
    lines = [line for command in commands for log in command.log for line in log]
    for stage in STAGES:
        stage_lines = [line for line in lines if line["stage"] == stage]
        actors = {(line["host"], line["pid"]) for line in stage_lines}
        seconds = {name: sum(line[name] for line in stage_lines) / posts for name in ("load_s", "run_s", "publish_s")}
        size = sum(store.list_sizes(stage).values()) / posts
        rate = {"posts_per_s": 1 / max(seconds.values()), "actors": len(actors), "bytes_per_post": size}
        rates[stage] = {**rate, **{f"{name}_per_post": value for name, value in seconds.items()}}
    return rates


def rates_to_plan(store: Store, posts: int, ingest: Timeline, augment: Timeline) -> dict[str, Any]:
    """Return the rates of a whole run on this machine for `amia plan`; see `ray_jobs.settings.rates.Rates`."""
    commands, cores = (ingest, augment), len(os.sched_getaffinity(0))
    logs = [lines for command in commands for lines in command.log]
    streaming = sum(max(line["ended"] for line in lines) - min(_shard_start(line) for line in lines) for lines in logs)
    source = f"measured: the whole job on {posts} posts with the demo's models, {cores} cores, {machine()['cpu']}"
    total_cpu_s = 0.0
    stages: dict[str, dict[str, Any]] = {}
    for stage in STAGES:
        cpu_s = sum(line["cpu_s"] for lines in logs for line in lines if line["stage"] == stage)
        total_cpu_s += cpu_s
        size = sum(store.list_sizes(stage).values())
        stages[stage] = {"cpu_s": cpu_s / posts, "bytes": size / posts, "source": source}
    # The source is one split, which the driver reads and sorts: the two were measured together.
    stages["read"] = {"cpu_s": ingest.order_s / posts, "source": f"{source}; with `sort`"}
    stages["sort"] = {"cpu_s": 0.0, "source": f"{source}; in `read`"}
    executions = sum(end - start for command in commands for start, end in command.executions)
    rates = {
        "command_s": (sum(command.done for command in commands) - executions - ingest.order_s) / len(commands),
        "execution_s": (executions - streaming) / len(logs),
        "efficiency": min(1.0, total_cpu_s / (cores * streaming)),
        "source": source,
    }
    if torch.cuda.is_available():
        return rates  # demo models and images are too small to represent the cores of a GPU machine
    return {"size": load_settings("demo").image.size, "stages": stages, **rates}


def _check_equal(store: Store, loop_file: Path) -> str:
    """Compare theta and images of both sides post by post."""
    plan = Plan.find(store)
    assert plan is not None
    job_rows = {
        row["id"]: row
        for shard in plan.shards
        for row in read_shard(store, shard_key(arm_folder("adaptive"), shard), ["id", "theta", "image"]).to_pylist()
    }
    loop_rows = pq.read_table(loop_file).to_pylist()
    assert len(job_rows) == len(loop_rows), f"{len(job_rows)} posts, but {len(loop_rows)} in the loop"
    theta = max(abs(job_rows[row["id"]]["theta"] - row["theta"]) for row in loop_rows)
    levels = [
        np.abs(_to_pixels(job_rows[row["id"]]["image"]["bytes"]) - _to_pixels(row["image"])).mean() for row in loop_rows
    ]
    assert theta < MAX_THETA_DIFFERENCE, f"theta differs by {theta}"
    assert np.mean(levels) < 1, f"images differ by {np.mean(levels)} gray levels on average"
    return (
        f"{len(job_rows):,} posts, theta equal to {theta:.0e}, images to {np.mean(levels):.2f} gray levels on average"
    )


def _to_pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float32)


def _run_at_scale(bench: Bench) -> None:
    """Check that memory of the whole job (driver, Ray and actors) does not grow with the corpus; time the large job."""
    small, large = (400, 1600) if bench.quick else (5000, 20_000)
    peaks: dict[int, PeakMemory] = {}
    with bench.scratch() as scratch:
        threads = _best_threads(scratch, NUM_POSTS // 10)
        for posts in (small, large):
            corpus, run_folder = scratch / "corpus", scratch / "run"
            write_corpus(corpus, posts=posts, missing=0, broken=0)
            with watch_memory() as peaks[posts]:
                ingest, augment = run_job(corpus, run_folder)
            if posts == large:
                loop = _run_loop(corpus, scratch / "loop.parquet", threads, run_folder)
                equal = _check_equal(Store(run_folder), scratch / "loop.parquet")
                bench.add(_ratio_line([(ingest, augment, loop)], posts, threads, equal))
            shutil.rmtree(corpus)
            shutil.rmtree(run_folder)
    for name in ("together", "driver", "largest_actor"):
        small_peak, large_peak = (getattr(peaks[posts], name) for posts in (small, large))
        bench.add(
            figure(
                f"peak memory of the whole job, {name.replace('_', ' ')}, {large:,} posts : {small:,}",
                large_peak / small_peak,
                "x",
                aim=1.15,
                less=True,
                note=f"{small_peak / 2**20:,.0f} MiB at {small:,}, {large_peak / 2**20:,.0f} MiB at {large:,}",
            )
        )
