"""Which posts were removed from a run by `amia remove`: records in `removals/`, all published create-if-absent.

    0001.intent.json     what is about to be removed. Until 0001.done.json exists, every other job is refused
    0001/<shard>.json    what was removed from a shard, until the removal is done
    0001.json            the switch: from now on the plan names the new generation of the affected shards
    0001.done.json       the previous generation is deleted

The ids of removed posts are not stored but their tombstones: keyed hashes, by which a removed post is recognized.
"""

import json
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from hashlib import blake2b, sha256
from typing import TypeVar

import pyarrow as pa

from amia.errors import RunError
from ray_jobs.storage.layout import REMOVALS
from ray_jobs.storage.store import Store

__all__ = [
    "Intent",
    "Removal",
    "check_no_removal",
    "create_record",
    "done_file",
    "intent_file",
    "list_digest",
    "pending_removal",
    "read_intent",
    "read_removal",
    "read_removals",
    "read_tombstones",
    "removal_file",
    "removing_message",
    "rows_that_stay",
    "tombstone",
]

_FILE = re.compile(rf"{REMOVALS}/(\d+)\.(intent\.|done\.)?json")

Record = TypeVar("Record", "Removal", "Intent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a removal removes, decided before anything is written."""

    ids: str
    """`list_digest` of the ids that were asked for: only the same list continues an interrupted removal."""
    tombstones: list[str]
    """Tombstones of the posts that the run holds, and of those that are only in its bank or quarantine."""
    shards: dict[str, int]
    """Posts to remove by affected shard, by its name before the removal."""
    rejected: int
    """Rows of `quarantine/` with these ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What was removed from a run by all its removals so far."""

    number: int
    posts: dict[str, int]
    """By split."""
    labeled: int
    rejected: int
    """Rows of `quarantine/`."""
    bank: int
    """Posts of the bank that the last removal replaced."""
    shards: dict[str, tuple[int, int]]
    """Generation, and number of removed posts, of each affected shard, by its name at ingest."""

    @property
    def total(self) -> int:
        """Removed posts."""
        return sum(self.posts.values())


def tombstone(plan_digest: str, post_id: str) -> str:
    """Return the keyed hash by which a removed post is recognized, as 32 hexadecimal digits."""
    key = sha256(plan_digest.encode()).digest()
    return blake2b(post_id.encode("utf-8", "surrogatepass"), key=key, digest_size=16).hexdigest()


def list_digest(tombstones: Collection[str]) -> str:
    """Return the SHA-256 of a list of ids, given by their tombstones in any order."""
    return sha256("".join(sorted(tombstones)).encode()).hexdigest()


def rows_that_stay(table: pa.Table, plan_digest: str, tombstones: Collection[str]) -> pa.Array:
    """Return for each row, by its column `id`, whether its post is not among the removed ones."""
    return pa.array([tombstone(plan_digest, post_id) not in tombstones for post_id in table["id"].to_pylist()])


def intent_file(number: int) -> str:
    """Return the key of the intent of a removal."""
    return f"{REMOVALS}/{number:04d}.intent.json"


def removal_file(number: int) -> str:
    """Return the key of the record of a removal."""
    return f"{REMOVALS}/{number:04d}.json"


def done_file(number: int) -> str:
    """Return the key of what marks a removal as complete."""
    return f"{REMOVALS}/{number:04d}.done.json"


def create_record(store: Store, key: str, record: Removal | Intent) -> bool:
    """Publish a record. Returns False if another one exists."""
    return store.create(key, json.dumps(asdict(record), indent=1, sort_keys=True).encode())


def read_intent(store: Store, number: int) -> Intent:
    """Read the intent of a removal."""
    return _read(store, intent_file(number), Intent)


def read_removals(store: Store) -> tuple[Removal | None, bool]:
    """Return what was removed so far, and whether a removal is not complete, from one listing."""
    numbers = _numbers(store)
    return _latest(store, numbers.get(None, set())), bool(_pending(numbers))


def read_removal(store: Store, before: int | None = None) -> Removal | None:
    """Return what was removed so far, or before the removal with a number; None if nothing was."""
    return _latest(store, {number for number in _numbers(store).get(None, ()) if before is None or number < before})


def _latest(store: Store, published: set[int]) -> Removal | None:
    if not published:
        return None
    removal = _read(store, removal_file(max(published)), Removal)
    shards = {name: (int(generation), int(count)) for name, (generation, count) in removal.shards.items()}
    return Removal(**{**asdict(removal), "shards": shards})


def read_tombstones(store: Store) -> frozenset[str]:
    """Return the tombstones of all removals."""
    intents = _numbers(store).get("intent.", set())
    return frozenset(mark for number in sorted(intents) for mark in read_intent(store, number).tombstones)


def pending_removal(store: Store) -> int | None:
    """Return the number of the removal that is not complete, or None."""
    return max(_pending(_numbers(store)), default=None)


def removing_message(store: Store) -> str:
    """Return why a job is refused while posts are being removed."""
    return (
        f"posts are being removed from {store.address}, or their removal was interrupted: once the same `amia remove` "
        "has completed, this command can be started again"
    )


def check_no_removal(store: Store, number: int | None = None) -> None:
    """Raise RunError while posts are being removed, or if the last removal is not the one with `number`.

    `number`: that of the plan that a job works with, 0 before the first removal; None if it has read none.
    """
    numbers = _numbers(store)
    if _pending(numbers):
        raise RunError(removing_message(store))
    if number is not None and number != max(numbers.get(None, set()), default=0):
        raise RunError(f"posts were removed from {store.address} meanwhile: start the same command again")


def _pending(numbers: dict[str | None, set[int]]) -> set[int]:
    return numbers.get("intent.", set()) - numbers.get("done.", set())


def _numbers(store: Store) -> dict[str | None, set[int]]:
    """Return the numbers of the published files by kind: `intent.`, `done.`, and None for the records."""
    numbers: dict[str | None, set[int]] = {}
    for key in store.list(REMOVALS):
        if match := _FILE.fullmatch(key):
            numbers.setdefault(match[2], set()).add(int(match[1]))
    return numbers


def _read(store: Store, key: str, kind: type[Record]) -> Record:
    try:
        return kind(**json.loads(store.read(key)))
    except (ValueError, TypeError) as error:
        raise RunError(f"{key} in {store.address} was not written by amia: {error}") from error
