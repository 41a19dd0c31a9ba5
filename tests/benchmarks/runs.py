"""Small runs for the stages to work on, and a stage's pass over them as one actor makes it."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import ray
from PIL import Image

from amia.demo import write_corpus
from ray_jobs.jobs.ingest import ingest
from ray_jobs.runtime.progress import ProgressTracker
from ray_jobs.runtime.stage_actor import StageActor
from ray_jobs.settings.job import Settings
from ray_jobs.stages.base import Stage
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store

__all__ = ["demo_run", "local_ray", "one_actor", "photograph"]


@contextmanager
def local_ray() -> Iterator[None]:
    """Ray on this machine, for the board that actors report to."""
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        yield
    finally:
        ray.shutdown()


def demo_run(folder: Path, settings: Settings, posts: int, enlarged: int | None = None) -> tuple[Store, Plan]:
    """A drawn corpus, ingested; `enlarged` gives every image so many pixels a side, and grain as cameras leave it."""
    corpus = folder / "corpus"
    write_corpus(corpus, posts=posts, missing=0, broken=0)
    if enlarged is not None:
        for number, file in enumerate(sorted((corpus / "images").iterdir())):
            file.write_bytes(photograph(file.read_bytes(), enlarged, number))
    ingest(str(corpus), str(folder / "run"), settings, quiet=True)
    store = Store(folder / "run")
    plan = Plan.find(store)
    assert plan is not None
    return store, plan


def photograph(drawn: bytes, side: int, seed: int) -> bytes:
    """A JPEG of `side` by `side` pixels that costs a decoder what a photograph does (about 1.5 bits a pixel)."""
    picture = Image.open(io.BytesIO(drawn)).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(seed).normal(0, 4, (side, side, 1))
    grainy = Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    grainy.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def one_actor(stage: Stage[Any, Any], shards: Sequence[str]) -> tuple[Callable[[], None], Callable[[], None]]:
    """Takes one lease through a stage exactly as an actor does, loading ahead and publishing behind; and its undoing.

    The actor stands in this process, set up once; what it published is removed by the undoing.
    """
    actor = StageActor(stage, _standing())
    batch = {"lease": np.array([json.dumps(list(shards))]), "failure": np.array([""])}

    def work() -> None:
        failure = actor(batch)["failure"][0]
        assert not failure, failure

    def undo() -> None:
        for folder in {key.rpartition("/")[0] for shard in shards for key in stage.keys(shard)}:
            stage.store.delete(folder)
        ray.kill(actor._tracker)  # which would take a shard that comes again for one that kills its actor
        actor._tracker = _standing()

    return work, undo


def _standing() -> Any:
    """A board that answers: the start of its process is no part of a stage's work."""
    board = ProgressTracker.start()
    ray.get(board.counts.remote())
    return board
