"""A run and the runs that it comes after, read as one run (`--with-earlier`).

The shards of all runs get names of one sequence: of two runs with two and one shards of `train`, the shard
`train-00002-of-00003` is that of the second run. Plan and manifests are joined in the same way, so a job that reads a
run reads several. What a job publishes goes to the last run. A post that was taken as changed is in two runs, and twice
here.
"""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

from amia.errors import RunError
from amia.utils.store_reader import ObjectInfo
from ray_jobs.storage.layout import (
    AUGMENTED,
    EMBEDDINGS,
    PLAN_FILE,
    POSTS,
    PREDICTIONS,
    QUARANTINE,
    REMOVALS,
    SCORES,
    SYNTHESIZED,
    SYNTHESIZED_SCORES,
)
from ray_jobs.storage.plan import Plan, shard_name
from ray_jobs.storage.removals import check_no_removal
from ray_jobs.storage.store import Store

__all__ = ["CombinedStore", "open_store"]

COMBINED = (POSTS, EMBEDDINGS, SCORES, SYNTHESIZED, SYNTHESIZED_SCORES, AUGMENTED)
"""Folders whose shards are those of all runs."""


def open_store(run: str, *, with_earlier: bool) -> Store:
    """Open a run, alone or with the runs that it comes after. Raises RunError if it comes after none."""
    return CombinedStore(run) if with_earlier else Store(run)


class CombinedStore(Store):
    """The files of a run and of those that it comes after, under the names of one run."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        own = Plan.find(Store(address))
        if own is None or not own.earlier:
            raise RunError(f"{address} comes after no other run: leave --with-earlier out")
        self._stores = [*map(Store, own.earlier), Store(address)]
        for store in self._stores:
            check_no_removal(store)
        plans = [Plan.find(store) for store in self._stores[:-1]]
        for store, plan in zip(self._stores, plans, strict=False):
            if plan is None:
                raise RunError(f"no posts in {store.address}, which {address} comes after")
        self._plans = [*(plan for plan in plans if plan is not None), own]
        self._plan, self._places = _join_plans(self._plans)

    def read(self, key: str) -> bytes:
        """Return the content of a key; plan and manifests are those of all runs."""
        if key == PLAN_FILE:
            return json.dumps(self._plan.to_json()).encode()
        if _is_manifest(key):
            return json.dumps(self._join_manifests(key)).encode()
        store, own_key = self._locate(key)
        return super().read(key) if store is None else store.read(own_key)

    def find(self, key: str) -> bytes | None:
        """Return the content of a key, or None if it does not exist, for a manifest in any of the runs."""
        return self.read(key) if self.exists(key) else None

    def read_range(self, key: str, start: int, end: int, e_tag: str | None = None) -> bytes:
        """Return bytes `[start, end)` of a key."""
        store, own_key = self._locate(key)
        return (
            super().read_range(key, start, end, e_tag)
            if store is None
            else store.read_range(own_key, start, end, e_tag)
        )

    def info(self, key: str) -> ObjectInfo | None:
        """Return size, time and version of a key; None if it does not exist, for a manifest in any of the runs."""
        if _is_manifest(key):
            found = [store.info(key) for store in self._stores]
            return found[-1] if all(found) else None
        store, own_key = self._locate(key)
        return super().info(key) if store is None else store.info(own_key)

    def list(self, prefix: str) -> dict[str, ObjectInfo]:
        """Return the keys below a folder, with the shards of all runs. Predictions are not combined, and left out.

        So are the records of removed posts, which the plan of all runs accounts for.
        """
        folder = prefix.partition("/")[0]
        if folder in (PREDICTIONS, REMOVALS):
            return {}
        if folder == QUARANTINE:
            return {
                f"{QUARANTINE}/{number}-{key.rpartition('/')[2]}": info
                for number, store in enumerate(self._stores)
                for key, info in store.list(QUARANTINE).items()
            }
        if folder not in COMBINED:
            return super().list(prefix)
        listings = [store.list(prefix) for store in self._stores]
        listed = {key: info for key, info in listings[-1].items() if not key.endswith(".parquet")}
        by_place = {(number, key): info for number, keys in enumerate(listings) for key, info in keys.items()}
        folders = {key.rpartition("/")[0] for keys in listings for key in keys}
        for subfolder in sorted(folders):
            for name, (number, shard) in self._places.items():
                if (info := by_place.get((number, f"{subfolder}/{shard}.parquet"))) is not None:
                    listed[f"{subfolder}/{name}.parquet"] = info
        return listed

    def open(self, key: str, size: int | None = None, e_tag: str | None = None) -> Any:
        """Open a key as a seekable file."""
        store, own_key = self._locate(key)
        return super().open(key, size, e_tag) if store is None else store.open(own_key, size, e_tag)

    def find_missing(self, key: str) -> str:
        """Return the address of the first run that lacks a key."""
        return next((store.address for store in self._stores if not store.exists(key)), self.address)

    def _locate(self, key: str) -> tuple[Store | None, str]:
        """Return the store of a shard and its key there; None for a file that is not combined."""
        folder, _, name = key.rpartition("/")
        if folder == QUARANTINE:
            run, _, name = name.partition("-")
            return self._stores[int(run)], f"{folder}/{name}"
        place = self._places.get(name.removesuffix(".parquet"))
        if place is None or key.partition("/")[0] not in COMBINED:
            return None, key
        number, shard = place
        return self._stores[number], f"{folder}/{shard}.parquet"

    def _join_manifests(self, key: str) -> dict[str, Any]:
        manifests: list[dict[str, Any]] = [json.loads(store.read(key)) for store in self._stores]
        files = [{file["name"].removesuffix(".parquet"): file for file in manifest["files"]} for manifest in manifests]
        joined = dict(manifests[-1])
        for name in ("splits", "counts", "ratio"):
            total: Counter[str] = Counter()
            for manifest in manifests:
                total.update(manifest[name])
            joined[name] = dict(sorted(total.items()))
        joined["rows"] = sum(joined["splits"].values())
        joined["rejected"] = self._plan.rejected
        joined["files"] = [
            {**files[number][shard], "name": f"{name}.parquet"} for name, (number, shard) in self._places.items()
        ]
        return joined


def _is_manifest(key: str) -> bool:
    return key.startswith(f"{AUGMENTED}/") and key.endswith("/manifest.json")


def _join_plans(plans: "list[Plan]") -> tuple[Plan, dict[str, tuple[int, str]]]:
    """Return the plan of all runs, and for each of its shards the number of the run and the shard there."""
    splits = sorted({split for plan in plans for split in plan.posts})
    rows: dict[str, list[int]] = {}
    places: dict[str, tuple[int, str]] = {}
    for split in splits:
        shards = [
            (number, shard)
            for number, plan in enumerate(plans)
            if split in plan.posts
            for shard in plan.shards_of(split)
        ]
        rows[split] = [plans[number].rows_of(shard) for number, shard in shards]
        places |= {shard_name(split, index, len(shards)): place for index, place in enumerate(shards)}
    last = plans[-1]
    joined = replace(
        last,
        posts={split: sum(counts) for split, counts in rows.items()},
        rows=rows,
        removal=None,
        **{name: sum(getattr(plan, name) for plan in plans) for name in ("rejected", "repaired", "labeled")},
    )
    return joined, places
