"""`amia gc RUN`: removes what nobody will ever read, mostly what killed processes have left. Never anything published.

Age is what keeps it from under a running job: whatever was written of late may be in somebody's hands.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from amia.errors import SettingsError, StoreError
from ray_jobs.runtime.heartbeat import END
from ray_jobs.storage.layout import (
    LOG,
    MODELS,
    PLAN_FILE,
    POSTS,
    PROBE,
    REPORT_FILE,
    RETRY_DIR,
    SCRATCH,
    SYNTHESIZED,
    TRAINING_FILE,
    shard_key,
)
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import ObjectInfo, Store

__all__ = ["LEAST_S", "Orphan", "collect", "parse_duration"]

LEAST_S = 60.0
"""Nothing younger is ever removed: a file may take so long to write."""

_HALF = re.compile(r".+#\d+")
"""How obstore calls a file of a local disk until it is whole; neither it nor any reader ever lists one."""

_OURS = [
    *("posts", "quarantine", "embeddings", "scores", "scores-batch", "scores-expected", "synthesized", "augmented"),
    *("mixture", "mixture-batch", "mixture-expected", "models", "predictions", "evaluations", "cells", "experiments"),
    *("retry", "log", "probe", "scratch"),
]
"""Folders that amia makes in a run; whatever else lies there is not its own."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

Files = dict[str, ObjectInfo]
Candidate = tuple[str, str, Files, float]
"""What it is; its file or folder; its files; since when it is no longer needed, where their own times do not tell."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """Something that can go."""

    what: str
    """Half-written file, scratch, checkpoints, and so on."""
    key: str
    """Its file or folder in the run."""
    files: int
    bytes: int
    written: float
    """When its newest file was written, or the last need for it ended, in seconds since 1970."""


def collect(run: str, *, older_than_s: float = 3600.0, dry_run: bool = False) -> list[Orphan]:
    """Remove every orphan that is older than `older_than_s`, unless `dry_run`; returns them, by key.

    Raises SettingsError for less than a minute, StoreError when the storage does not let go.
    """
    if older_than_s < LEAST_S:
        raise SettingsError(f"--older-than must be at least {LEAST_S:g} s: younger files may still be in the writing")
    store, before = Store(run), time.time() - older_than_s
    found: list[Orphan] = []
    for what, key, files, since in (*_scratch(store), *_of_trainings(store), *_others(store)):
        written = max([since, *(each.modified for each in files.values())])
        if written < before:
            found.append(Orphan(what, key, len(files), sum(each.size for each in files.values()), written))
            if not dry_run:
                store.remove(list(files))
    for path in _half_written(store):
        with contextlib.suppress(FileNotFoundError):  # whole by now, or its writer has given up
            about = path.stat()
            if about.st_mtime < before:
                if not dry_run:
                    _unlink(path)
                key = path.relative_to(store.address).as_posix()
                found.append(Orphan("half-written file", key, 1, about.st_size, about.st_mtime))
    return sorted(found, key=lambda each: each.key)


def parse_duration(word: str) -> float:
    """`90s`, `30m`, `1h` or `2d` in seconds. Raises SettingsError for anything else."""
    if (found := _DURATION.fullmatch(word.strip())) is None:
        raise SettingsError(f"--older-than {word!r}: write a number and its unit, as in 90s, 30m, 1h or 2d")
    return float(found[1]) * _UNITS[found[2]]


def _scratch(store: Store) -> Iterator[Candidate]:
    """Of an ingest that has finished all of it; until then all but what its plan tells of."""
    plan = Plan.find(store)
    needed = plan.scratch if plan and not _has_posts(store, plan) else None
    folders: dict[str, Files] = {}
    for key, about in store.list(SCRATCH).items():
        folders.setdefault("/".join(key.split("/")[:2]), {})[key] = about
    for folder, files in folders.items():
        if folder != needed:
            yield "scratch of an ingest", folder, files, 0.0


def _has_posts(store: Store, plan: Plan) -> bool:
    return {shard_key(POSTS, shard) for shard in plan.shards} <= store.list(POSTS).keys()


def _of_trainings(store: Store) -> Iterator[Candidate]:
    """What a finished training went on from. That of others is never touched: somebody may be at work with it."""
    files = store.list(MODELS)
    for done in [key for key in files if key.endswith(f"/{TRAINING_FILE}")]:
        model = done.removesuffix(f"/{TRAINING_FILE}")
        for what, folder in (("checkpoints", f"{model}/checkpoints"), ("Ray Train's own files", f"{model}/ray")):
            if held := {key: about for key, about in files.items() if key.startswith(f"{folder}/")}:
                yield f"{what} of a finished training", folder, held, files[done].modified


def _others(store: Store) -> Iterator[Candidate]:
    for key, about in store.list(PROBE).items():
        yield "probe of the storage", key, {key: about}, 0.0
    for key, about in store.list(LOG).items():
        if key.endswith(END):
            yield "heartbeat of a killed job", key, {key: about}, 0.0
    if earlier := store.list(RETRY_DIR):
        drawn = store.list(SYNTHESIZED)
        for key, about in earlier.items():
            # A link is as old as its file: what counts is when it was last needed.
            if (done := drawn.get(key.removeprefix("retry/"))) is not None:
                yield "old images of a retried shard", key, {key: about}, done.modified


def _half_written(store: Store) -> Iterator[Path]:
    """On a disk, what obstore began to write and a killed process never finished.

    An object store shows nothing of the kind: there a file is sent whole, or is not there.
    """
    if store.folder is None or not store.folder.is_dir():
        return
    for name in (PLAN_FILE, REPORT_FILE):
        yield from (path for path in store.folder.glob(f"{name}#*") if _HALF.fullmatch(path.name))
    for top in _OURS:
        for folder, _, names in os.walk(store.folder / top):
            yield from (Path(folder, name) for name in sorted(names) if _HALF.fullmatch(name))


def _unlink(path: Path) -> None:
    try:
        path.unlink()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path} could not be removed: {error.strerror}") from error
