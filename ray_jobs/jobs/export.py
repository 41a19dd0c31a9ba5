"""`amia export`: arms of a run in a layout that other people's code reads, as a Ray Data job.

    DIR/<arm>/train.txt, valid.txt, test.txt, images/<id>.jpg     layout umt
    DIR/<arm>/<split>-00000-of-00007.tar                          layout webdataset
    DIR/README.md, SHA256SUMS                                     what it is, and what each file must be
    DIR/.amia/identity.json, finished.json, log/, parts/          what amia needs to go on with it

Actors publish each shard's files and, after them, its part: what the driver must know of the shard. When every part is
there the driver joins them into what is one file for a split or for the whole, and removes them.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from amia.errors import CorpusError, RunError, SettingsError, StoreError
from amia.export.filenames import find_collisions
from amia.export.images import ImageExporter, placeholders
from amia.export.readme import readme
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
from ray_jobs.storage.fingerprint import check_or_write_identity, digest, read_identity
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store

__all__ = ["LAYOUTS", "export", "finish", "finished"]

# MERGED FROM ray_jobs.jobs.export: What the driver of `amia export` does when every shard is there: joins the parts, and says what the export holds.
LAYOUTS = ("umt", "webdataset")
USUAL_SIZE = 256
"""Pixels a side, at least, of layout `umt` where no size is asked for: room for a crop of 224 to move in."""
READS = 16
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z")


def export(
    run: str,
    settings: Settings,
    *,
    layout: str,
    to: str,
    arms: Sequence[str] = ("adaptive",),
    size: int | None = None,
    name: str | None = None,
    quiet: bool = False,
) -> ExportSummary:
    """Write finished arms of a run into the folder or URL `to`; started again, it goes on where it stopped.

    `size`: pixels a side of every image; default: the run's own, in layout umt at least 256. `name`: the image folder
    of layout umt (`images`). Raises SettingsError for what cannot be exported so, IdentityError when `to` holds another
    export, and RunError when it holds anything else or an arm is not finished.
    """
    _check(layout, arms, name)
    store, target = Store(run), Store(to)
    if store.address == target.address:
        raise SettingsError(f"--to {to} is the run itself: give a folder of its own")
    plan, _ = open_run(store)
    if layout == "umt" and not plan.labeled:
        raise CorpusError(
            f"no post of {store.address} has tags, and layout umt is text files of tokens and tags: "
            "--layout webdataset takes posts of every kind"
        )
    opened = [open_arm(store, arm) for arm in dict.fromkeys(arms)]
    stored = _geometry(opened)
    pictures = ImageExporter(stored=stored, size=_size(layout, size, stored))
    folder = (name or "images") if layout == "umt" else None
    identity = _claim(target, layout, pictures, folder, opened)
    if (done := finished(target)) is not None:
        target.delete(PARTS)
        return done
    machines = connect()
    laid_out: Layout = (
        WebDatasetLayout(pictures, tuple(label_names(plan.types)))
        if folder is None
        else UmtLayout(pictures, folder, find_collisions(_ids(store, plan, opened[0])))
    )
    for arm in opened:  # one after the other: a shard of one arm is enough to hold in memory
        run_stages(
            Store(f"{target.address}/{CONTROL}"),
            machines,
            plan,
            [StageSpec(Export(target, identity, source=store, arm=arm.name, layout=laid_out), settings.pools.export)],
            plan.shards,
            wait_s=machines.wait_s(settings.wait_for_gpus_s),
            quiet=quiet,
        )
    models = opened[0].manifest["settings"]
    about = {
        "layout": layout,
        "size": pictures.size,
        "quality": pictures.quality,
        "unchanged": pictures.unchanged,
        "folder": folder,
        "types": plan.types,
        "demo": any(is_demo(models[part]["model"]) for part in ("clip", "generator")),
        "generator": next((arm.generator for arm in opened if arm.generator is not None), None),
    }
    return finish(target, plan, opened, about)


def _check(layout: str, arms: Sequence[str], name: str | None) -> None:
    if layout not in LAYOUTS:
        raise SettingsError(f"no layout {layout!r}{suggest(layout, LAYOUTS)}: there are {' and '.join(LAYOUTS)}")
    for arm in arms:
        check_arm(arm)
    if name is not None and layout != "umt":
        raise SettingsError("--name is the image folder of --layout umt; the images of webdataset lie in its tar files")
    if name is not None and not _FOLDER.match(name):
        raise SettingsError(f"--name {name!r}: use letters, digits, `_` and `-` only; it is the name of a folder")


def _geometry(arms: Sequence[Arm]) -> ImageSettings:
    """How the images of all arms were written. Raises SettingsError when it was not one way."""
    written = {arm.name: arm.manifest["identity"]["settings"]["image"] for arm in arms}
    first = arms[0].name
    for arm, image in written.items():
        if image != written[first]:
            raise SettingsError(
                f"arms {first} and {arm} were not written alike ({written[first]}, {image}), so that a difference "
                "between them may be one of size or crop: export each into a folder of its own, or augment one anew"
            )
    return ImageSettings(**written[first])


def _size(layout: str, asked: int | None, stored: ImageSettings) -> int:
    if asked is None:
        return max(stored.size, USUAL_SIZE) if layout == "umt" else stored.size
    if layout == "umt" and asked < MIN_SIZE:
        raise SettingsError(
            f"--size {asked}: UMT and MAF cut {MIN_SIZE} pixels out of an image without resizing it, and silently "
            f"show a gray image instead of a smaller one. Give {MIN_SIZE} or more"
        )
    return build_settings(ImageSettings, {"size": asked}).size


def _claim(target: Store, layout: str, pictures: ImageExporter, folder: str | None, arms: Sequence[Arm]) -> str:
    """The export's identity, in a folder that holds it or nothing at all."""
    if read_identity(target, CONTROL) is None:
        there = [name for name in ("README.md", "SHA256SUMS") if target.exists(name)]
        there += [f"{arm.name}/" for arm in arms if target.list(arm.name)]
        if there and read_identity(target, CONTROL) is None:
            raise RunError(
                f"{target.address} holds {there[0]} already, and no export of amia: give another --to, or empty it"
            )
    Store(f"{target.address}/{CONTROL}").probe()
    identity = {
        "stage": Export.name,
        "version": Export.version,
        "settings": {"layout": layout, "size": pictures.size, "name": folder},
        "input": {arm.name: digest(arm.content) for arm in arms},
    }
    return check_or_write_identity(
        target, CONTROL, identity, advice="Give another --to, or empty this one to export anew."
    )


def _ids(store: Store, plan: Plan, arm: Arm) -> pa.ChunkedArray:
    """The ids of all posts: arms have the same."""
    keys = [key for split in plan.posts for key in arm.keys(split)]
    with ThreadPoolExecutor(READS) as pool:
        columns = list(pool.map(lambda key: read_shard(store, key, ["id"])["id"], keys))
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())


FINISHED = f"{CONTROL}/finished.json"


class _Files:
    """The files of the export, with the SHA-256 of each."""

    def __init__(self, target: Store) -> None:
        self._target = target
        self._sums: dict[str, str] = {}

    def add(self, key: str, data: bytes) -> None:
        keep(self._target, key, data)
        self._sums[key] = hashlib.sha256(data).hexdigest()

    def note(self, folder: str, sums: dict[str, str]) -> None:
        """Files that an actor has written."""
        self._sums.update({f"{folder}/{name}": each for name, each in sums.items()})

    def lines(self) -> bytes:
        """As `sha256sum --check` reads them."""
        return "".join(f"{each}  {key}\n" for key, each in sorted(self._sums.items())).encode()


def finished(target: Store) -> ExportSummary | None:
    """What a finished export holds, or None before it is finished."""
    if not target.exists(FINISHED):
        return None
    try:
        return ExportSummary.from_json(json.loads(target.read(FINISHED)))
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{FINISHED} in {target.address} was not written by this version of amia: {error!r}") from error


def finish(target: Store, plan: Plan, arms: Sequence[Arm], about: dict[str, Any]) -> ExportSummary:
    """Join the parts of every arm, write what describes the whole, and tidy the parts away.

    `about`: the fields of `ExportSummary` but `arms`. Another driver may finish the same export first.
    """
    try:
        files = _Files(target)
        summary = ExportSummary(**about, arms={arm.name: _join(target, plan, arm, about, files) for arm in arms})
        files.add("README.md", readme(summary).encode())
        keep(target, "SHA256SUMS", files.lines())
        target.create(FINISHED, json.dumps(summary.to_json(), indent=1, sort_keys=True).encode())
    except StoreError:
        if (done := finished(target)) is None:
            raise
        summary = done  # another driver was first, and has tidied the parts away under this one
    target.delete(PARTS)
    return summary


def _join(target: Store, plan: Plan, arm: Arm, about: dict[str, Any], files: _Files) -> ArmSummary:
    """The files of an arm that are no shard's, and its numbers."""
    posts: dict[str, int] = {}
    counts: Counter[str] = Counter()
    renamed: list[str] = []
    without: list[str] = []
    for split in sorted(plan.posts):
        texts: list[str] = []
        posts[split] = 0
        for part in _parts(target, arm.name, plan.shards_of(split)):
            texts.append(part["text"])
            posts[split] += part["posts"]
            counts.update({name: part[name] for name in ("untagged", "altered")})
            renamed += [
                json.dumps({"id": post, "name": name}, ensure_ascii=False) for post, name in part["renamed"].items()
            ]
            without += part["without_image"]
            files.note(arm.name, part["files"])
        if text := "".join(texts):
            files.add(f"{arm.name}/{text_file(split)}", text.encode())
    if about["folder"] is not None:
        for name, data in placeholders(about["size"]).items():
            files.add(f"{arm.name}/{about['folder']}/{name}", data)
        for name, lines in (("renamed.jsonl", renamed), ("without_image.txt", without)):
            if lines:
                files.add(f"{arm.name}/{name}", "".join(f"{line}\n" for line in lines).encode())
    return ArmSummary(
        posts=posts,
        without_image=len(without),
        untagged=counts["untagged"],
        altered=counts["altered"],
        renamed=len(renamed),
    )


def _parts(target: Store, arm: str, shards: Sequence[str]) -> Iterator[dict[str, Any]]:
    with ThreadPoolExecutor(READS) as pool:
        for data in pool.map(lambda shard: target.read(part_key(arm, shard)), shards):
            yield json.loads(data)
