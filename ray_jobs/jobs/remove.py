"""`amia remove`: take posts out of a run for good, as their deletion by their authors demands.

    1  find the posts, and publish the intent: from now on other jobs are refused
    2  publish a new generation of the affected shards of every folder (`RemovePosts`), and of the bank
    3  publish the record: the plan now names the new generation
    4  write the manifests and cards of finished arms again
    5  delete the previous generation, and everything else that may hold a removed post (`forget_posts.py`)

Every step can be repeated, so the same command continues after a kill; another list of ids is refused until then. A new
shard holds the rows that stay, with the footer that its stage would have published, under the identity of its folder:
nothing is computed again, and no other shard is touched.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from amia.errors import AmiaError, RunError, SettingsError
from amia.utils.prefetch import prefetch_map
from ray_jobs.jobs import forget_posts
from ray_jobs.jobs.context import open_posts
from ray_jobs.jobs.export import read_exported
from ray_jobs.jobs.manifest import publish_data_files, renew_manifest
from ray_jobs.jobs.renew_bank import bank_ids, drop_unfitted_bank, old_bank_files, renew_bank
from ray_jobs.runtime.cluster import connect
from ray_jobs.runtime.executor import StageSpec, run_stages
from ray_jobs.runtime.heartbeat import TIMEOUT_S, read_heartbeats
from ray_jobs.settings.job import Settings
from ray_jobs.stages.remove_posts import RemovePosts, part_file
from ray_jobs.storage.layout import (
    AUGMENTED,
    EMBEDDINGS,
    MODELS,
    POSTS,
    PREDICTIONS,
    REMOVALS,
    RETRY_DIR,
    SCORES,
    SYNTHESIZED,
    SYNTHESIZED_SCORES,
    arm_folder,
    manifest_key,
    readme_key,
    shard_key,
    shard_keys,
)
from ray_jobs.storage.plan import Plan, ingested_name
from ray_jobs.storage.removals import (
    Intent,
    Removal,
    create_record,
    done_file,
    intent_file,
    list_digest,
    pending_removal,
    read_intent,
    read_removal,
    read_tombstones,
    removal_file,
    tombstone,
)
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store

__all__ = ["RemoveResult", "remove", "remove_posts"]

SHARD_FOLDERS = (POSTS, EMBEDDINGS, SCORES, SYNTHESIZED, SYNTHESIZED_SCORES, RETRY_DIR, AUGMENTED, PREDICTIONS)
READ_THREADS = 32
"""Shards whose ids are read at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveResult:
    """What `remove_posts` removed from one run, and what it could not reach."""

    run: str
    posts: dict[str, int] = field(default_factory=dict)
    """Removed posts by split."""
    shards: int = 0
    """Affected shards."""
    rejected: int = 0
    """Rows that were removed from `quarantine/`."""
    bank: int = 0
    """Posts of the bank that were replaced."""
    missing: list[str]
    """Ids that the run does not hold."""
    already: int
    """Ids that were removed before."""
    again: list[str] = field(default_factory=list)
    """Arms with the images of other posts, whose affected shards `amia augment` makes again."""
    models: list[str]
    """Recognizers whose training was started before."""
    exports: list[str]
    """Addresses of exports that were made before and do not lie in the run."""
    foreign: list[str]
    """Files and folders in the folder of the run that amia did not make, and left as they are."""


def remove(run: str, ids: Iterable[str], settings: Settings, *, quiet: bool = False) -> list[RemoveResult]:
    """Remove the posts with some ids from a run and from those that it comes after, oldest first.

    Raises the errors of `remove_posts`.
    """
    store, wanted = Store(run), list(ids)
    plan, _ = open_posts(store)
    stores = [*map(Store, plan.earlier), store]
    results = [remove_posts(one, wanted, settings, quiet=quiet) for one in stores]
    for one in stores[1:]:  # they list the shards of the runs before them
        later_plan, _ = open_posts(one)
        for arm in _finished_arms(one):
            publish_data_files(one, later_plan, arm_folder(arm))
    return results


def remove_posts(store: Store, ids: Iterable[str], settings: Settings, *, quiet: bool = False) -> RemoveResult:
    """Remove the posts with some ids from one run. Started again with the same ids, it continues where it stopped.

    Raises SettingsError without ids, and RunError if the run is not fully ingested, if a job works on it, if another
    removal is not complete, or if no post would be left.
    """
    plan, _ = open_posts(store)
    wanted = {tombstone(plan.digest, post_id): post_id for post_id in ids}
    if not wanted:
        raise SettingsError("no ids: there is nothing to remove")
    store.probe()
    _check_idle(store)
    earlier = read_tombstones(store)
    number = pending_removal(store)
    if number is None:
        number = plan.removal.number + 1 if plan.removal else 1
        intent = _find(store, plan, wanted)
        if not intent.tombstones:
            return _result(store, wanted, earlier)
        if not create_record(store, intent_file(number), intent):
            intent = read_intent(store, number)  # of two drivers, the first one's
        _check_idle(store)  # a job may have started meanwhile; none can from now on
    else:
        intent = read_intent(store, number)
        earlier -= set(intent.tombstones)
    if intent.ids != list_digest(wanted):
        raise RunError(
            f"another list of posts is being removed from {store.address}, or its removal was interrupted: start `amia "
            "remove` with that list first"
        )
    if plan.removal is None or plan.removal.number < number:
        try:
            _switch(store, plan, number, intent, settings, quiet=quiet)
        except AmiaError:
            latest = read_removal(store)
            if latest is None or latest.number < number:
                raise  # otherwise another driver with the same ids was first, and has removed the input
    result = _result(store, wanted, earlier, number, intent)
    _clean_up(store, number, intent)
    return result


def _find(store: Store, plan: Plan, wanted: Mapping[str, str]) -> Intent:
    """Find the posts in shards, bank and quarantine."""

    def find(shard: str) -> tuple[str, set[str]]:
        ids = read_shard(store, shard_key(POSTS, shard), ["id"])["id"].to_pylist()
        return shard, {mark for post_id in ids if (mark := tombstone(plan.digest, post_id)) in wanted}

    found: set[str] = set()
    shards: dict[str, int] = {}
    for shard, marks in prefetch_map(find, plan.shards, threads=READ_THREADS):
        if marks:
            shards[shard] = len(marks)
            found |= marks
    if len(found) == plan.total:
        raise RunError(f"these are all posts of {store.address}: remove its folder instead")
    bank = [tombstone(plan.digest, post_id) for post_id in bank_ids(store)]
    if bank and set(bank) <= wanted.keys():
        raise RunError(
            f"these are all posts of the bank of {store.address}, so nothing could be scored any more: ingest the "
            "others into a new run instead"
        )
    rejected = forget_posts.rejected_ids(store)
    of_rows = [mark for post_id in rejected if (mark := tombstone(plan.digest, post_id)) in wanted]
    return Intent(
        ids=list_digest(wanted),
        tombstones=sorted(found | (set(bank) & wanted.keys()) | set(of_rows)),
        shards=shards,
        rejected=len(of_rows),
    )


def _switch(store: Store, plan: Plan, number: int, intent: Intent, settings: Settings, *, quiet: bool) -> None:
    """Publish the new generation of shards and bank, and then the record that makes them those of the run."""
    shards = [shard for shard in plan.shards if shard in intent.shards]
    folders = {key.rpartition("/")[0] for folder in SHARD_FOLDERS for key in _shard_keys(store, folder)}
    folders = {folder for folder in folders if not forget_posts.has_exchanged_images(folder)}
    if shards:
        cluster = connect()
        stage = RemovePosts(store, number=number, plan=plan.digest, folders=sorted(folders))
        run_stages(
            store,
            cluster,
            plan,
            [StageSpec(stage, settings.pools.fetch)],
            shards,
            wait_s=cluster.wait_s(settings.wait_for_gpus_s),
            quiet=quiet,
            stall_s=settings.stall_s,
        )
    keys = [part_file(number, shard) for shard in shards]
    parts = [json.loads(data) for data in prefetch_map(store.read, keys, threads=READ_THREADS)]
    before = plan.removal
    posts = Counter(before.posts if before else {})
    changed = dict(before.shards if before else {})
    for shard, part in zip(shards, parts, strict=True):
        posts.update(part["posts"])
        name, count = ingested_name(shard), sum(part["posts"].values())
        changed[name] = (number, count + changed.get(name, (0, 0))[1])
        if count != intent.shards[shard]:
            raise RunError(f"{shard}: {intent.shards[shard]} posts to remove, {count} removed: report this as a bug")
    removal = Removal(
        number=number,
        posts=dict(posts),
        labeled=sum(part["labeled"] for part in parts) + (before.labeled if before else 0),
        rejected=intent.rejected + (before.rejected if before else 0),
        bank=0,
        shards=changed,
    )
    replaced = renew_bank(store, plan.after(removal), number, frozenset(intent.tombstones))
    create_record(store, removal_file(number), replace(removal, bank=replaced))


def _clean_up(store: Store, number: int, intent: Intent) -> None:
    """Write manifests and cards again, and delete what holds a removed post."""
    plan = Plan.find(store)
    if plan is None:
        return
    tombstones = frozenset(intent.tombstones)

    def is_gone(post_id: str) -> bool:
        return tombstone(plan.digest, post_id) in tombstones

    if intent.shards:
        forget_posts.drop_exchanged(store)
        _renew_manifests(store, plan)
        while previous := _previous_generation(store, plan, intent):
            store.remove(previous)
        forget_posts.drop_derived(store)
        for folder in forget_posts.list_exports(store)[0]:
            store.delete(folder)
    forget_posts.forget_rejected(store, is_gone)
    forget_posts.scrub_log(store, is_gone)
    forget_posts.scrub_index(store, is_gone)
    forget_posts.scrub_cells(store, is_gone, lambda post_id: tombstone(plan.digest, post_id))
    drop_unfitted_bank(store, plan, tombstones)
    store.remove(old_bank_files(store))
    store.delete(f"{REMOVALS}/{number:04d}")
    store.create(done_file(number), b"{}")


def _renew_manifests(store: Store, plan: Plan) -> None:
    """Write the manifests of finished arms again. An arm that has lost shards is not finished any more."""
    files = store.list(AUGMENTED)
    for arm in _finished_arms(store):
        folder = arm_folder(arm)
        if files.keys() >= set(shard_keys(folder, plan.shards)):
            renew_manifest(store, plan, arm)
        else:
            store.remove([manifest_key(folder), readme_key(folder)])


def _finished_arms(store: Store) -> list[str]:
    files = store.list(AUGMENTED)
    return [arm for arm in sorted({key.split("/")[1] for key in files}) if manifest_key(arm_folder(arm)) in files]


def _previous_generation(store: Store, plan: Plan, intent: Intent) -> list[str]:
    """Return the keys of affected shards, in all folders, that the plan does not name any more."""
    affected, current = set(map(ingested_name, intent.shards)), set(plan.shards)
    names = {key: PurePosixPath(key).stem for folder in SHARD_FOLDERS for key in _shard_keys(store, folder)}
    return [key for key, name in names.items() if ingested_name(name) in affected and name not in current]


def _result(
    store: Store,
    wanted: Mapping[str, str],
    earlier: frozenset[str],
    number: int | None = None,
    intent: Intent | None = None,
) -> RemoveResult:
    """Return the result of a removal, or of one that found nothing, before the clean-up."""
    models = sorted({key.split("/")[1] for key in store.list(MODELS)})
    _, foreign = forget_posts.list_exports(store)
    known = earlier | set(intent.tombstones if intent else ())
    result = RemoveResult(
        run=store.address,
        missing=[post_id for mark, post_id in wanted.items() if mark not in known],
        already=len(wanted.keys() & earlier),
        models=models,
        exports=[address for address in read_exported(store) if not address.startswith(f"{store.address}/")],
        foreign=foreign,
    )
    if number is None or intent is None:
        return result
    removal, before = read_removal(store), read_removal(store, before=number)
    posts = Counter(removal.posts if removal else {})
    posts.subtract(before.posts if before else {})
    return replace(
        result,
        posts=dict(+posts),
        shards=len(intent.shards),
        rejected=intent.rejected,
        bank=removal.bank if removal else 0,
        again=forget_posts.exchanged_arms(store) if intent.shards else [],
    )


def _check_idle(store: Store) -> None:
    """Raise RunError if a driver works on the run, other than one that removes posts, too."""
    for record, written in read_heartbeats(store).values():
        is_removal = all(folder.startswith(f"{REMOVALS}/") for folder in record.working)
        if time.time() - written < TIMEOUT_S and not is_removal:
            raise RunError(
                f"a job works on {store.address}, on {record.host} (process {record.pid}): wait for its end, or stop "
                f"it, and start the same command again. After a kill, its heartbeat lasts {TIMEOUT_S:g} s"
            )


def _shard_keys(store: Store, folder: str) -> list[str]:
    return [key for key in store.list(folder) if key.endswith(".parquet")]
