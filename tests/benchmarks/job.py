"""The whole job on demo posts against one loop in one process over the same classes, on the same cores."""

import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

from amia.demo import write_corpus
from ray_jobs.settings import load_settings
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
SUMS = ("executions", "executions_s", "order_s")
"""What stands beside the milestones."""

Milestones = dict[str, float]


def run(bench: Bench) -> None:
    """In turns, each in processes of its own; what both need until they can work is told apart and left out."""
    if bench.scale:
        _at_scale(bench)
        return
    posts = 400 if bench.quick else POSTS
    with bench.scratch() as scratch:
        corpus = scratch / "corpus"
        write_corpus(corpus, posts=posts, missing=0, broken=0)
        threads = _better_threads(corpus, scratch)
        rounds: list[tuple[Milestones, Milestones, Milestones]] = []
        first: list[Milestones] = []
        for number in range(1 if bench.quick else 2):
            made = scratch / f"run-{number}"
            ingested, augmented = _job(corpus, made)
            rounds.append((ingested, augmented, _bare(corpus, scratch / "bare.parquet", threads)))
            store = Store(made)
            first.append(_first_post(store, augmented))
            equal = _alike(store, scratch / "bare.parquet")
        bench.add(_line(rounds, [each["first post begun"] for each in first], posts, threads, equal))
        bench.add(_parts(first[-1]))
        bench.rates["job"] = _rates(store, posts) | {"first_post_s": first[-1]}
        bench.plan = rates_to_plan(store, posts, *rounds[-1][:2])


def _job(corpus: Path, run: Path) -> tuple[Milestones, Milestones]:
    return _told("timeline", "ingest", run, corpus), _told("timeline", "augment", run)


def _bare(corpus: Path, out: Path, threads: int) -> Milestones:
    return _told("bare", corpus, out, threads)


def _told(module: str, *words: object) -> Milestones:
    """The JSON line that a command of ours ends with, given the moment when it was called."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", str(time.time()), *map(str, words)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{said.stderr[-3000:]}")
    told: Milestones = json.loads(said.stdout.splitlines()[-1])
    return told


def _better_threads(corpus: Path, scratch: Path) -> int:
    """The bare loop may take one thread or all cores: whichever is faster with these models."""
    cores = len(os.sched_getaffinity(0))
    spent = {}
    for threads in sorted({1, cores}):
        told = _bare(corpus, scratch / "bare.parquet", threads)
        spent[threads] = told["done"] - told["loaded"]
    return min(spent, key=spent.__getitem__)


def _line(
    rounds: list[tuple[Milestones, Milestones, Milestones]],
    ready: list[float],
    posts: int,
    threads: int,
    equal: str,
) -> Line:
    """Start-up is everything before the first post of ingest's second pass, and of augment's first stage."""
    ratios, whole = [], []
    for (ingested, augmented, bare), begun in zip(rounds, ready, strict=True):
        ours = ingested["done"] - ingested["Ray started"] + augmented["done"] - begun
        ratios.append((bare["done"] - bare["loaded"]) / ours)
        whole.append(bare["done"] / (ingested["done"] + augmented["done"]))
    return Line(
        "whole job, start-up paid",
        statistics.median(ratios),
        "x",
        min(ratios),
        max(ratios),
        0.9,
        ours="amia ingest, then amia augment --config demo",
        theirs=f"one loop in one process over the same classes, {threads} thread(s)",
        note=f"{posts} posts on the same cores; with start-up {statistics.median(whole):.2f} x",
        details={"rounds": rounds, "ratios": ratios, "with_start_up": whole, "equal": equal},
    )


def _first_post(store: Store, augmented: Milestones) -> Milestones:
    """The milestones of `amia augment` up to the first post, whose times stand in the run's log."""
    lines = [line for line in _log(store) if line["stage"] == "embeddings"]
    first = min(lines, key=lambda line: line["ended"])
    until = {name: at for name, at in augmented.items() if name not in ("done", *SUMS)}
    begun = first["ended"] - sum(first[name] for name in ("load_s", "run_s", "publish_s")) - augmented["given"]
    return {**until, "first post begun": begun, "first shard published": first["ended"] - augmented["given"]}


def _parts(milestones: Milestones) -> Line:
    parts, before = [], 0.0
    for name, at in milestones.items():
        if name != "given":
            parts.append(f"{name} {at - before:+.1f}")
            before = at
    at = milestones["first post begun"]
    return figure("from `amia augment` to the first post", at, "s", note=", ".join(parts), milestones=milestones)


def _log(store: Store) -> list[dict[str, Any]]:
    keys = [key for key in store.sizes("log") if key.endswith(".jsonl")]
    return [json.loads(line) for key in keys for line in store.read(key).decode().splitlines()]


def _rates(store: Store, posts: int) -> dict[str, Any]:
    """Per stage, over all its actors: seconds a post of each phase, posts a second of one actor, bytes a post."""
    found: dict[str, Any] = {}
    lines = _log(store)
    for stage in STAGES:
        mine = [line for line in lines if line["stage"] == stage]
        actors = {(line["host"], line["pid"]) for line in mine}
        seconds = {name: sum(line[name] for line in mine) / posts for name in ("load_s", "run_s", "publish_s")}
        written = sum(store.sizes(stage).values()) / posts
        pace = {"posts_per_s": 1 / max(seconds.values()), "actors": len(actors), "bytes_per_post": written}
        found[stage] = {**pace, **{f"{name}_per_post": value for name, value in seconds.items()}}
    return found


def rates_to_plan(store: Store, posts: int, ingested: Milestones, augmented: Milestones) -> dict[str, Any]:
    """What `amia plan` takes, of a whole run on this machine: see `ray_jobs.planning.rates.Rates`."""
    commands, cores = (ingested, augmented), len(os.sched_getaffinity(0))
    streaming, cpu_s, stages = 0.0, 0.0, {}
    for key in store.sizes("log"):
        lines = [json.loads(line) for line in store.read(key).decode().splitlines()]
        begun = min(line["ended"] - line["load_s"] - line["run_s"] - line["publish_s"] for line in lines)
        streaming += max(line["ended"] for line in lines) - begun
    source = f"measured: the whole job on {posts} posts with the demo's models, {cores} cores, {machine()['cpu']}"
    for stage in STAGES:
        spent = sum(line["cpu_s"] for line in _log(store) if line["stage"] == stage)
        cpu_s += spent
        stages[stage] = {"cpu_s": spent / posts, "bytes": sum(store.sizes(stage).values()) / posts, "source": source}
    executions = sum(each["executions_s"] for each in commands)
    rest = {
        "order_s": ingested["order_s"] / posts,
        "command_s": (sum(each["done"] for each in commands) - executions - ingested["order_s"]) / len(commands),
        "execution_s": (executions - streaming) / sum(each["executions"] for each in commands),
        "efficiency": min(1.0, cpu_s / (cores * streaming)),
        "source": source,
    }
    if torch.cuda.is_available():
        return rest  # the demo's models are too small for a GPU, and its pictures for what cores do beside one
    return {"size": load_settings("demo").image.size, "stages": stages, **rest}


def _alike(store: Store, bare: Path) -> str:
    """theta and pictures of both, post by post."""
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
    assert np.mean(levels) < 1, f"pictures differ by {np.mean(levels)} grey levels on average"
    return f"{len(mine):,} posts, theta equal to {apart:.0e}, pictures to {np.mean(levels):.2f} grey levels on average"


def _pixels(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"), np.float32)


def _at_scale(bench: Bench) -> None:
    """Memory of the whole job, driver and Ray and actors, must not grow with the corpus; and the job once, large."""
    small, large = (400, 1600) if bench.quick else (5000, 20_000)
    peaks: dict[int, Watched] = {}
    with bench.scratch() as scratch:
        for posts in (small, large):
            corpus, made = scratch / "corpus", scratch / "run"
            write_corpus(corpus, posts=posts, missing=0, broken=0)
            with watched() as peaks[posts]:
                ingested, augmented = _job(corpus, made)
            begun = _first_post(Store(made), augmented)["first post begun"]
            if posts == large:
                bare = _bare(corpus, scratch / "bare.parquet", 1)
                equal = _alike(Store(made), scratch / "bare.parquet")
                bench.add(_line([(ingested, augmented, bare)], [begun], posts, 1, equal))
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
