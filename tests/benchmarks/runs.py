"""Small runs as input of the stages, and a stage's pass over them as one actor performs it."""

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

__all__ = ["demo_run", "enlarge_image", "local_ray", "one_actor"]


@contextmanager
def local_ray() -> Iterator[None]:
    """Run Ray on this machine, for the progress tracker that actors report to."""
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        yield
    finally:
        ray.shutdown()


def demo_run(folder: Path, settings: Settings, posts: int, image_size: int | None = None) -> tuple[Store, Plan]:
    """Ingest a demo corpus. `image_size`: width and height in pixels that every image is enlarged to, with noise."""
    corpus = folder / "corpus"
    write_corpus(corpus, posts=posts, missing=0, broken=0)
    if image_size is not None:
        for number, file in enumerate(sorted((corpus / "images").iterdir())):
            file.write_bytes(enlarge_image(file.read_bytes(), image_size, number))
    ingest(str(corpus), str(folder / "run"), settings, quiet=True)
    store = Store(folder / "run")
    plan = Plan.find(store)
    assert plan is not None
    return store, plan


def enlarge_image(data: bytes, size: int, seed: int) -> bytes:
    """Return a JPEG of `size` by `size` pixels that takes as long to decode as a photograph (1.5 bits per pixel)."""
    image = Image.open(io.BytesIO(data)).convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(seed).normal(0, 4, (size, size, 1))
    noisy = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    noisy.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def one_actor(stage: Stage[Any, Any], shards: Sequence[str]) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return `work` and `undo`: run one lease through a stage as an actor does, and remove what it published.

    The actor is set up once, in this process; it loads the next shard and publishes the previous one in threads.
    """
    actor = StageActor(stage, _start_tracker(), 3600.0)
    batch = {"lease": np.array([json.dumps(list(shards))]), "failure": np.array([""])}

    def work() -> None:
        failure = actor(batch)["failure"][0]
        assert not failure, failure

    def undo() -> None:
        for folder in {key.rpartition("/")[0] for shard in shards for key in stage.keys(shard)}:
            stage.store.delete(folder)
        ray.kill(actor._tracker)  # it would take a repeated shard for one that kills its actor
        actor._tracker = _start_tracker()

    return work, undo


def _start_tracker() -> Any:
    """Start a progress tracker and wait until it answers: its start is not part of a stage's work."""
    tracker = ProgressTracker.start({})
    ray.get(tracker.counts.remote())
    return tracker
