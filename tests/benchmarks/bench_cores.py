"""Processor time of each stage per post at 512 pixels, without the arithmetic of the models.

    python -m tests.benchmarks.bench_cores [--posts 192]

This is the work of the CPU cores of a GPU machine. Originals have 512 px. Prints the values of
`ray_jobs/settings/presets/rates/cores.yaml`; other load on the machine affects processor time little. The driver's time
per shard comes from `bench_actors.py`, and the overhead of commands and executions from `make bench`.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from amia.matching.bank import Bank
from amia.matching.settings import ClipSettings
from amia.matching.triplet import TripletSettings, losses
from amia.readers import open_corpus
from ray_jobs.jobs import first_pass
from ray_jobs.runtime.cluster import connect
from ray_jobs.runtime.executor import run_locally
from ray_jobs.runtime.ray_log_filter import without_false_alarm
from ray_jobs.settings.job import Settings, load_settings
from ray_jobs.settings.rates import FIRST_PASS
from ray_jobs.stages.embed import Embed
from ray_jobs.storage.layout import POSTS, shard_keys
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store
from tests.benchmarks import mix, score
from tests.benchmarks.embed import save_vit_b_16
from tests.benchmarks.environment import machine
from tests.benchmarks.runs import demo_run, local_ray, one_actor

SIZE, ROUNDS = 512, 5


def measure(work: Callable[[], Any], undo: Callable[[], Any] = lambda: None) -> float:
    """Return the processor seconds of all threads of this process, the median of the rounds."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
        undo()
    return float(np.median(seconds))


def measure_first_pass(store: Store, plan: Plan, settings: Settings) -> dict[str, float]:
    """Return the seconds of each stage of the first pass, on the posts of a run with their images inside Parquet."""
    seconds: list[float] = []

    def timed(stage: Any, shards: Any) -> None:
        start = time.process_time()
        run_locally(stage, shards)
        seconds.append(time.process_time() - start)

    columns = ["id", "text", "image"]
    posts = pa.concat_tables([read_shard(store, key, columns) for key in shard_keys(POSTS, plan.shards)])
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(first_pass, "run_locally", timed):
        pq.write_table(posts, Path(folder, "posts.parquet"))
        for turn in range(ROUNDS):
            scratch = Store(Path(folder, f"run{turn}"))
            first_pass.run_first_pass(scratch, open_corpus(folder), settings, connect, quiet=True)
    return {name: float(np.median(seconds[number :: len(FIRST_PASS)])) for number, name in enumerate(FIRST_PASS)}


def measure_fetch(store: Store) -> float:
    lines = [json.loads(line) for key in store.list_sizes("log") for line in store.read(key).decode().splitlines()]
    return sum(line["cpu_s"] for line in lines if line["stage"] == "posts")


def measure_embed(store: Store, plan: Plan, settings: Settings) -> float:
    """Measure everything but the model: decoding and resizing images, tokenizing texts."""
    with tempfile.TemporaryDirectory() as folder:
        save_vit_b_16(Path(folder))
        stage = Embed(
            store,
            clip=ClipSettings(model=folder),
            images=settings.image,
            threads=1,
            weights="bench",
            posts="bench",
        )
        stage.setup()
    return measure(lambda: [stage.load(shard) for shard in plan.shards])


def measure_score() -> float:
    bank = Bank.of([score.random_embeddings(score.BANK, "bank", 0)], score.BANK)
    posts = score.random_embeddings(512, "post", 1)
    losses(posts.select(range(8)), bank, TripletSettings(bank=score.BANK))  # cached: an actor computes it once
    return measure(lambda: losses(posts.select(range(512)), bank, TripletSettings(bank=score.BANK))) / 512


def measure_synthesize(store: Store, plan: Plan, settings: Settings) -> float:
    """Measure encoding and publishing of synthesized images. The shards remain for `measure_mix`."""
    stage = mix.create_synthesize_stage(store, settings.image)
    shards = list(mix.fake_synthesized_images(store, plan, settings.image))
    pixels = [mix.to_pixels(image.file) for _, synthesized in shards for image in synthesized.images.values()]

    def publish() -> None:
        store.delete("synthesized")
        for shard, synthesized in shards:
            stage.publish(shard, synthesized)

    return measure(lambda: [mix.encode_pixels(image, settings.image) for image in pixels]) + measure(publish)


def measure_mix(store: Store, plan: Plan, settings: Settings) -> float:
    work, undo = one_actor(mix.create_mix_stage(store, plan, settings.image), plan.shards)
    return measure(work, undo)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=192)
    posts = parser.parse_args().posts
    settings = load_settings("demo", [f"per_shard={posts // 4}", f"image.size={SIZE}"])
    with tempfile.TemporaryDirectory() as folder, local_ray():
        store, plan = demo_run(Path(folder), settings, posts, image_size=SIZE)

        cpu = {
            **measure_first_pass(store, plan, settings),
            "posts": measure_fetch(store),
            "embeddings": measure_embed(store, plan, settings),
            "synthesized": measure_synthesize(store, plan, settings),
        }
        cpu["augmented"] = measure_mix(store, plan, settings)
        size = {name: sum(store.list_sizes(name).values()) / posts for name in ("posts", "synthesized")}
    info = machine()
    print(f"# {info['cpu']}, {info['cores']} cores, load {info['load']}; {posts} posts")
    for name, seconds in (*((name, value / posts) for name, value in cpu.items()), ("scores", measure_score())):
        print(f"{name}: cpu_s {seconds:.2g}" + (f", bytes {size[name]:.3g}" if name in size else ""))


if __name__ == "__main__":
    with without_false_alarm():
        main()
