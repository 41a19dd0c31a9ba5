"""`amia gc RUN`: remove files that will not be read again, mostly those of killed processes. Never anything published,
except the synthesized images of mixed arms where that is asked for (`--synthesized`).

Only files above a minimum age are removed, so that files in use by a running job stay.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from amia.errors import RunError, SettingsError, StoreError
from amia.utils.store_reader import ObjectInfo
from ray_jobs.jobs.remove_images import find_obstacle, list_images, remove_images
from ray_jobs.runtime.heartbeat import HEARTBEAT_SUFFIX, TIMEOUT_S, read_heartbeats
from ray_jobs.storage.facts import ShardFacts
from ray_jobs.storage.layout import (
    CHECKPOINTS,
    FACTS,
    FOLDERS,
    LOG,
    MODELS,
    PLAN_FILE,
    PROBE,
    RAY_TRAIN,
    REPORT_FILE,
    RETRY,
    RETRY_DIR,
    SCRATCH,
    SYNTHESIZED,
    SYNTHESIZED_SCORES,
    TRAINING_FILE,
)
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store

__all__ = ["MIN_AGE_S", "Orphan", "collect", "parse_duration"]

MIN_AGE_S = 60.0
"""Younger files are never removed: writing a file may take this long."""

_PARTIAL_FILE = re.compile(r".+#\d+")
"""Name of a file that obstore is writing to a local disk. Store.list and readers never see such a file."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

Files = dict[str, ObjectInfo]


@dataclass(frozen=True, slots=True)
class Orphan:
    """A file or folder that can be removed."""

    what: str
    """Kind of orphan: half-written file, scratch, checkpoints, and so on."""
    key: str
    """File or folder in the run."""
    files: int
    bytes: int
    written: float
    """Time when its newest file was written or last needed, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Files that are orphans once they are old enough."""

    what: str
    key: str
    files: Files
    needed_until: float = 0.0
    """Time until which the files were needed, if it may be later than the times of the files."""

    def orphan(self) -> Orphan:
        written = max([self.needed_until, *(file.modified for file in self.files.values())])
        return Orphan(self.what, self.key, len(self.files), sum(file.size for file in self.files.values()), written)


def collect(
    run: str, *, older_than_s: float = 3600.0, dry_run: bool = False, synthesized: bool = False
) -> list[Orphan]:
    """Remove all orphans older than `older_than_s` seconds, unless `dry_run`. Returns them sorted by key.

    `synthesized` also removes the synthesized images, of any age, if all arms that use them are finished. Raises
    RunError if they are not.

    Raises SettingsError if `older_than_s` is less than a minute, and StoreError if a file cannot be removed.
    """
    if older_than_s < MIN_AGE_S:
        raise SettingsError(f"--older-than must be at least {MIN_AGE_S:g} s: younger files may still be being written")
    store, newest = Store(run), time.time() - older_than_s
    orphans: list[Orphan] = []
    candidates = (_scratch, _training_state, _probes_and_heartbeats, _outdated_tables, _retried)
    for candidate in (candidate for find in candidates for candidate in find(store)):
        orphan = candidate.orphan()
        if orphan.written < newest:
            orphans.append(orphan)
            if not dry_run:
                store.remove(list(candidate.files))
    for path in _partial_files(store):
        with contextlib.suppress(FileNotFoundError):  # it was completed or removed meanwhile
            info = path.stat()
            if info.st_mtime < newest:
                if not dry_run:
                    _unlink(path)
                key = path.relative_to(store.address).as_posix()
                orphans.append(Orphan("half-written file", key, 1, info.st_size, info.st_mtime))
    if synthesized and (images := _synthesized(store)) is not None:
        orphans.append(images)
        if not dry_run:
            remove_images(store)
    return sorted(orphans, key=lambda orphan: orphan.key)


def parse_duration(text: str) -> float:
    """Return `90s`, `30m`, `1h` or `2d` in seconds. Raises SettingsError for anything else."""
    if (match := _DURATION.fullmatch(text.strip())) is None:
        raise SettingsError(f"--older-than {text!r}: write a number and a unit, as in 90s, 30m, 1h or 2d")
    return float(match[1]) * _UNIT_SECONDS[match[2]]


def _synthesized(store: Store) -> Orphan | None:
    """Return the synthesized images. Raises RunError if an arm or a job needs them."""
    plan, images = Plan.find(store), list_images(store)
    if plan is None or not images:
        return None
    obstacle = find_obstacle(store, plan)
    for record, written in read_heartbeats(store).values():
        if time.time() - written < TIMEOUT_S and record.working.keys() & {SYNTHESIZED, SYNTHESIZED_SCORES}:
            obstacle = f"a job is working on them on {record.host} (process {record.pid})"
    if obstacle is not None:
        raise RunError(f"the synthesized images of {store.address} are still needed: {obstacle}")
    return Orphan("synthesized images of mixed arms", SYNTHESIZED, len(images), sum(images.values()), time.time())


def _scratch(store: Store) -> Iterator[_Candidate]:
    """Yield the scratch folders of finished ingests; before an ingest is finished, those that its plan does not use."""
    plan = Plan.find(store)
    in_use = plan.scratch if plan and plan.missing_posts(store) else None
    folders: dict[str, Files] = {}
    for key, info in store.list(SCRATCH).items():
        folders.setdefault("/".join(key.split("/")[:2]), {})[key] = info
    for folder, files in folders.items():
        if folder != in_use:
            yield _Candidate("scratch of an ingest", folder, files)


def _training_state(store: Store) -> Iterator[_Candidate]:
    """Yield the resume state of finished trainings. That of unfinished ones is kept: they may be running."""
    files = store.list(MODELS)
    for finished in [key for key in files if key.endswith(f"/{TRAINING_FILE}")]:
        model = finished.removesuffix(f"/{TRAINING_FILE}")
        for what, folder in (("checkpoints", CHECKPOINTS), ("Ray Train's own files", RAY_TRAIN)):
            prefix = f"{model}/{folder}"
            if state := {key: info for key, info in files.items() if key.startswith(f"{prefix}/")}:
                yield _Candidate(f"{what} of a finished training", prefix, state, files[finished].modified)


def _probes_and_heartbeats(store: Store) -> Iterator[_Candidate]:
    for key, info in store.list(PROBE).items():
        yield _Candidate("probe of the storage", key, {key: info})
    for key, info in store.list(LOG).items():
        if key.endswith(HEARTBEAT_SUFFIX):
            yield _Candidate("heartbeat of a killed job", key, {key: info})


def _outdated_tables(store: Store) -> Iterator[_Candidate]:
    """Yield the tables of facts that describe other shards than those that are published now."""
    if not (tables := store.list(FACTS)) or (plan := Plan.find(store)) is None:
        return
    facts = ShardFacts(store, plan)
    for key, info in tables.items():
        if key != facts.table(key.removeprefix(f"{FACTS}/").rpartition("/")[0]):
            yield _Candidate("facts of other shards", key, {key: info})


def _retried(store: Store) -> Iterator[_Candidate]:
    """Yield previous shards of synthesized images whose retry is published."""
    if not (previous := store.list(RETRY_DIR)):
        return
    synthesized = store.list(SYNTHESIZED)
    for key, info in previous.items():
        # The file may be a hard link, which has the time of the original: use the time when it was last needed.
        if (retried := synthesized.get(key.removeprefix(f"{RETRY}/"))) is not None:
            yield _Candidate("old images of a retried shard", key, {key: info}, retried.modified)


def _partial_files(store: Store) -> Iterator[Path]:
    """Yield the files on a local disk that a killed process left half-written.

    Object stores have none: a file is uploaded completely or does not exist.
    """
    if store.folder is None or not store.folder.is_dir():
        return
    for name in (PLAN_FILE, REPORT_FILE):
        yield from (path for path in store.folder.glob(f"{name}#*") if _PARTIAL_FILE.fullmatch(path.name))
    for top in FOLDERS:
        for folder, _, names in os.walk(store.folder / top):
            yield from (Path(folder, name) for name in sorted(names) if _PARTIAL_FILE.fullmatch(name))


def _unlink(path: Path) -> None:
    try:
        path.unlink()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path} could not be removed: {error.strerror}") from error
