"""What an embedding actor holds of a shard: photographs only a few at a time, whatever the shard's size."""

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from amia.matching.settings import ClipSettings
from ray_jobs.job import open_run
from ray_jobs.settings import load_settings
from ray_jobs.stages import embed
from ray_jobs.stages.embed import AT_ONCE, Embed
from ray_jobs.storage.store import Store


def test_photographs_of_a_shard_are_held_a_few_at_a_time(ingested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    store, settings = Store(ingested), load_settings("demo")
    plan, _ = open_run(store)
    clip = ClipSettings(model=settings.clip.model, device="cpu")
    stage = Embed(store, "a test", clip=clip, images=settings.image, threads=1)
    stage.setup()
    shard = plan.shards_of("train")[0]
    loaded = stage.load(shard)
    assert len(pictures) == len(loaded.image_rows) == len(loaded.levels) > AT_ONCE
    assert most <= AT_ONCE + 1, "one more for the name that the last one stands under"
    assert stage.run(loaded).table.num_rows == len(loaded.ids) == plan.rows_of(shard)
