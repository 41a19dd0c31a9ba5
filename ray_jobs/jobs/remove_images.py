"""Removal of the synthesized images of a run whose arms are all mixed, by `amia augment` or `amia gc --synthesized`.

The images of the arms stay, and so do the scores of the synthesized images. The order makes it resumable: record,
cards, images. Making the images again begins with removing the record; an interrupted start then continues as any
other.
"""

import json
from collections.abc import Sequence

from amia.errors import RunError
from amia.mixing.arms import needs_synthesis, needs_theta_synthesized
from ray_jobs.jobs.card import render_card
from ray_jobs.storage.facts import ShardFacts
from ray_jobs.storage.fingerprint import read_identity
from ray_jobs.storage.layout import (
    AUGMENTED,
    REMOVED_IMAGES_FILE,
    RETRY,
    SYNTHESIZED,
    SYNTHESIZED_SCORES,
    arm_folder,
    identity_key,
    manifest_key,
    readme_key,
    shard_keys,
)
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.removed_images import (
    RemovedImages,
    publish_removed_images,
    read_removed_images,
    removed_images_advice,
)
from ray_jobs.storage.store import Store

__all__ = ["allow_images_again", "check_images", "find_obstacle", "list_images", "remove_images"]


def check_images(store: Store, plan: Plan, arms: Sequence[str]) -> bool:
    """Return whether the synthesized images of a run were removed and `arms` do not need them.

    Raises RunError, with the command that makes them again, if an arm needs removed images.
    """
    if read_removed_images(store) is None:
        return False
    for arm in filter(needs_synthesis, arms):
        folders = [arm_folder(arm), *([SYNTHESIZED_SCORES] if needs_theta_synthesized(arm) else [])]
        if any(_unpublished(store, plan, folder) for folder in folders):
            raise RunError(
                f"arm {arm} needs the synthesized images of {store.address}, which were removed once the arms before "
                f"it were mixed: {removed_images_advice(store, arm)} makes the same ones again"
            )
    return True


def allow_images_again(store: Store, plan: Plan) -> None:
    """Forget that the images were removed, so that the next stage makes them again."""
    store.remove([REMOVED_IMAGES_FILE])
    _update_cards(store, plan)


def find_obstacle(store: Store, plan: Plan) -> str | None:
    """Return why the images cannot be removed yet; None if every arm that uses them is finished."""
    arms = [arm for arm in _arms(store) if needs_synthesis(arm)]
    if unfinished := [arm for arm in arms if not store.exists(manifest_key(arm_folder(arm)))]:
        return f"arm {unfinished[0]} is not finished"
    if not arms:
        return "no arm is mixed from them"
    if read_identity(store, SYNTHESIZED_SCORES) is not None and _unpublished(store, plan, SYNTHESIZED_SCORES):
        return "they are not all scored"
    if store.exists(identity_key(RETRY)):
        return "they were partly drawn again by `amia retry`, so they could not be made again from this run alone"
    return None


def list_images(store: Store) -> dict[str, int]:
    """Return the published shards of synthesized images with their sizes in bytes."""
    return {key: size for key, size in store.list_sizes(SYNTHESIZED).items() if key.endswith(".parquet")}


def remove_images(store: Store) -> None:
    """Remove the synthesized images, and say so in the cards of the arms. An interrupted removal is completed.

    Call it only if `find_obstacle` finds nothing.
    """
    images, plan = list_images(store), Plan.find(store)
    if plan is None or not images:
        return
    arms = [arm for arm in _arms(store) if needs_synthesis(arm)]
    publish_removed_images(store, RemovedImages(shards=len(images), bytes=sum(images.values()), arms=arms))
    _update_cards(store, plan)
    store.remove(list(images))


def _update_cards(store: Store, plan: Plan) -> None:
    """Write the cards of the finished arms again, which tell what was removed."""
    for folder in map(arm_folder, filter(needs_synthesis, _arms(store))):
        if store.exists(manifest_key(folder)):
            manifest = json.loads(store.read(manifest_key(folder)))
            store.replace(readme_key(folder), render_card(store, ShardFacts(store, plan), plan, manifest))


def _arms(store: Store) -> list[str]:
    """Return the arms that were started."""
    return sorted({key.split("/")[1] for key in store.list(AUGMENTED)})


def _unpublished(store: Store, plan: Plan, folder: str) -> bool:
    published = store.list(folder)
    return any(key not in published for key in shard_keys(folder, plan.shards))
