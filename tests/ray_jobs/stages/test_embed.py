"""Decoding of photographs in an embedding actor: its threads, and how many images are in memory."""

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from amia.matching.settings import ClipSettings
from ray_jobs.jobs import scoring
from ray_jobs.jobs.context import RunContext, open_run
from ray_jobs.runtime import cluster
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.settings.job import load_settings
from ray_jobs.stages import embed
from ray_jobs.stages.base import MAX_DECODED
from ray_jobs.stages.embed import Embed
from ray_jobs.storage.facts import ShardFacts
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store


def create_stage(run: Path, decoders: int) -> tuple[Embed, Plan]:
    store, settings = Store(run), load_settings("demo")
    plan, _ = open_run(store)
    clip = ClipSettings(model=settings.clip.model, device="cpu")
    stage = Embed(store, clip=clip, images=settings.image, threads=1, decoders=decoders, weights="", posts="")
    stage.setup()
    return stage, plan


def test_decoding_threads_do_not_change_vectors(ingested: Path) -> None:
    single_threaded, plan = create_stage(ingested, 1)
    multithreaded, _ = create_stage(ingested, 3)
    for shard in plan.shards:
        expected = single_threaded.run(single_threaded.load(shard)).table
        assert multithreaded.run(multithreaded.load(shard)).table.equals(expected)


@pytest.mark.parametrize(("is_local", "decoders"), [(True, 2), (False, 5)])
def test_actor_decodes_on_each_of_its_cores(
    ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_local: bool, decoders: int
) -> None:
    monkeypatch.setattr(cluster, "resources", lambda: {"CPU": 2.0})  # limits a local cluster only
    plan, posts = open_run(Store(ingested))
    settings = load_settings("demo", ["pools.embed.cpus=5"])
    store, machines = Store(tmp_path), Cluster(is_local=is_local, autoscales=False)
    job = RunContext(store, settings, plan, posts, machines, ShardFacts(store, plan))
    stage = scoring._create_embed(job, "weights")
    assert stage._decoders == job.decoders(settings.pools.predict.model_copy(update={"cpus": 5})) == decoders


@pytest.mark.parametrize("decoders", [1, 2, 3])
def test_limits_decoded_images_in_memory(ingested: Path, monkeypatch: pytest.MonkeyPatch, decoders: int) -> None:
    images: list[weakref.ref[Image.Image]] = []
    max_alive = 0

    def decode_and_count(data: bytes, *args: Any, **kwargs: Any) -> Image.Image:
        nonlocal max_alive
        image = decode(data, *args, **kwargs)
        gc.collect()
        images.append(weakref.ref(image))
        max_alive = max(max_alive, sum(reference() is not None for reference in images))
        return image

    decode = embed.decode
    monkeypatch.setattr(embed, "decode", decode_and_count)
    stage, plan = create_stage(ingested, decoders)
    shard = plan.shards_of("train")[0]
    gc.freeze()  # the million objects of the model libraries would be searched at every image
    loaded = stage.load(shard)
    gc.unfreeze()
    assert len(images) == len(loaded.image_rows) == len(loaded.pixels) > MAX_DECODED
    assert max_alive <= MAX_DECODED + decoders, "one more per thread: a local variable still refers to its last image"
    assert stage.run(loaded).table.num_rows == len(loaded.ids) == plan.rows_of(shard)
