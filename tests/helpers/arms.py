"""Finished arms, written without `amia augment` and its models."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from amia.images import ImageSettings, encode_jpeg
from amia.mner.spans import label_names
from ray_jobs.settings.job import load_settings
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.schemas import augmented_schema
from ray_jobs.storage.shards import encode, read_shard
from ray_jobs.storage.store import Store

Row = dict[str, Any]


def noise_jpeg(row: Row, images: ImageSettings) -> bytes:
    """Return an image of noise that depends on the post's id."""
    noise = np.random.default_rng(list(row["id"].encode())).integers(0, 256, (8, 8, 3), np.uint8)
    pixels = np.kron(noise, np.ones((images.size // 8, images.size // 8, 1), np.uint8))
    return encode_jpeg(pixels, images.quality, source="original")


def write_arm(
    run: Path,
    arm: str = "original",
    images: ImageSettings = ImageSettings(size=256),  # noqa: B008 - frozen
    make_image: Callable[[Row, ImageSettings], bytes | None] = noise_jpeg,
) -> None:
    """Write a finished arm of an ingested run: images by `make_image`, and a manifest with the keys that are read."""
    store = Store(run)
    plan = Plan.find(store)
    assert plan is not None
    numbers = {name: number for number, name in enumerate(label_names(plan.types))}
    schema = augmented_schema(plan.types)
    files = []
    for shard in plan.shards:
        rows = []
        for post in read_shard(store, f"posts/{shard}.parquet").to_pylist():
            data = make_image(post, images)
            rows.append(
                {name: post.get(name) for name in schema.names}
                | {"ner_tags": post["ner_tags"] and [numbers[tag] for tag in post["ner_tags"]]}
                | {"image": data and {"bytes": data, "path": f"{post['id']}.jpg"}, "ratio": data and 1.0, "theta": 0.0}
                | {"synthesis_status": "not_asked"}
            )
        data, metadata = encode(
            pa.Table.from_pylist(rows, schema),
            stage=f"augmented/{arm}",
            identity="",
            counts=Counter(f"image={row['image_status']}|synthesis=not_asked" for row in rows),
            extra={"ratio": {"1": len(rows)}},
            schema_metadata=schema.metadata,
        )
        store.create(f"augmented/{arm}/{shard}.parquet", data)
        files.append({"name": f"{shard}.parquet", "rows": metadata.rows, "sha256": metadata.sha256})
    manifest = {
        "arm": arm,
        "files": files,
        "generator": None,
        "identity": {"settings": {"image": images.model_dump(include={"size", "fit", "quality"})}},
        "settings": load_settings("default").model_dump(mode="json", exclude={"pools", "wait_for_gpus_s"}),
    }
    store.create(f"augmented/{arm}/manifest.json", json.dumps(manifest).encode())
