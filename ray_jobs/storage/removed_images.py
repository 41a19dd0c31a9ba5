"""Synthesized images that were removed on purpose: known as removed, not as lost.

Every stage computes a lost shard again at its next start. Images that are in all arms need not be, so a record says
that they were removed. It is published before the first image is removed.
"""

import json
from dataclasses import asdict, dataclass

from amia.errors import RunError
from ray_jobs.storage.layout import REMOVED_IMAGES_FILE
from ray_jobs.storage.store import Store

__all__ = ["RemovedImages", "publish_removed_images", "read_removed_images", "removed_images_advice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedImages:
    """What was removed from `synthesized/`."""

    shards: int
    bytes: int
    arms: list[str]
    """Finished arms that the images were mixed into."""


def read_removed_images(store: Store) -> RemovedImages | None:
    """Return the record, or None if no images were removed. Raises RunError if amia did not write it."""
    if not store.exists(REMOVED_IMAGES_FILE):
        return None
    try:
        return RemovedImages(**json.loads(store.read(REMOVED_IMAGES_FILE)))
    except (ValueError, TypeError) as error:
        raise RunError(f"{REMOVED_IMAGES_FILE} in {store.address} was not written by amia: {error}") from error


def publish_removed_images(store: Store, removed: RemovedImages) -> None:
    """Publish the record, unless one exists."""
    store.create(REMOVED_IMAGES_FILE, json.dumps(asdict(removed), indent=1, sort_keys=True).encode())


def removed_images_advice(store: Store, arm: str) -> str:
    """Return the command that makes removed images again."""
    return f"`amia augment --run {store.address} --arm {arm} --synthesize-again`"
