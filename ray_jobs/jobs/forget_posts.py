"""What else in a run may hold a removed post, besides shards: files that quote or derive from it.

Everything here is safe to repeat: an interrupted removal starts it again.
"""

import json
from collections.abc import Callable, Iterable

from amia.errors import RunError
from ray_jobs.runtime.faults import FAULTS_SUFFIX
from ray_jobs.stages.export import CONTROL
from ray_jobs.storage.layout import (
    CELLS,
    EVALUATIONS,
    FACTS,
    FOLDERS,
    INDEX,
    LOG,
    PLAN_FILE,
    PREDICTIONS,
    QUARANTINE,
    REPORT_FILE,
    SCRATCH,
    arm_folder,
    manifest_key,
    readme_key,
)
from ray_jobs.storage.store import Store

__all__ = [
    "EXCHANGED_IMAGES",
    "SWAPPED",
    "drop_derived",
    "drop_exchanged",
    "exchanged_arms",
    "forget_rejected",
    "has_exchanged_images",
    "list_exports",
    "rejected_ids",
    "scrub_cells",
    "scrub_index",
    "scrub_log",
]

EXCHANGED_IMAGES = ("random",)
"""Arms whose rows show the image of another post."""
SWAPPED = "-swapped"
"""End of the folders of predictions in which a post was seen with the image of another one."""

IsGone = Callable[[str], bool]
"""Whether the post with an id is removed."""


def has_exchanged_images(folder: str) -> bool:
    """Return whether the rows of a folder depend on the images of other posts of their shard."""
    if folder.startswith(f"{PREDICTIONS}/"):
        return folder.endswith(SWAPPED) or folder.rpartition("/")[2] in EXCHANGED_IMAGES
    return folder in map(arm_folder, EXCHANGED_IMAGES)


def exchanged_arms(store: Store) -> list[str]:
    """Return the arms of the run with exchanged images."""
    return [arm for arm in EXCHANGED_IMAGES if store.list(arm_folder(arm))]


def drop_exchanged(store: Store) -> None:
    """Make arms with exchanged images unfinished, and remove the predictions for them.

    Their affected shards are removed with those of all other folders.
    """
    for folder in map(arm_folder, EXCHANGED_IMAGES):
        store.remove([key for key in (manifest_key(folder), readme_key(folder)) if store.exists(key)])
    names = {f"{arm}{end}" for arm in EXCHANGED_IMAGES for end in ("", SWAPPED)}
    store.remove([key for key in store.list(PREDICTIONS) if key.split("/")[2] in names])


def drop_derived(store: Store) -> None:
    """Remove what is made from posts and can be made again: scores of recognizers, CoNLL files, the report, scratch."""
    store.remove([key for key in store.list(PREDICTIONS) if key.endswith(".conll")])
    for folder in (EVALUATIONS, FACTS, SCRATCH):
        store.delete(folder)
    if store.exists(REPORT_FILE):
        store.remove([REPORT_FILE])


def rejected_ids(store: Store) -> list[str]:
    """Return the id of each row of `quarantine/`, empty if it has none."""
    return [post_id for key in store.list(QUARANTINE) for post_id in _ids(_lines(store, key))]


def forget_rejected(store: Store, is_gone: IsGone) -> None:
    """Remove the rows of `quarantine/` with the id of a removed post. Emptied files stay, so that none is refilled."""
    for key in store.list(QUARANTINE):
        lines = _lines(store, key)
        kept = [line for line, post_id in zip(lines, _ids(lines), strict=True) if not is_gone(post_id)]
        if len(kept) < len(lines):
            store.replace(key, "".join(f"{line}\n" for line in kept).encode())


def scrub_log(store: Store, is_gone: IsGone) -> None:
    """Remove the ids of removed posts from `log/`, and all tracebacks and messages, which may quote a text."""
    for key in store.list(LOG):
        if key.endswith("-error.txt"):
            store.remove([key])
        elif key.endswith(FAULTS_SUFFIX):
            faults = [
                {**fault, "traceback": "", "cause": fault["cause"].partition(":")[0]}
                for fault in json.loads(store.read(key))
            ]
            _replace_if_changed(store, key, json.dumps(faults, indent=1))
        elif key.endswith(".jsonl"):
            lines = [json.loads(line) for line in _lines(store, key)]
            for line in lines:
                for failed in line.get("failures", {}).values():
                    failed["ids"] = [post_id for post_id in failed["ids"] if not is_gone(post_id)]
            _replace_if_changed(store, key, "".join(json.dumps(line) + "\n" for line in lines))


def scrub_cells(store: Store, is_gone: IsGone, rename: Callable[[str], str]) -> None:
    """Rename removed posts in the results of experiments, which hold the id and the counts of each test post."""
    for key in store.list(CELLS):
        result = json.loads(store.read(key))
        ids = [rename(post_id) if is_gone(post_id) else post_id for post_id in result["ids"]]
        if ids != result["ids"]:
            store.replace(key, json.dumps({**result, "ids": ids}).encode())


def scrub_index(store: Store, is_gone: IsGone) -> None:
    """Remove the ids of removed posts from the lists of changed posts. The hashes stay, so that posts stay known."""
    for key in store.list(INDEX):
        if key.endswith(".txt"):
            ids = store.read(key).decode().split("\n")
            _replace_if_changed(store, key, "\n".join(post_id for post_id in ids if not is_gone(post_id)))


def list_exports(store: Store) -> tuple[list[str], list[str]]:
    """Return the folders of exports that lie in the run, and what else lies there and was not made by amia."""
    files, folders = store.list_level("")
    foreign = sorted(files.keys() - {PLAN_FILE, REPORT_FILE})
    exports: list[str] = []
    for folder in (folder for folder in folders if folder not in FOLDERS):
        marks = [key for key in store.list(folder) if key.endswith(f"/{CONTROL}/identity.json")]
        exports += [mark.removesuffix(f"/{CONTROL}/identity.json") for mark in marks]
        if not marks:
            foreign.append(folder)
    return sorted(exports), foreign


def _lines(store: Store, key: str) -> list[str]:
    return [line for line in store.read(key).decode("utf-8", "replace").split("\n") if line]


def _ids(lines: Iterable[str]) -> list[str]:
    try:
        return [str(json.loads(line)["id"] or "") for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"a file in {QUARANTINE}/ was not written by amia: {error!r}") from error


def _replace_if_changed(store: Store, key: str, text: str) -> None:
    if store.read(key) != text.encode():
        store.replace(key, text.encode())
