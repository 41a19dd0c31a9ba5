"""`amia export`: write arms of a run in a layout that other software reads, as a Ray Data job.

    DIR/<arm>/train.txt, valid.txt, test.txt, images/<id>.jpg     layout umt
    DIR/<arm>/<split>-00000-of-00007.tar                          layout webdataset
    DIR/README.md, SHA256SUMS                                     description, and the hash of each file
    DIR/.amia/identity.json, finished.json, log/, parts/          needed by amia to resume the export

For each shard, actors publish its files and then its part: what the driver needs to know of the shard. Once all parts
are published, the driver joins them into the files that belong to a split or to the whole export, and removes them.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa

from amia.errors import CorpusError, RunError, SettingsError, StoreError
from amia.export.filenames import find_collisions
from amia.export.images import ImageExporter, placeholders
from amia.export.readme import render_readme
from amia.export.shard import ArmSummary, ExportSummary
from amia.export.umt import MIN_SIZE, UmtLayout, text_file
from amia.export.webdataset import WebDatasetLayout
from amia.images import ImageSettings
from amia.mixing.arms import check_arm
from amia.mner.spans import label_names
from amia.report.attribution import is_demo
from amia.utils.config import build_settings, suggest
from ray_jobs.jobs.context import open_run
from ray_jobs.runtime.cluster import connect
from ray_jobs.runtime.executor import StageSpec, run_stages
from ray_jobs.settings.job import Settings
from ray_jobs.stages.export import CONTROL, PARTS, Export, Layout, keep, part_key
from ray_jobs.storage.arm import Arm, open_arm
from ray_jobs.storage.combined import open_store
from ray_jobs.storage.fingerprint import digest, read_identity
from ray_jobs.storage.layout import LOG
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store

__all__ = ["LAYOUTS", "export", "finish", "read_exported", "read_finished"]

LAYOUTS = ("umt", "webdataset")
DEFAULT_UMT_SIZE = 256
"""Minimum of the default image size of layout `umt`, in pixels: leaves room for random crops of 224."""
README_FILE = "README.md"
SUMS_FILE = "SHA256SUMS"
FINISHED_FILE = f"{CONTROL}/finished.json"
READ_THREADS = 16
_EXPORTED = "exported-"
"""Begin of the names of records in the `log/` of the run."""
_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z")


def export(
    run: str,
    settings: Settings,
    *,
    layout: str,
    to: str,
    arms: Sequence[str] = ("adaptive",),
    size: int | None = None,
    name: str | None = None,
    with_earlier: bool = False,
    quiet: bool = False,
) -> ExportSummary:
    """Write finished arms of a run into the folder or URL `to`. Resumes an interrupted export.

    `size` is the width and height of every image in pixels; default: that of the run, for layout umt at least 256.
    `name` is the image folder of layout umt; default: `images`. `with_earlier`: write the posts of the runs that this
    one comes after, too. Raises SettingsError if the arguments do not go
    together, CorpusError if the posts have no tags for layout umt, IdentityError if `to` holds another export, and
    RunError if it holds anything else or if an arm is not finished.
    """
    _check_arguments(layout, arms, name)
    store, target = open_store(run, with_earlier=with_earlier), Store(to)
    if store.address == target.address:
        raise SettingsError(f"--to {to} is the run itself: give another folder")
    plan, _ = open_run(store)
    if layout == "umt" and not plan.labeled:
        raise CorpusError(
            f"no post of {store.address} has tags, and layout umt consists of text files of tokens and tags: "
            "use --layout webdataset, which also holds posts without tags"
        )
    opened = [open_arm(store, arm) for arm in dict.fromkeys(arms)]
    stored = _common_image_settings(opened)
    images = ImageExporter(stored=stored, size=_image_size(layout, size, stored))
    folder = (name or "images") if layout == "umt" else None
    options = {"layout": layout, "size": images.size, "name": folder}
    contents = {arm.name: digest(arm.content) for arm in opened}

    def create_stage(arm: Arm, converter: Layout | None) -> Export:
        return Export(target, source=store, arm=arm.name, layout=converter, options=options, arms=contents)

    _check_target(target, opened, create_stage(opened[0], None))
    _record_export(store, target, contents)
    if (summary := read_finished(target)) is not None:
        target.delete(PARTS)
        return summary
    converter: Layout = (
        WebDatasetLayout(images, tuple(label_names(plan.types)))
        if folder is None
        else UmtLayout(images, folder, find_collisions(_read_ids(store, plan, opened[0])))
    )
    cluster = connect()
    for arm in opened:  # sequentially, so that an actor holds one shard of one arm in memory
        run_stages(
            Store(f"{target.address}/{CONTROL}"),
            cluster,
            plan,
            [StageSpec(create_stage(arm, converter), settings.pools.export)],
            plan.shards,
            wait_s=cluster.wait_s(settings.wait_for_gpus_s),
            quiet=quiet,
            stall_s=settings.stall_s,
        )
    models = opened[0].manifest["settings"]
    summary = ExportSummary(
        layout=layout,
        size=images.size,
        quality=images.quality,
        unchanged=images.unchanged,
        folder=folder,
        types=plan.types,
        demo=any(is_demo(models[role]["model"]) for role in ("clip", "generator")),
        generator=next((arm.generator for arm in opened if arm.generator is not None), None),
        arms={},
    )
    return finish(target, plan, opened, summary)


def read_exported(store: Store) -> list[str]:
    """Return the addresses of the exports of a run, finished or not."""
    records = sorted(key for key in store.list(LOG) if key.startswith(f"{LOG}/{_EXPORTED}"))
    return [str(json.loads(store.read(key))["to"]) for key in records]


def _record_export(store: Store, target: Store, contents: Mapping[str, str]) -> None:
    """Record in the run where its posts were exported to, for a later removal of posts."""
    record = json.dumps({"to": target.address, "arms": contents}, indent=1, sort_keys=True).encode()
    with suppress(StoreError):  # the run may be read-only
        store.create(f"{LOG}/{_EXPORTED}{hashlib.sha256(record).hexdigest()[:16]}.json", record)


def _check_arguments(layout: str, arms: Sequence[str], name: str | None) -> None:
    if layout not in LAYOUTS:
        raise SettingsError(f"no layout {layout!r}{suggest(layout, LAYOUTS)}: the layouts are {' and '.join(LAYOUTS)}")
    for arm in arms:
        check_arm(arm)
    if name is not None and layout != "umt":
        raise SettingsError("--name is the image folder of --layout umt; webdataset holds its images in tar files")
    if name is not None and not _FOLDER_NAME.match(name):
        raise SettingsError(f"--name {name!r}: use letters, digits, `_` and `-` only; it becomes the name of a folder")


def _common_image_settings(arms: Sequence[Arm]) -> ImageSettings:
    """Return the image settings of all arms. Raises SettingsError if they differ."""
    by_arm = {arm.name: arm.manifest["identity"]["settings"]["image"] for arm in arms}
    first = arms[0].name
    for arm, image in by_arm.items():
        if image != by_arm[first]:
            raise SettingsError(
                f"arms {first} and {arm} have different image settings ({by_arm[first]}, {image}), so a difference "
                "between them could come from size or crop: export each into its own folder, or augment one again"
            )
    return ImageSettings(**by_arm[first])


def _image_size(layout: str, size: int | None, stored: ImageSettings) -> int:
    if size is None:
        return max(stored.size, DEFAULT_UMT_SIZE) if layout == "umt" else stored.size
    if layout == "umt" and size < MIN_SIZE:
        raise SettingsError(
            f"--size {size}: UMT and MAF crop {MIN_SIZE} pixels from an image without resizing it, and silently "
            f"replace a smaller image by a gray one. Give {MIN_SIZE} or more"
        )
    return build_settings(ImageSettings, {"size": size}).size


def _check_target(target: Store, arms: Sequence[Arm], stage: Export) -> None:
    """Check or write the identity of the export. Raises RunError if the folder holds anything but an export."""
    if read_identity(target, CONTROL) is None:
        foreign = [name for name in (README_FILE, SUMS_FILE) if target.exists(name)]
        foreign += [f"{arm.name}/" for arm in arms if target.list(arm.name)]
        # Read the identity again: a concurrent driver may have started the same export meanwhile.
        if foreign and read_identity(target, CONTROL) is None:
            raise RunError(
                f"{target.address} holds {foreign[0]} already, and no export of amia: give another --to, or empty it"
            )
    Store(f"{target.address}/{CONTROL}").probe()
    stage.check_or_write_identity(advice="Give another --to, or empty this folder to export again.")


def _read_ids(store: Store, plan: Plan, arm: Arm) -> pa.ChunkedArray:
    """Return the ids of all posts. They are the same in every arm."""
    keys = [key for split in plan.posts for key in arm.keys(split)]
    with ThreadPoolExecutor(READ_THREADS) as pool:
        columns = list(pool.map(lambda key: read_shard(store, key, ["id"])["id"], keys))
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())


def read_finished(target: Store) -> ExportSummary | None:
    """Return the summary of a finished export, or None if it is not finished."""
    if not target.exists(FINISHED_FILE):
        return None
    try:
        return ExportSummary.from_json(json.loads(target.read(FINISHED_FILE)))
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(
            f"{FINISHED_FILE} in {target.address} was not written by this version of amia: {error!r}"
        ) from error


def finish(target: Store, plan: Plan, arms: Sequence[Arm], summary: ExportSummary) -> ExportSummary:
    """Join the parts of every arm, write the README and the hashes, and remove the parts.

    `summary` has no arms yet; they are added here. A concurrent driver may finish the same export first.
    """
    try:
        files = _HashedFiles(target)
        summary = replace(summary, arms={arm.name: _join_parts(target, plan, arm, summary, files) for arm in arms})
        files.write(README_FILE, render_readme(summary).encode())
        keep(target, SUMS_FILE, files.sums())
        target.create(FINISHED_FILE, json.dumps(summary.to_json(), indent=1, sort_keys=True).encode())
    except StoreError:
        if (finished := read_finished(target)) is None:
            raise
        summary = finished  # another driver was first, and has removed the parts
    target.delete(PARTS)
    return summary


def _join_parts(target: Store, plan: Plan, arm: Arm, summary: ExportSummary, files: "_HashedFiles") -> ArmSummary:
    """Write the files of an arm that are not those of a shard, and return its counts."""
    posts: dict[str, int] = {}
    counts: Counter[str] = Counter()
    renamed: list[str] = []
    without_image: list[str] = []
    for split in sorted(plan.posts):
        texts: list[str] = []
        posts[split] = 0
        for part in _read_parts(target, arm.name, plan.shards_of(split)):
            texts.append(part["text"])
            posts[split] += part["posts"]
            counts.update({name: part[name] for name in ("untagged", "altered")})
            renamed += [
                json.dumps({"id": post_id, "name": name}, ensure_ascii=False)
                for post_id, name in part["renamed"].items()
            ]
            without_image += part["without_image"]
            files.record(arm.name, part["files"])
        if text := "".join(texts):
            files.write(f"{arm.name}/{text_file(split)}", text.encode())
    if summary.folder is not None:
        for name, data in placeholders(summary.size).items():
            files.write(f"{arm.name}/{summary.folder}/{name}", data)
        for name, lines in (("renamed.jsonl", renamed), ("without_image.txt", without_image)):
            if lines:
                files.write(f"{arm.name}/{name}", "".join(f"{line}\n" for line in lines).encode())
    return ArmSummary(
        posts=posts,
        without_image=len(without_image),
        untagged=counts["untagged"],
        altered=counts["altered"],
        renamed=len(renamed),
    )


def _read_parts(target: Store, arm: str, shards: Sequence[str]) -> Iterator[dict[str, Any]]:
    with ThreadPoolExecutor(READ_THREADS) as pool:
        for data in pool.map(lambda shard: target.read(part_key(arm, shard)), shards):
            yield json.loads(data)


class _HashedFiles:
    """The files of an export with the SHA-256 of each."""

    def __init__(self, target: Store) -> None:
        self._target = target
        self._sums: dict[str, str] = {}

    def write(self, key: str, data: bytes) -> None:
        """Publish a file and record its hash."""
        keep(self._target, key, data)
        self._sums[key] = hashlib.sha256(data).hexdigest()

    def record(self, folder: str, sums: dict[str, str]) -> None:
        """Record files that an actor has published."""
        self._sums.update({f"{folder}/{name}": sha256 for name, sha256 in sums.items()})

    def sums(self) -> bytes:
        """Return the hashes in the format of `sha256sum --check`."""
        return "".join(f"{sha256}  {key}\n" for key, sha256 in sorted(self._sums.items())).encode()
