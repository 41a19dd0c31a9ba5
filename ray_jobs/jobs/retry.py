"""`amia retry RUN --failed --to NEW`: create a new run from everything that succeeded, ready to repeat the rest.

Published files never change, so failed posts are not repaired in place. The new run has the plan, the identities, the
mixture and the bank of the previous one. At each stage, shards without an affected post are taken over unchanged; the
others are left to `amia augment --run NEW`. Broken images are fetched again here, since all stages depend on the posts.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from amia.errors import IdentityError, RunError
from amia.images import ImageRoot, ImageSettings, image_address
from amia.mixing.arms import needs_synthesis
from amia.readers.detect import open_image_root
from amia.utils.store_reader import StoreReader, is_url
from ray_jobs.jobs.context import open_run
from ray_jobs.runtime.cluster import connect
from ray_jobs.runtime.executor import AnyStage, StageSpec, run_stages
from ray_jobs.settings.job import Settings
from ray_jobs.stages.refetch import Refetch
from ray_jobs.stages.take_over import TakeOver
from ray_jobs.storage.facts import ShardFacts
from ray_jobs.storage.fingerprint import check_or_write_identity, read_identity
from ray_jobs.storage.layout import (
    AUGMENTED,
    EMBEDDINGS,
    MIXTURE,
    PLAN_FILE,
    POSTS,
    QUARANTINE,
    REMOVALS,
    RETRY,
    RETRY_DIR,
    SCORES,
    SYNTHESIZED,
    SYNTHESIZED_SCORES,
    arm_folder,
    identity_key,
    manifest_key,
    readme_key,
    shard_key,
)
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.removed_images import read_removed_images, removed_images_advice
from ray_jobs.storage.shards import ShardMetadata, total_counts
from ray_jobs.storage.status import is_synthesis_retryable
from ray_jobs.storage.store import Store

__all__ = ["RetryResult", "retry"]

ARMS_OF_ALL_SCORES = {"constant"}
"""Arms in which every row depends on the score of every post."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryResult:
    """What was taken over, and what is left to do."""

    posts: int
    images: dict[str, tuple[int, int]]
    """Number of posts with a broken image in the old and in the new run, by status."""
    image_root: str | None
    """Folder from which broken images were fetched again; None if there is none on this machine."""
    redrawn: int
    """Number of posts whose image will be synthesized again."""
    refused: int
    """Number of posts that the model's safety check refused. They are not retried."""
    stages: dict[str, int]
    """Number of shards in the new run by folder, of `of_shards`. `amia augment` creates the missing ones."""
    of_shards: int
    command: list[str]
    """Command that continues the new run, without the settings."""


def retry(run: str, to: str, settings: Settings, *, images: str | None = None, quiet: bool = False) -> RetryResult:
    """Create the run `to` with everything of `run` that no failure affects. A second call resumes the first.

    `images` is the folder that relative image paths start from, if it is no longer that of ingest. Raises RunError if
    no failed post can be retried, or if `to` holds another run; CorpusError if the image folder does not exist.
    """
    old, new = Store(run), Store(to)
    plan, posts = open_run(old)
    if (removed := read_removed_images(old)) is not None:
        raise RunError(
            f"a retry needs the synthesized images of {run}, which were removed once all arms were mixed: "
            f"{removed_images_advice(old, removed.arms[0])} makes the same ones again"
        )
    old_facts, facts = ShardFacts(old, plan), ShardFacts(new, plan, publishes=True)
    old_posts, synthesized = list(old_facts.metadata(POSTS, plan.shards)), _synthesized_metadata(old_facts, plan)
    image_root = _image_root(plan, images)
    redrawn_shards = {shard for shard, metadata in synthesized.items() if any(map(_is_redrawn, metadata.counts))}
    _check_retryable(old, plan, image_root, old_posts, redrawn_shards)
    _check_target(new, old)
    image_settings = ImageSettings(**posts["settings"]["image"])
    stage = Refetch(new, posts=posts, old=old, image_root=image_root, images=image_settings)
    stage.check_or_write_identity()
    _run_stage(stage, plan, settings, quiet, facts)
    new_posts = list(facts.metadata(POSTS, plan.shards))
    if (num_posts := total_counts(new_posts).total()) != plan.total:
        raise RunError(f"{run} has {plan.total} posts, {to} has {num_posts}: report this as a bug")
    repaired_shards = {
        shard
        for shard, before, after in zip(plan.shards, old_posts, new_posts, strict=True)
        if before.sha256 != after.sha256
    }
    affected = _affected_shards(old, plan, repaired_shards, redrawn_shards)
    num_taken_over = _take_over(new, old, plan, affected, settings, quiet)
    broken_before, broken_after = _count_broken(old_posts), _count_broken(new_posts)
    synthesis_counts = total_counts(list(synthesized.values()))
    return RetryResult(
        posts=plan.total,
        images={status: (count, broken_after[status]) for status, count in sorted(broken_before.items())},
        image_root=image_address(image_root) or None,
        redrawn=sum(count for status, count in synthesis_counts.items() if _is_redrawn(status)),
        refused=synthesis_counts["synthesis=failed(refused)"],
        stages={POSTS: len(plan.shards)} | num_taken_over,
        of_shards=len(plan.shards),
        command=_next_command(old, new, affected),
    )


def _check_retryable(
    old: Store,
    plan: Plan,
    image_root: ImageRoot | None,
    posts: Sequence[ShardMetadata],
    redrawn_shards: Collection[str],
) -> None:
    """Raise RunError if no failed post can be retried."""
    num_broken = _count_broken(posts).total()
    if redrawn_shards or (image_root is not None and num_broken):
        return
    if num_broken:
        source = plan.source["images"] or "their source, which has no image folder"
        raise RunError(
            f"{num_broken:,} images of {old.address} are broken and cannot be fetched again: they came from {source}, "
            "which is not on this machine. Give --images DIR"
        )
    raise RunError(f"no failed post of {old.address} can be retried")


def _check_target(new: Store, old: Store) -> None:
    """Raise an error unless `new` is empty or an interrupted retry of `old`, and write its identity."""
    if new.address == old.address:
        raise RunError("published files never change: --to must be another folder than the run")
    if not new.exists(identity_key(RETRY)) and (new.exists(PLAN_FILE) or new.list(POSTS)):
        raise RunError(f"{new.address} holds another run: give an empty folder as --to")
    source = {"run": old.address, "plan": hashlib.sha256(old.read(PLAN_FILE)).hexdigest()}
    existing = read_identity(new, RETRY)
    if existing is not None and existing["input"] != source:
        raise IdentityError(f"{new.address} is the retry of {existing['input']['run']}: give another folder as --to")
    new.probe()
    check_or_write_identity(new, RETRY, {"stage": "retry", "version": 1, "input": source})


def _affected_shards(
    old: Store, plan: Plan, repaired_shards: set[str], redrawn_shards: set[str]
) -> dict[str, set[str]]:
    """Return the shards that have to be created again, by folder. Folders that cannot be used at all are left out."""
    affected = {
        EMBEDDINGS: repaired_shards,
        SCORES: repaired_shards,
        SYNTHESIZED: redrawn_shards,
        SYNTHESIZED_SCORES: redrawn_shards,  # they read the texts of the posts and the bank, not the posts' own images
    }
    for arm in sorted({key.split("/")[1] for key in old.list(AUGMENTED)}):
        if repaired_shards and not old.exists(f"{MIXTURE}/mixture.json"):
            continue  # the old run had no image at all; with the first image, every arm gets another identity
        affected[arm_folder(arm)] = repaired_shards | (redrawn_shards if needs_synthesis(arm) else set())
        if repaired_shards and arm in ARMS_OF_ALL_SCORES:
            affected[arm_folder(arm)] = set(plan.shards)
    return {folder: shards for folder, shards in affected.items() if read_identity(old, folder) is not None}


def _take_over(
    new: Store, old: Store, plan: Plan, affected: Mapping[str, set[str]], settings: Settings, quiet: bool
) -> dict[str, int]:
    """Take over everything except the posts, and return the number of shards by folder.

    The plan comes last: a folder without it is not a run yet.
    """
    old_sizes = {key: size for folder in affected for key, size in old.list_sizes(folder).items()}
    old_keys: dict[str, dict[str, str]] = {shard: {} for shard in plan.shards}  # key in the old run by new key
    num_taken_over: dict[str, int] = {}
    other_keys: list[str] = []  # files that do not belong to a shard
    for folder, affected_shards in affected.items():
        shards = [
            shard for shard in plan.shards if shard not in affected_shards and shard_key(folder, shard) in old_sizes
        ]
        for shard in shards:
            old_keys[shard][shard_key(folder, shard)] = shard_key(folder, shard)
        num_taken_over[folder] = len(shards)
        other_keys.append(identity_key(folder))
        if len(shards) == len(plan.shards):  # a finished arm also has a manifest and a data set card
            other_keys += [key for key in (readme_key(folder), manifest_key(folder)) if key in old_sizes]
    for shard in affected.get(SYNTHESIZED, ()):
        old_keys[shard][shard_key(RETRY_DIR, shard)] = shard_key(SYNTHESIZED, shard)
    retry_sizes = old.list_sizes(RETRY_DIR)
    for shard in plan.shards:  # the old run is itself a retry that was not completed
        if (key := shard_key(RETRY_DIR, shard)) in retry_sizes and shard_key(SYNTHESIZED, shard) not in old_sizes:
            old_keys[shard][key] = key
    old_sizes |= retry_sizes
    for folder in (QUARANTINE, MIXTURE, REMOVALS):
        sizes = old.list_sizes(folder)
        old_sizes |= sizes
        other_keys += sizes
    for key in other_keys:
        new.link_from(old, key)
    _run_stage(TakeOver(new, old=old, plan=plan, names=old_keys), plan, settings, quiet)
    pairs = [pair for keys in old_keys.values() for pair in keys.items()]
    _check_sizes(new, old_sizes, [*((key, key) for key in other_keys), *pairs])
    new.link_from(old, PLAN_FILE)
    return num_taken_over


def _check_sizes(new: Store, old_sizes: Mapping[str, int], pairs: Sequence[tuple[str, str]]) -> None:
    """Raise RunError unless every file, given as (new key, old key), has the same size in both runs."""
    folders = {key.partition("/")[0] for key, _ in pairs}
    new_sizes = {key: size for folder in folders for key, size in new.list_sizes(folder).items()}
    for key, old_key in pairs:
        if new_sizes.get(key) != old_sizes[old_key]:
            raise RunError(
                f"{old_key} has {old_sizes[old_key]} bytes, but its copy {key} in {new.address} has "
                f"{new_sizes.get(key, 'none')}: report this as a bug"
            )


def _run_stage(stage: AnyStage, plan: Plan, settings: Settings, quiet: bool, facts: ShardFacts | None = None) -> None:
    cluster = connect()
    wait_s = cluster.wait_s(settings.wait_for_gpus_s)
    specs = [StageSpec(stage, settings.pools.fetch)]
    run_stages(
        stage.store,
        cluster,
        plan,
        specs,
        plan.shards,
        wait_s=wait_s,
        quiet=quiet,
        stall_s=settings.stall_s,
        facts=facts,
    )


def _next_command(old: Store, new: Store, affected: Iterable[str]) -> list[str]:
    """Return the command that continues the new run. The caller adds the settings."""
    words = ["amia", "augment", "--run", new.address]
    for folder in affected:
        if folder.startswith(f"{AUGMENTED}/"):
            words += ["--arm", folder.partition("/")[2]]
    if "taken" in ((read_identity(old, MIXTURE) or {}).get("settings") or {}):
        # The old run used a shipped mixture, perhaps because it had too few images; the new run may have enough.
        words += ["--mixture", old.address]
    return words


def _synthesized_metadata(facts: ShardFacts, plan: Plan) -> dict[str, ShardMetadata]:
    """Return the footer of each published shard of synthesized images."""
    published = facts.list(SYNTHESIZED)
    shards = [shard for shard in plan.shards if shard_key(SYNTHESIZED, shard) in published]
    return dict(zip(shards, facts.metadata(SYNTHESIZED, shards), strict=True))


def _image_root(plan: Plan, images: str | None) -> ImageRoot | None:
    if images is not None:
        root = open_image_root(images)
        return root.resolve() if isinstance(root, Path) else root
    address = plan.source["images"]
    if is_url(address):
        return StoreReader(address)
    return Path(address) if address and Path(address).is_dir() else None


def _count_broken(posts: Sequence[ShardMetadata]) -> Counter[str]:
    """Count the posts with a broken image by status."""
    counts = total_counts(posts)
    return Counter({status: count for status, count in counts.items() if status.startswith("image=bad_image(")})


def _is_redrawn(status: str) -> bool:
    return is_synthesis_retryable(status.removeprefix("synthesis="))
