"""`amia retry RUN --failed --to NEW`: another run with everything that went well, ready to make the rest again.

Published files never change, so what failed is not mended in place. The new run has the old one's plan, identities,
mixture and bank. A shard is taken over, as it is, at every stage that no failure has reached; the others are left for
`amia augment --run NEW`. Broken images are fetched again here, since the posts come first.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from amia.errors import CorpusError, IdentityError, RunError
from amia.images import ImageSettings
from amia.mixing.arms import needs_synthesis
from ray_jobs.jobs.context import open_run
from ray_jobs.runtime.cluster import connect
from ray_jobs.runtime.executor import AnyStage, StageSpec, run_stages
from ray_jobs.settings.job import Settings
from ray_jobs.stages.refetch import Refetch
from ray_jobs.stages.take_over import TakeOver
from ray_jobs.storage.fingerprint import check_or_write_identity, read_identity
from ray_jobs.storage.layout import (
    AUGMENTED,
    MIXTURE,
    PLAN_FILE,
    POSTS,
    RETRY,
    RETRY_DIR,
    SYNTHESIZED,
    arm_folder,
    identity_key,
    manifest_key,
    readme_key,
    shard_key,
)
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import ShardMetadata, read_all_metadata, total_counts
from ray_jobs.storage.status import is_synthesis_retryable
from ray_jobs.storage.store import Store

__all__ = ["RetryResult", "retry"]

MEASURES = ("", "-batch", "-expected")
"""Suffixes of the folders of scores and mixtures."""
OF_ALL_POSTS = {"constant"}
"""Arms whose every row depends on every post's score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryResult:
    """What was taken over, and what is left to do."""

    posts: int
    images: dict[str, tuple[int, int]]
    """By status, posts with a broken image in the old run and in the new one."""
    image_root: str | None
    """Where broken images were looked for; None where the folder is not on this machine, or there is none."""
    redrawn: int
    """Posts that will be drawn again."""
    refused: int
    """Posts that the model's safety check refused, and that stay so."""
    stages: dict[str, int]
    """Shards that stand in the new run, by folder, of `of_shards`; `amia augment` makes those that lack."""
    of_shards: int
    command: list[str]
    """What goes on from here, without the settings."""


def retry(run: str, to: str, settings: Settings, *, images: str | None = None, quiet: bool = False) -> RetryResult:
    """Begin `to` with whatever of `run` no failure has reached; a second call goes on where the first stopped.

    `images`: the folder that paths of images lead from, where it is no longer the one of ingest. Raises RunError when
    nothing failed that trying again could cure, and when `to` holds a run of its own.
    """
    old, new = Store(run), Store(to)
    plan, posts = open_run(old)
    before, drawn = read_all_metadata(old, _keys("posts", plan.shards)), _drawn(old, plan)
    root = _image_root(plan, images)
    again = {shard for shard, told in drawn.items() if any(map(_redrawn, told.counts))}
    _require_failures(old, plan, root, before, again)
    _begin(new, old)
    stage = Refetch(
        new,
        check_or_write_identity(new, "posts", posts),
        old=old,
        image_root=root,
        images=ImageSettings(**posts["settings"]["image"]),
    )
    _run(stage, plan, settings, quiet)
    after = read_all_metadata(new, _keys("posts", plan.shards))
    if (came := total_counts(after).total()) != plan.total:
        raise RunError(f"{plan.total} posts stand in {run}, {came} came to {to}: report this as a bug")
    mended = {shard for shard, one, other in zip(plan.shards, before, after, strict=True) if one.sha256 != other.sha256}
    reached = _reached(old, plan, mended, again)
    taken = _take_over(new, old, plan, reached, settings, quiet)
    broken, still = _broken(before), _broken(after)
    pictures = total_counts(list(drawn.values()))
    return RetryResult(
        posts=plan.total,
        images={status: (count, still[status]) for status, count in sorted(broken.items())},
        image_root=None if root is None else str(root),
        redrawn=sum(count for status, count in pictures.items() if _redrawn(status)),
        refused=pictures["synthesis=failed(refused)"],
        stages={"posts": len(plan.shards)} | taken,
        of_shards=len(plan.shards),
        command=_command(old, new, reached),
    )


def _require_failures(
    old: Store, plan: Plan, root: Path | None, posts: Sequence[ShardMetadata], again: Collection[str]
) -> None:
    broken = _broken(posts).total()
    if again or (root is not None and broken):
        return
    if broken:
        where = plan.source["images"] or "their source, which has no image folder"
        raise RunError(
            f"{broken:,} images of {old.address} are broken, and none can be fetched again: they came from {where}, "
            "which is not on this machine. Give --images DIR"
        )
    raise RunError(f"no post of {old.address} failed in a way that trying again could cure")


def _begin(new: Store, old: Store) -> None:
    """Make sure that `new` is empty, or a retry of `old` that was begun before."""
    if new.address == old.address:
        raise RunError("published files never change: give --to another folder than the run's own")
    if not new.exists(identity_key(RETRY)) and (new.exists(PLAN_FILE) or new.list_sizes(POSTS)):
        raise RunError(f"{new.address} holds a run of its own: give --to a folder that is empty")
    of = {"run": old.address, "plan": hashlib.sha256(old.read(PLAN_FILE)).hexdigest()}
    standing = read_identity(new, RETRY)
    if standing is not None and standing["input"] != of:
        raise IdentityError(
            f"{new.address} was begun as the retry of {standing['input']['run']}: give --to another one"
        )
    new.probe()
    check_or_write_identity(new, "retry", {"stage": "retry", "version": 1, "input": of})


def _reached(old: Store, plan: Plan, mended: set[str], again: set[str]) -> dict[str, set[str]]:
    """By folder of the old run that has any use, the shards that a failure has reached."""
    reached = {"embeddings": mended, "synthesized": again} | {f"scores{suffix}": mended for suffix in MEASURES}
    for arm in sorted({key.split("/")[1] for key in old.list_sizes(AUGMENTED)}):
        if mended and not old.exists("mixture/mixture.json"):
            continue  # no post had an image: now that one has, every arm has another identity
        reached[arm_folder(arm)] = mended | (again if needs_synthesis(arm) else set())
        if mended and arm in OF_ALL_POSTS:
            reached[arm_folder(arm)] = set(plan.shards)
    return {folder: shards for folder, shards in reached.items() if read_identity(old, folder) is not None}


def _take_over(
    new: Store, old: Store, plan: Plan, reached: Mapping[str, set[str]], settings: Settings, quiet: bool
) -> dict[str, int]:
    """Everything but the posts, the plan last: without it nobody takes the new folder for a run. Shards by folder."""
    there = {key: size for folder in reached for key, size in old.list_sizes(folder).items()}
    names: dict[str, dict[str, str]] = {shard: {} for shard in plan.shards}
    taken: dict[str, int] = {}
    whole: list[str] = []
    for folder, without in reached.items():
        wanted = [shard for shard in plan.shards if shard not in without and shard_key(folder, shard) in there]
        for shard in wanted:
            names[shard][shard_key(folder, shard)] = shard_key(folder, shard)
        taken[folder] = len(wanted)
        whole += [identity_key(folder)]
        if len(wanted) == len(plan.shards):  # a finished arm also has a manifest and a card
            beside = (readme_key(folder), manifest_key(folder))
            whole += [key for key in beside if key in there]
    for shard in reached.get("synthesized", ()):
        names[shard][shard_key(RETRY_DIR, shard)] = shard_key(SYNTHESIZED, shard)
    there |= (earlier := old.list_sizes(RETRY_DIR))
    for shard in plan.shards:  # of a retry that is retried itself before all was drawn
        if (key := shard_key(RETRY_DIR, shard)) in earlier and shard_key(SYNTHESIZED, shard) not in there:
            names[shard][key] = key
    for folder in ("quarantine", *(f"mixture{suffix}" for suffix in MEASURES)):
        there |= (small := old.list_sizes(folder))
        whole += small
    for key in whole:
        new.link_from(old, key)
    _run(TakeOver(new, old=old, plan=plan, names=names), plan, settings, quiet)
    _compare(new, there, [*zip(whole, whole, strict=True), *(pair for some in names.values() for pair in some.items())])
    new.link_from(old, PLAN_FILE)
    return taken


def _compare(new: Store, theirs: Mapping[str, int], names: Sequence[tuple[str, str]]) -> None:
    """Raises RunError unless every file that was taken over, here key and there, stands in `new` with all its bytes."""
    came = {
        key: size for top in {key.partition("/")[0] for key, _ in names} for key, size in new.list_sizes(top).items()
    }
    for key, name in names:
        if came.get(key) != theirs[name]:
            raise RunError(
                f"{name} has {theirs[name]} bytes, {key} in {new.address} {came.get(key, 'none')}, "
                "though it was taken over: report this as a bug"
            )


def _run(stage: AnyStage, plan: Plan, settings: Settings, quiet: bool) -> None:
    machines = connect()
    wait_s = machines.wait_s(settings.wait_for_gpus_s)
    run_stages(
        stage.store, machines, plan, [StageSpec(stage, settings.pools.fetch)], plan.shards, wait_s=wait_s, quiet=quiet
    )


def _command(old: Store, new: Store, reached: Iterable[str]) -> list[str]:
    """What goes on from here; the settings are the person's."""
    words = ["amia", "augment", "--run", new.address]
    for folder in reached:
        if folder.startswith("augmented/"):
            words += ["--arm", folder.partition("/")[2]]
    if "taken" in ((read_identity(old, MIXTURE) or {}).get("settings") or {}):
        # It came with the preset, perhaps because there were too few images: now there may be enough.
        words += ["--mixture", old.address]
    return words


def _drawn(old: Store, plan: Plan) -> dict[str, ShardMetadata]:
    """Of each shard that was synthesized what its footer says."""
    sizes = old.list_sizes(SYNTHESIZED)
    there = [shard for shard in plan.shards if shard_key(SYNTHESIZED, shard) in sizes]
    return dict(zip(there, read_all_metadata(old, _keys("synthesized", there), sizes), strict=True))


def _image_root(plan: Plan, images: str | None) -> Path | None:
    if images is not None and not Path(images).is_dir():
        raise CorpusError(f"images {images}: there is no such folder")
    root = images or plan.source["images"]
    return Path(root).resolve() if root and Path(root).is_dir() else None


def _broken(posts: Sequence[ShardMetadata]) -> Counter[str]:
    return Counter({status: n for status, n in total_counts(posts).items() if status.startswith("image=bad_image(")})


def _redrawn(status: str) -> bool:
    return is_synthesis_retryable(status.removeprefix("synthesis="))


def _keys(folder: str, shards: Sequence[str]) -> list[str]:
    return [shard_key(folder, shard) for shard in shards]
