"""The runs that a run comes after (`amia ingest --since`), and which posts they hold.

A post is known if an earlier run holds its id with the same content, or another id with the same body. Both are looked
up in the sorted hashes that every ingest leaves (`hash_index.py`), range by range.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amia.errors import IdentityError, RunError
from ray_jobs.storage.fingerprint import Identity, difference, read_identity
from ray_jobs.storage.hash_index import HASH_BYTES, RANGES, Hashes, find, is_in, read_hashes
from ray_jobs.storage.layout import INDEX
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store

__all__ = [
    "EarlierRun",
    "absolute_address",
    "bodies_index_file",
    "changed_ids_file",
    "check_same_settings",
    "find_contents",
    "find_earlier_runs",
    "hash_range",
    "index_folder",
    "is_known_body",
    "keys_index_file",
]


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """Where the hashes of an earlier run are."""

    address: str
    index: str
    """Folder of its index."""
    buckets: int
    """Number of buckets that its keys are divided into."""
    filled: tuple[int, ...]
    """Buckets that have posts."""
    digest: str
    """Digest of its posts."""
    seed: int
    types: tuple[str, ...]
    """Entity types of its posts, in the order of its labels."""


def check_same_settings(address: str, folder: str, identity: Identity) -> None:
    """Compare the identity of a folder with that of the same folder in the run that this one comes after.

    Input and number of posts of a shard may differ. Raises IdentityError if version or settings do.
    """
    existing = read_identity(Store(address), folder)
    if existing is None:
        return
    old, new = ({"version": tree["version"], **tree["settings"], "per_shard": None} for tree in (existing, identity))
    if changes := difference(old, new):
        lines = "\n".join(f"  {line}" for line in changes)
        raise IdentityError(
            f"{folder}/ in {address}, which this run comes after, was made with other settings:\n{lines}\n"
            "Use the settings of that run, so that the posts of both belong together."
        )


def find_earlier_runs(address: str) -> list[EarlierRun]:
    """Return a run and those that it came after, oldest first.

    Raises RunError if one of them is missing, or was ingested before runs kept an index of their posts.
    """
    runs = [*_plan(address).earlier, address]
    return [_earlier_run(run) for run in runs]


def find_contents(
    runs: Sequence[EarlierRun], keys: Hashes, bucket: int, buckets: int
) -> tuple[NDArray[np.int64], Hashes]:
    """Look up the keys of one of `buckets` buckets.

    Returns for each key the number of the latest run that holds it, -1 if none does, and the content hash there.
    """
    holders, contents = np.full(len(keys), -1), np.zeros(len(keys), f"S{HASH_BYTES}")
    low, high = hash_range(bucket, buckets)
    for number, run in enumerate(runs):
        store = Store(run.address)
        for other in run.filled:
            first, last = hash_range(other, run.buckets)
            if first < high and low < last:
                file = keys_index_file(run.index, other)
                found, payload = read_hashes(store, file, max(low, first), min(high, last), width=2 * HASH_BYTES)
                position = find(keys, found)
                is_held = position >= 0
                holders[is_held], contents[is_held] = number, payload[position[is_held]]
    return holders, contents


def is_known_body(runs: Sequence[EarlierRun], bodies: Hashes, low: int, high: int) -> NDArray[np.bool_]:
    """Return for each body hash, whose first byte is in `[low, high)`, whether an earlier run holds it."""
    known = np.zeros(len(bodies), bool)
    for run in runs:
        store = Store(run.address)
        for bucket in run.filled:
            known |= is_in(bodies, read_hashes(store, bodies_index_file(run.index, bucket), low, high)[0])
    return known


def absolute_address(run: str) -> str:
    """Return the address of a run as later runs and other machines find it."""
    folder = Store(run).folder
    return run.rstrip("/") if folder is None else str(folder.resolve())


def hash_range(bucket: int, buckets: int) -> tuple[int, int]:
    """Return the range `[low, high)` of first bytes that a bucket of keys has."""
    return bucket * RANGES // buckets, -(-(bucket + 1) * RANGES // buckets)


def index_folder(scratch: str) -> str:
    """Return the folder of the index that belongs to a scratch folder."""
    return f"{INDEX}/{scratch.rpartition('/')[2]}"


def changed_ids_file(folder: str, bucket: int) -> str:
    """Return the key of the ids, one a line, that were taken although an earlier run holds them."""
    return f"{folder}/changed-{bucket:04d}.txt"


def keys_index_file(folder: str, bucket: int) -> str:
    """Return the key of the keys and content hashes of a bucket."""
    return f"{folder}/keys-{bucket:04d}.bin"


def bodies_index_file(folder: str, bucket: int) -> str:
    """Return the key of the body hashes of a bucket."""
    return f"{folder}/bodies-{bucket:04d}.bin"


def _plan(address: str) -> Plan:
    plan = Plan.find(Store(address))
    if plan is None:
        raise RunError(f"no posts in {address}: start with `amia ingest SOURCE --run {address}`")
    return plan


def _earlier_run(address: str) -> EarlierRun:
    plan = _plan(address)
    if not plan.index:
        raise RunError(
            f"{address} was ingested by an earlier version of amia, which kept no index of its posts: ingest its "
            "source again into another run"
        )
    segments = list(plan.segments.values())
    filled = tuple(bucket for bucket, counts in enumerate(zip(*segments, strict=True)) if any(counts))
    return EarlierRun(address, plan.index, len(segments[0]), filled, plan.digest, plan.seed, tuple(plan.types))
