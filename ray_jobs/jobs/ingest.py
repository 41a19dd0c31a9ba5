"""`amia ingest`: from a corpus to immutable shards of posts.

The first pass (`first_pass.py`) reads the source once and makes the plan. The second pass, the stage `Fetch`, publishes
the shards of the plan. Started again, ingest continues where it stopped.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from amia.errors import AmiaError, CorpusError, IdentityError, RunError, SettingsError, StoreError
from amia.images import ImageRoot
from amia.readers import Corpus, open_corpus
from ray_jobs.jobs.first_pass import Since, describe_source, drop_scratch, run_first_pass
from ray_jobs.runtime.cluster import Cluster, connect
from ray_jobs.runtime.executor import StageSpec, run_stages
from ray_jobs.settings.job import Settings
from ray_jobs.stages.fetch import Fetch
from ray_jobs.stages.sort import sorted_file
from ray_jobs.storage.earlier import absolute_address, check_same_settings, find_earlier_runs
from ray_jobs.storage.facts import ShardFacts
from ray_jobs.storage.fingerprint import difference
from ray_jobs.storage.layout import INDEX, POSTS, QUARANTINE, SCRATCH
from ray_jobs.storage.plan import PLAN_VERSION, Plan
from ray_jobs.storage.removals import removing_message
from ray_jobs.storage.shards import total_counts
from ray_jobs.storage.store import Store

__all__ = ["IngestResult", "ingest"]


@dataclass(frozen=True, slots=True)
class IngestResult:
    """Result of `ingest`."""

    plan: Plan
    counts: Counter[str]
    """Posts by image status."""


def ingest(
    source: str,
    run: str,
    settings: Settings,
    *,
    images: str | None = None,
    since: str | None = None,
    take_changed: bool = False,
    quiet: bool = False,
) -> IngestResult:
    """Read a corpus into `run`. A second call with the same source completes or confirms the first.

    `since`: an earlier run; its posts and those of the runs that it came after are left out. Posts that they hold with
    other content are left out, too, unless `take_changed`. If nothing is new, the run is not created, and its plan has
    no posts. Raises CorpusError if the source cannot be read, IdentityError if the run holds another corpus or was made
    with other settings.
    """
    store = Store(run)
    corpus = open_corpus(source, images)
    earlier: Since | None = None
    if since is not None:
        since = absolute_address(since)
        earlier = _find_since(since, run, settings, take_changed)
    store.probe()
    connect_once = cache(connect)
    first_pass = partial(run_first_pass, store, corpus, settings, connect_once, since=earlier, quiet=quiet)
    plan = _existing_plan(store, corpus, settings, first_pass, since) or _create_plan(
        store, corpus, settings, first_pass, since
    )
    if not plan.total:
        _drop_first_pass(store, plan)
        return IngestResult(plan, Counter())
    counts = _fetch(store, corpus, settings, plan, connect_once(), quiet=quiet)
    if counts.total() != plan.total:
        raise CorpusError(f"{plan.total} posts were planned, {counts.total()} published: report this as a bug")
    _keep_quarantine(store, plan)
    drop_scratch(store, plan.scratch)
    store.delete(SCRATCH)
    store.remove([key for key in store.list(INDEX) if not key.startswith(f"{plan.index}/")])
    return IngestResult(plan, counts)


def _find_since(address: str, run: str, settings: Settings, take_changed: bool) -> Since:
    """Return the runs that the corpus comes after. Raises SettingsError or RunError if it cannot."""
    if address == absolute_address(run):
        raise SettingsError(f"--since {address} is the run itself: give another --run")
    runs = find_earlier_runs(address)
    if runs[-1].seed != settings.seed:
        raise SettingsError(f"{address} has seed={runs[-1].seed}, not {settings.seed}: use its seed")
    return Since(runs, take_changed)


def _drop_first_pass(store: Store, plan: Plan) -> None:
    """Remove what the first pass of a plan wrote that is not published."""
    drop_scratch(store, plan.scratch)
    store.delete(plan.index)


def _fetch(
    store: Store, corpus: Corpus, settings: Settings, plan: Plan, cluster: Cluster, *, quiet: bool
) -> Counter[str]:
    """Run the second pass. Returns the published posts by image status."""
    stage = Fetch(
        store,
        plan=plan,
        image_root=_absolute(corpus.image_root),
        images=settings.image,
        in_flight=settings.pools.fetch.in_flight,
    )
    facts = ShardFacts(store, plan, publishes=True)
    if plan.missing_posts(facts) or plan.version == PLAN_VERSION:  # a finished run of an earlier version stays as it is
        if plan.earlier:
            check_same_settings(plan.earlier[-1], POSTS, stage.identity(POSTS))
        stage.check_or_write_identity()
    wait_s = cluster.wait_s(settings.wait_for_gpus_s)
    specs = [StageSpec(stage, settings.pools.fetch)]
    run_stages(
        store, cluster, plan, specs, plan.shards, wait_s=wait_s, quiet=quiet, stall_s=settings.stall_s, facts=facts
    )
    return total_counts(facts.metadata(POSTS, plan.shards))


def _keep_quarantine(store: Store, plan: Plan) -> None:
    """Copy the rejected rows out of scratch."""
    for key in store.list(f"{plan.scratch}/{QUARANTINE}"):
        target = f"{QUARANTINE}/{key.rpartition('/')[2]}"
        try:
            store.create(target, store.read(key))
        except StoreError:
            if not store.exists(target):  # otherwise another driver has copied it and deleted scratch
                raise


def _existing_plan(
    store: Store, corpus: Corpus, settings: Settings, first_pass: Callable[[], Plan], since: str | None
) -> Plan | None:
    """Return the plan of the run, or None. Raises IdentityError if it is of another corpus or has other shards."""
    plan = Plan.find(store)
    if plan is None:
        return None
    if plan.removing:
        raise RunError(removing_message(store))
    existing = {"per_shard": plan.per_shard, "seed": plan.seed, "since": plan.earlier[-1] if plan.earlier else None}
    changes = difference(existing, {"per_shard": settings.per_shard, "seed": settings.seed, "since": since})
    is_same_source = plan.source == describe_source(corpus)
    is_missing = bool(plan.missing_posts(store))
    if not changes and plan.version != PLAN_VERSION and (is_missing or not is_same_source):
        raise IdentityError(
            f"{store.address} was planned by an earlier version of amia (plan version {plan.version}, now "
            f"{PLAN_VERSION}), which this version can neither complete nor compare with {corpus.source}. Finish it "
            "with that version, or give another --run."
        )
    if not changes and not is_same_source:
        # Other files may hold the same posts: their content decides, not their names.
        new_plan = first_pass()
        if plan.digest != new_plan.digest:
            _drop_first_pass(store, new_plan)
            changes = difference(_describe_posts(plan), _describe_posts(new_plan))
        elif is_missing:
            plan = replace(plan, scratch=new_plan.scratch, segments=new_plan.segments)
    if changes:
        listed = "\n".join(f"  {line}" for line in changes)
        count = plan.removal.total if plan.removal else 0
        removed = f"({count:,} posts were removed from it; a source without them is another corpus.) " if count else ""
        raise IdentityError(
            f"{store.address} holds another corpus, or this corpus in other shards:\n{listed}\n{removed}"
            "Give another --run."
        )
    if is_missing and not _is_sorted(store, plan):
        # posts/ was removed after scratch was: read the corpus again.
        new_plan = first_pass()
        if new_plan.digest != plan.digest:
            raise IdentityError(f"{store.address} holds other posts than {corpus.source}: give another --run.")
        plan = replace(plan, scratch=new_plan.scratch, segments=new_plan.segments)
    return plan


def _is_sorted(store: Store, plan: Plan) -> bool:
    """Return whether scratch holds every bucket, whose counts are written last and removed first."""
    published = store.list(plan.scratch)
    return all(
        sorted_file(plan.scratch, f"{bucket:04d}") in published
        for counts in plan.segments.values()
        for bucket, count in enumerate(counts)
        if count
    )


def _create_plan(
    store: Store, corpus: Corpus, settings: Settings, first_pass: Callable[[], Plan], since: str | None
) -> Plan:
    """Run the first pass and publish its plan. Of two concurrent drivers, the first plan counts."""
    try:
        plan = first_pass()
        if not plan.total or plan.publish(store):
            return plan
    except AmiaError:
        # A driver that finishes removes scratch, even while another still sorts; then the plan exists.
        if Plan.find(store) is None:
            raise
    existing = _existing_plan(store, corpus, settings, first_pass, since)
    return existing or _create_plan(store, corpus, settings, first_pass, since)


def _describe_posts(plan: Plan) -> dict[str, Any]:
    return {"source": plan.source, "posts": plan.posts, "digest": plan.digest}


def _absolute(root: ImageRoot | None) -> ImageRoot | None:
    """Return the folder as actors find it, which have another working directory."""
    return root.resolve() if isinstance(root, Path) else root
