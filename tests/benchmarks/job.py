"""The whole job on demo posts against one loop in one process over the same classes, on the same cores."""

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
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store
from tests.benchmarks.bench import Bench
from tests.benchmarks.facts import machine
from tests.benchmarks.harness import Line, figure
from tests.benchmarks.memory import Watched, watched

POSTS = 2000
THETA = 1e-3
STAGES = ("posts", "embeddings", "scores", "synthesized", "augmented")
Milestones = dict[str, float]
"""Seconds since the command was given."""


@dataclass(frozen=True)
class Told:
    """What `tests.benchmarks.timeline` says of one command, and the execution's log of what its actors did."""

    given: float
    """The clock when the command was given."""
    milestones: Milestones
    executions: list[tuple[float, float]]
    """From when to when, each that had work."""
    order_s: float
    log: list[list[dict[str, Any]]]
    """Of each execution, a line a shard."""

    @property
    def done(self) -> float:
        """Seconds from the command to its end."""
        return self.milestones["done"]

    @property
    def first_posts(self) -> list[float]:
        """When each execution's first post was begun."""
        return [min(_begun(line) for line in lines) - self.given for lines in self.log]

    @property
    def work_s(self) -> float:
        """Without start-up: the interpreter's, Ray's, and of each execution's processes, libraries and models."""
        waited = [first - begun for first, (begun, _) in zip(self.first_posts, self.executions, strict=True)]
        return self.done - self.milestones["Ray started"] - sum(waited)


def run(bench: Bench) -> None:
    """In turns, each in processes of its own; what both need until they can work is told apart and left out."""
    if bench.scale:
        _at_scale(bench)
        return
    posts = 400 if bench.quick else POSTS
    with bench.scratch() as scratch:
        corpus = scratch / "corpus"
        write_corpus(corpus, posts=posts, missing=0, broken=0)
        threads = _better_threads(scratch, posts // 10)
        rounds: list[tuple[Told, Told, Milestones]] = []
        for number in range(1 if bench.quick else 2):
            made = scratch / f"run-{number}"
            rounds.append((*job(corpus, made), _bare(corpus, scratch / "bare.parquet", threads, made)))
            equal = _alike(Store(made), scratch / "bare.parquet")
        bench.add(_line(rounds, posts, threads, equal))
        ingested, augmented, _ = rounds[-1]
        first = _first_post(augmented)
        bench.add(_parts(first))
        bench.rates["job"] = _rates(Store(made), posts, ingested, augmented) | {"first_post_s": first}
        bench.plan = rates_to_plan(Store(made), posts, ingested, augmented)


def job(corpus: Path, run: Path) -> tuple[Told, Told]:
    """`amia ingest` and `amia augment` with the demo's settings, each in a process of its own."""
    return _timeline("ingest", run, corpus), _timeline("augment", run)


def _timeline(verb: str, run: Path, *words: object) -> Told:
    store = Store(run)
    before = store.list("log").keys()
    told = _told("timeline", verb, run, *words)
    keys = sorted(store.list("log").keys() - before)  # named by when they began
    return Told(**told, log=[_lines(store, key) for key in keys if key.endswith(".jsonl")])


def _bare(corpus: Path, out: Path, threads: int, *run: Path) -> Milestones:
    told: Milestones = _told("bare", corpus, out, threads, *run)
    return told


def _told(module: str, *words: object) -> Any:
    """The JSON line that a command of ours ends with, given the moment when it was called."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", str(time.time()), *map(str, words)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{said.stderr[-3000:]}")
    return json.loads(said.stdout.splitlines()[-1])


def _better_threads(scratch: Path, posts: int) -> int:
    """The bare loop may take one thread or all cores: whichever is faster with these models, on a few posts."""
    few, cores = scratch / "few", len(os.sched_getaffinity(0))
    write_corpus(few, posts=posts, missing=0, broken=0)
    spent = {}
    for threads in sorted({1, cores}):
        told = _bare(few, scratch / "bare.parquet", threads)
        spent[threads] = told["done"] - told["loaded"]
    return min(spent, key=spent.__getitem__)


def _line(rounds: list[tuple[Told, Told, Milestones]], posts: int, threads: int, equal: str) -> Line:
    """Both sides without what they need until they can work: libraries and models, of the job in every process."""
    ratios, whole = [], []
    for ingested, augmented, bare in rounds:
        ratios.append((bare["done"] - bare["loaded"]) / (ingested.work_s + augmented.work_s))
        whole.append(bare["done"] / (ingested.done + augmented.done))
    return Line(
        "whole job, start-up paid",
        statistics.median(ratios),
        "x",
        min(ratios),
        max(ratios),
        0.9,
        ours="amia ingest, then amia augment --config demo",
        theirs=f"one loop in one process over the same classes, {threads} thread(s)",
        note=f"{posts} posts on the same cores; with all start-up {statistics.median(whole):.2f} x",
        details={
            "rounds": [
                {
                    "ingest": {"done": ingested.done, "work_s": ingested.work_s},
                    "augment": {"done": augmented.done, "work_s": augmented.work_s},
                    "executions": [*ingested.executions, *augmented.executions],
                    "first_posts": [*ingested.first_posts, *augmented.first_posts],
                    "bare": bare,
                }
                for ingested, augmented, bare in rounds
            ],
            "ratios": ratios,
            "with_start_up": whole,
            "equal": equal,
        },
    )


def _first_post(augmented: Told) -> Milestones:
    """The milestones of `amia augment` up to the first post, whose times stand in the run's log."""
    until = {name: at for name, at in augmented.milestones.items() if name != "done"}
    published = min(line["ended"] for line in augmented.log[0]) - augmented.given
    return {**until, "first post begun": augmented.first_posts[0], "first shard published": published}


def _parts(milestones: Milestones) -> Line:
    parts, before = [], 0.0
    for name, at in milestones.items():
        parts.append(f"{name} {at - before:+.1f}")
        before = at
    at = milestones["first post begun"]
    return figure("from `amia augment` to the first post", at, "s", note=", ".join(parts), milestones=milestones)


def _begun(line: dict[str, Any]) -> float:
    """When a shard was taken up."""
    return float(line["ended"] - line["load_s"] - line["run_s"] - line["publish_s"])


def _lines(store: Store, key: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in store.read(key).decode().splitlines()]


def _rates(store: Store, posts: int, *commands: Told) -> dict[str, Any]:
    """Per stage, over all its actors: seconds a post of each phase, posts a second of one actor, bytes a post."""
    found: dict[str, Any] = {}
    lines = [line for command in commands for log in command.log for line in log]
    for stage in STAGES:
        mine = [line for line in lines if line["stage"] == stage]
        actors = {(line["host"], line["pid"]) for line in mine}
        seconds = {name: sum(line[name] for line in mine) / posts for name in ("load_s", "run_s", "publish_s")}
        written = sum(store.list_sizes(stage).values()) / posts
        pace = {"posts_per_s": 1 / max(seconds.values()), "actors": len(actors), "bytes_per_post": written}
        found[stage] = {**pace, **{f"{name}_per_post": value for name, value in seconds.items()}}
    return found


def rates_to_plan(store: Store, posts: int, ingested: Told, augmented: Told) -> dict[str, Any]:
    """What `amia plan` takes, of a whole run on this machine: see `ray_jobs.settings.rates.Rates`."""
    commands, cores = (ingested, augmented), len(os.sched_getaffinity(0))
    logs = [lines for command in commands for lines in command.log]
    streaming = sum(max(line["ended"] for line in lines) - min(_begun(line) for line in lines) for lines in logs)
    source = f"measured: the whole job on {posts} posts with the demo's models, {cores} cores, {machine()['cpu']}"
    cpu_s, stages = 0.0, {}
    for stage in STAGES:
        spent = sum(line["cpu_s"] for lines in logs for line in lines if line["stage"] == stage)
        cpu_s += spent
        stages[stage] = {"cpu_s": spent / posts, "bytes": sum(store.list_sizes(stage).values()) / posts, "source": source}
    executions = sum(ended - begun for command in commands for begun, ended in command.executions)
    rest = {
        "order_s": ingested.order_s / posts,
        "command_s": (sum(each.done for each in commands) - executions - ingested.order_s) / len(commands),
        "execution_s": (executions - streaming) / len(logs),
        "efficiency": min(1.0, cpu_s / (cores * streaming)),
        "source": source,
    }
    if torch.cuda.is_available():
        return rest  # the demo's models are too small for a GPU, and its images for what cores do beside one
    return {"size": load_settings("demo").image.size, "stages": stages, **rest}


def _alike(store: Store, bare: Path) -> str:
    """theta and images of both, post by post."""
    plan = Plan.find(store)
    assert plan is not None
    mine = {
        row["id"]: row
        for shard in plan.shards
        for row in read_shard(store, f"augmented/adaptive/{shard}.parquet", ["id", "theta", "image"]).to_pylist()
    }
    theirs = pq.read_table(bare).to_pylist()
    assert len(mine) == len(theirs), f"{len(mine)} posts against {len(theirs)}"
    apart = max(abs(mine[row["id"]]["theta"] - row["theta"]) for row in theirs)
    levels = [np.abs(_pixels(mine[row["id"]]["image"]["bytes"]) - _pixels(row["image"])).mean() for row in theirs]
    assert apart < THETA, f"theta differs by {apart}"
    assert np.mean(levels) < 1, f"images differ by {np.mean(levels)} gray levels on average"
    return f"{len(mine):,} posts, theta equal to {apart:.0e}, images to {np.mean(levels):.2f} gray levels on average"


def _pixels(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"), np.float32)


def _at_scale(bench: Bench) -> None:
    """Memory of the whole job, driver and Ray and actors, must not grow with the corpus; and the job once, large."""
    small, large = (400, 1600) if bench.quick else (5000, 20_000)
    peaks: dict[int, Watched] = {}
    with bench.scratch() as scratch:
        threads = _better_threads(scratch, POSTS // 10)
        for posts in (small, large):
            corpus, made = scratch / "corpus", scratch / "run"
            write_corpus(corpus, posts=posts, missing=0, broken=0)
            with watched() as peaks[posts]:
                ingested, augmented = job(corpus, made)
            if posts == large:
                bare = _bare(corpus, scratch / "bare.parquet", threads, made)
                equal = _alike(Store(made), scratch / "bare.parquet")
                bench.add(_line([(ingested, augmented, bare)], posts, threads, equal))
            shutil.rmtree(corpus)
            shutil.rmtree(made)
    for name in ("together", "driver", "largest_actor"):
        few, many = (getattr(peaks[posts], name) for posts in (small, large))
        bench.add(
            figure(
                f"peak memory of the whole job, {name.replace('_', ' ')}, {large:,} posts : {small:,}",
                many / few,
                "x",
                aim=1.15,
                less=True,
                note=f"{few / 2**20:,.0f} MiB at {small:,}, {many / 2**20:,.0f} MiB at {large:,}",
            )
        )
