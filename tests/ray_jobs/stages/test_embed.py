"""What an embedding actor holds of a shard: photographs only a few at a time, whatever the shard's size."""

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from amia.matching.settings import ClipSettings
from ray_jobs.jobs import scoring as measuring
from ray_jobs.jobs.context import RunContext, open_run
from ray_jobs.runtime import cluster as machines
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.settings.job import load_settings
from ray_jobs.stages import embed
from ray_jobs.stages.embed import AT_ONCE, Embed
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store


def staged(run: Path, decoders: int) -> tuple[Embed, Plan]:
    store, settings = Store(run), load_settings("demo")
    plan, _ = open_run(store)
    clip = ClipSettings(model=settings.clip.model, device="cpu")
    stage = Embed(store, "a test", clip=clip, images=settings.image, threads=1, decoders=decoders)
    stage.setup()
    return stage, plan


def test_threads_that_decode_change_nothing(ingested: Path) -> None:
    one, plan = staged(ingested, 1)
    three, _ = staged(ingested, 3)
    for shard in plan.shards:
        assert one.run(one.load(shard)).table.equals(three.run(three.load(shard)).table)


@pytest.mark.parametrize(("own", "decoders"), [(True, 2), (False, 5)])
def test_as_many_threads_decode_as_an_actor_has_cores(
    ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool, decoders: int
) -> None:
    monkeypatch.setattr(machines, "resources", lambda: {"CPU": 2.0})  # what a cluster has is not a job's business
    plan, posts = open_run(Store(ingested))
    settings = load_settings("demo", ["pools.embed.cpus=5"])
    job = RunContext(Store(tmp_path), settings, plan, posts, Cluster(is_local=own, autoscales=False))
    stage, _ = measuring._embed(job, "weights")
    assert stage._decoders == job.decoders(settings.pools.predict.model_copy(update={"cpus": 5})) == decoders


@pytest.mark.parametrize("decoders", [1, 2, 3])
def test_photographs_of_a_shard_are_held_a_few_at_a_time(
    ingested: Path, monkeypatch: pytest.MonkeyPatch, decoders: int
) -> None:
    pictures: list[weakref.ref[Image.Image]] = []
    most = 0

    def watched(data: bytes, *given: Any, **named: Any) -> Image.Image:
        nonlocal most
        picture = decode(data, *given, **named)
        gc.collect()
        pictures.append(weakref.ref(picture))
        most = max(most, sum(each() is not None for each in pictures))
        return picture

    decode = embed.decode
    monkeypatch.setattr(embed, "decode", watched)
    stage, plan = staged(ingested, decoders)
    shard = plan.shards_of("train")[0]
    loaded = stage.load(shard)
    assert len(pictures) == len(loaded.image_rows) == len(loaded.levels) > AT_ONCE
    assert most <= AT_ONCE + decoders, "one more of each thread for the name that its last one stands under"
    assert stage.run(loaded).table.num_rows == len(loaded.ids) == plan.rows_of(shard)
