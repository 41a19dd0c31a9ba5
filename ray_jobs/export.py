"""`amia export`: arms of a run in a layout that other people's code reads, as a Ray Data job.

    DIR/<arm>/train.txt, valid.txt, test.txt, images/<id>.jpg     layout umt
    DIR/<arm>/<split>-00000-of-00007.tar                          layout webdataset
    DIR/README.md, SHA256SUMS                                     what it is, and what each file must be
    DIR/.amia/identity.json, finished.json, log/, parts/          what amia needs to go on with it

Actors publish each shard's files and, after them, its part: what the driver must know of the shard. When every part is
there the driver joins them into what is one file for a split or for the whole, and removes them.
"""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from amia.errors import CorpusError, RunError, SettingsError
from amia.export.keys import clashing
from amia.export.pictures import Pictures
from amia.export.summary import Summary
from amia.export.umt import LEAST_SIZE, Umt
from amia.export.webdataset import WebDataset
from amia.images import ImageSettings
from amia.mixing.arms import check_arm
from amia.mner.spans import label_names
from amia.report.attribution import is_demo
from amia.settings import build, nearest
from ray_jobs.exported import finish, finished
from ray_jobs.job import open_run
from ray_jobs.runtime.machines import connect
from ray_jobs.runtime.runner import Step, run_steps
from ray_jobs.settings.job import Settings
from ray_jobs.stages.export import CONTROL, PARTS, Export, Layout
from ray_jobs.storage.fingerprint import claim, digest, recorded
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store
from ray_jobs.storage.arm import Arm, open_arm

__all__ = ["LAYOUTS", "export"]

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
) -> Summary:
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
    if layout == "umt" and not plan.labelled:
        raise CorpusError(
            f"no post of {store.address} has tags, and layout umt is text files of tokens and tags: "
            "--layout webdataset takes posts of every kind"
        )
    opened = [open_arm(store, arm) for arm in dict.fromkeys(arms)]
    stored = _geometry(opened)
    pictures = Pictures(stored=stored, size=_size(layout, size, stored))
    folder = (name or "images") if layout == "umt" else None
    identity = _claim(target, layout, pictures, folder, opened)
    if (done := finished(target)) is not None:
        target.delete(PARTS)
        return done
    machines = connect()
    laid_out: Layout = (
        WebDataset(pictures, tuple(label_names(plan.types)))
        if folder is None
        else Umt(pictures, folder, clashing(_ids(store, plan, opened[0])))
    )
    for arm in opened:  # one after the other: a shard of one arm is enough to hold in memory
        run_steps(
            Store(f"{target.address}/{CONTROL}"),
            machines,
            plan,
            [Step(Export(target, identity, source=store, arm=arm.name, layout=laid_out), settings.pools.export)],
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
        raise SettingsError(f"no layout {layout!r}{nearest(layout, LAYOUTS)}: there are {' and '.join(LAYOUTS)}")
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
    if layout == "umt" and asked < LEAST_SIZE:
        raise SettingsError(
            f"--size {asked}: UMT and MAF cut {LEAST_SIZE} pixels out of an image without resizing it, and silently "
            f"show a grey picture instead of a smaller one. Give {LEAST_SIZE} or more"
        )
    return build(ImageSettings, {"size": asked}).size


def _claim(target: Store, layout: str, pictures: Pictures, folder: str | None, arms: Sequence[Arm]) -> str:
    """The export's identity, in a folder that holds it or nothing at all."""
    if recorded(target, CONTROL) is None:
        there = [name for name in ("README.md", "SHA256SUMS") if target.exists(name)]
        there += [f"{arm.name}/" for arm in arms if target.sizes(arm.name)]
        if there and recorded(target, CONTROL) is None:
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
    return claim(target, CONTROL, identity, advice="Give another --to, or empty this one to export anew.")


def _ids(store: Store, plan: Plan, arm: Arm) -> pa.ChunkedArray:
    """The ids of all posts: arms have the same."""
    keys = [key for split in plan.posts for key in arm.keys(split)]
    with ThreadPoolExecutor(READS) as pool:
        columns = list(pool.map(lambda key: read_shard(store, key, ["id"])["id"], keys))
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())
