"""Replacement of the posts of the bank that are removed from a run.

The mixture stays frozen, and so do the published scores: theta of the posts that stay does not change. The bank gets a
new generation for images that are scored later. A removed post is replaced by the next training post in the order of
the plan that has an image and is not in the bank: the bank is that of a corpus without the removed posts. A loss of
eqs. 1-7 is an expectation over the bank, so it moves by about the share of the bank that was replaced.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from amia.matching.bank import Bank, Embeddings
from amia.matching.model import BANK_FILE, MIXTURE_FILE, renewed_files
from ray_jobs.jobs.mixture import find_bank, read_matching_model
from ray_jobs.storage.embeddings import read_embeddings
from ray_jobs.storage.layout import EMBEDDINGS, MIXTURE, SCORES, shard_key
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.removals import tombstone
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store

__all__ = ["bank_ids", "drop_unfitted_bank", "old_bank_files", "renew_bank"]


def bank_ids(store: Store) -> list[str]:
    """Return the ids of the posts of the bank; none if there is no bank."""
    files = store.list(MIXTURE)
    key = find_bank(store)[0] if files else f"{MIXTURE}/{BANK_FILE}"
    return list(Bank.from_bytes(store.read(key), where=key).ids) if key in files else []


def renew_bank(store: Store, plan: Plan, number: int, tombstones: frozenset[str]) -> int:
    """Publish a new generation of the bank if some of its posts are removed. Returns how many.

    `plan` is that after the removal, whose embeddings are published. A bank whose mixture is not fitted yet is left to
    `drop_unfitted_bank`.
    """
    model = read_matching_model(store, before=number)  # an interrupted removal may have renewed the bank already
    if model is None:
        return 0
    bank = model.bank
    stays = np.array([tombstone(plan.digest, post_id) not in tombstones for post_id in bank.ids])
    if stays.all():
        return 0
    kept = bank.select(np.flatnonzero(stays))
    parts: list[Embeddings] = [kept]
    missing, known = len(bank) - len(kept), set(bank.ids)
    for posts in _training_posts(store, plan):
        if missing <= 0:
            break
        parts.append(posts.select([row for row, post_id in enumerate(posts.ids) if post_id not in known]))
        missing -= len(parts[-1])
    renewed = replace(model, bank=Bank.of(parts, len(bank)), fitted_bank=model.bank_digest)
    mixture_name, bank_name = renewed_files(number)
    files = renewed.to_bytes()
    store.create(f"{MIXTURE}/{bank_name}", files[BANK_FILE])
    store.create(f"{MIXTURE}/{mixture_name}", files[MIXTURE_FILE])
    return int((~stays).sum())


def old_bank_files(store: Store) -> list[str]:
    """Return the keys of the banks before the last renewal, and of their mixtures except the first one."""
    files = store.list(MIXTURE)
    current, _ = find_bank(store) if files else ("", "")
    generation = current.removeprefix(f"{MIXTURE}/bank").removesuffix(".safetensors")
    keep = {current, f"{MIXTURE}/mixture{generation}.json", f"{MIXTURE}/{MIXTURE_FILE}", f"{MIXTURE}/identity.json"}
    return sorted(files.keys() - keep)


def drop_unfitted_bank(store: Store, plan: Plan, tombstones: frozenset[str]) -> None:
    """Remove a bank with removed posts, and the scores made with it, if no mixture is fitted on them yet.

    `amia augment` makes them again from the posts that stay.
    """
    if store.exists(f"{MIXTURE}/{MIXTURE_FILE}"):
        return
    if any(tombstone(plan.digest, post_id) in tombstones for post_id in bank_ids(store)):
        for folder in (SCORES, MIXTURE):  # the bank, which shows that this is needed, last
            store.delete(folder)


def _training_posts(store: Store, plan: Plan) -> Iterator[Embeddings]:
    """Yield the embedded posts of the splits that bank and mixture are made from, in the order of the plan."""
    published = store.list(EMBEDDINGS)
    for split in plan.fit_splits():
        for key in (shard_key(EMBEDDINGS, shard) for shard in plan.shards_of(split)):
            if key in published:
                posts, _ = read_embeddings(read_shard(store, key))
                if len(posts):
                    yield posts
