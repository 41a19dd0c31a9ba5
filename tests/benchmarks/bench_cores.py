"""What a CPU core does beside a GPU: seconds a post of each stage at 512 pixels, the models' own arithmetic left out.

    python tests/benchmarks/bench_cores.py [--posts 192]

Originals are photographs of 512 px. Prints what `ray_jobs/settings/presets/rates/cores.yaml` holds of it, in processor time,
which other people on the machine change little. The driver's share of a shard comes from `bench_actors.py`, and what a
command and an execution take beside their stages from `make bench`.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from amia.matching.bank import Bank
from amia.matching.settings import ClipSettings
from amia.matching.triplet import TripletSettings, losses
from ray_jobs.jobs import ingest
from ray_jobs.runtime.ray_log_filter import without_false_alarm
from ray_jobs.settings.job import Settings, load_settings
from ray_jobs.stages.embed import Embed
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store
from tests.benchmarks import mix, score
from tests.benchmarks.embed import save_vit_b_16
from tests.benchmarks.facts import machine
from tests.benchmarks.runs import demo_run, local_ray, one_actor

SIZE, ROUNDS = 512, 5


def spent(work: Callable[[], Any], undo: Callable[[], Any] = lambda: None) -> float:
    """Processor seconds of all threads of this process, the median of the rounds."""
    found = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
        undo()
    return float(np.median(found))


def ordering(arrange: Callable[..., Plan], told: list[float]) -> Callable[..., Plan]:
    def timed(*words: Any) -> Plan:
        begun = time.process_time()
        plan = arrange(*words)
        told.append(time.process_time() - begun)
        return plan

    return timed


def fetched(store: Store) -> float:
    lines = [json.loads(line) for key in store.list_sizes("log") for line in store.read(key).decode().splitlines()]
    return sum(line["cpu_s"] for line in lines if line["stage"] == "posts")


def embedded(store: Store, plan: Plan, settings: Settings) -> float:
    """Everything but the model: images decoded and scaled, texts tokenized."""
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
    return spent(lambda: [stage.load(shard) for shard in plan.shards])


def scored() -> float:
    bank = Bank.of([score.drawn(score.BANK, "bank", 0)], score.BANK)
    posts = score.drawn(512, "post", 1)
    losses(posts.select(range(8)), bank, TripletSettings(bank=score.BANK))  # what an actor does once
    return spent(lambda: losses(posts.select(range(512)), bank, TripletSettings(bank=score.BANK))) / 512


def kept(store: Store, plan: Plan, settings: Settings) -> float:
    """Encoding what a generator has drawn, and publishing it; the shards stay for `mixed`."""
    stage, drawn = mix.drawing(store, settings.image), list(mix._drawn(store, plan, settings.image))
    pixels = [mix._pixels(picture.file) for _, pictures in drawn for picture in pictures.drawn.values()]

    def publish() -> None:
        store.delete("synthesized")
        for shard, pictures in drawn:
            stage.publish(shard, pictures)

    return spent(lambda: [mix._file(each, settings.image) for each in pixels]) + spent(publish)


def mixed(store: Store, plan: Plan, settings: Settings) -> float:
    work, undo = one_actor(mix.mixing(store, plan, settings.image), plan.shards)
    return spent(work, undo)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=192)
    posts = parser.parse_args().posts
    settings = load_settings("demo", [f"per_shard={posts // 4}", f"image.size={SIZE}"])
    ordered: list[float] = []
    ingest._arrange = ordering(ingest._arrange, ordered)
    with tempfile.TemporaryDirectory() as folder, local_ray():
        store, plan = demo_run(Path(folder), settings, posts, enlarged=SIZE)

        cpu = {
            "posts": fetched(store),
            "embeddings": embedded(store, plan, settings),
            "synthesized": kept(store, plan, settings),
        }
        cpu["augmented"] = mixed(store, plan, settings)
        size = {name: sum(store.list_sizes(name).values()) / posts for name in ("posts", "synthesized")}
    about = machine()
    print(f"# {about['cpu']}, {about['cores']} cores, load {about['load']}; {posts} posts")
    for name, seconds in (*((name, value / posts) for name, value in cpu.items()), ("scores", scored())):
        print(f"{name}: cpu_s {seconds:.2g}" + (f", bytes {size[name]:.3g}" if name in size else ""))
    print(f"order_s: {ordered[0] / posts:.2g}")


if __name__ == "__main__":
    with without_false_alarm():
        main()
