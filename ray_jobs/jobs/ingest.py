"""`amia ingest`: from a corpus to immutable shards of posts.

The first pass reads the source once, in order, and writes the plan. The second pass, the stage `Fetch`, publishes the
shards of the plan. Started again, ingest continues where it stopped.
"""

import hashlib
import json
import secrets
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amia.errors import AmiaError, CorpusError, IdentityError, StoreError
from amia.images import ImageRoot, image_address
from amia.mner.spans import TYPES
from amia.posts import Rejected, content_hash, validate_post
from amia.readers import Corpus, open_corpus
from amia.utils.store_reader import is_url
from ray_jobs.runtime.cluster import connect
from ray_jobs.runtime.executor import StageSpec, run_stages
from ray_jobs.settings.job import Settings
from ray_jobs.stages.fetch import Fetch
from ray_jobs.storage.external_sort import BucketWriter, bucket_count, order_file
from ray_jobs.storage.fingerprint import difference, digest
from ray_jobs.storage.layout import QUARANTINE, SCRATCH
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_all_metadata, total_counts
from ray_jobs.storage.store import Store

__all__ = ["IngestResult", "ingest"]

SCRATCH_RATIO = {"parquet": 4}
"""Upper bound, as a rule, of the size of texts in scratch relative to their source. Images are not compressed."""


@dataclass(frozen=True, slots=True)
class IngestResult:
    """Result of `ingest`."""

    plan: Plan
    counts: Counter[str]
    """Posts by image status."""


def ingest(
    source: str, run: str, settings: Settings, *, images: str | None = None, quiet: bool = False
) -> IngestResult:
    """Read a corpus into `run`. A second call with the same source completes or confirms the first.

    Raises CorpusError if the source cannot be read, IdentityError if the run holds another corpus or was made with
    other settings.
    """
    store = Store(run)
    corpus = open_corpus(source, images)
    store.probe()
    plan = _existing_plan(store, corpus, settings) or _create_plan(store, corpus, settings)
    stage = Fetch(store, plan=plan, image_root=_absolute(corpus.image_root), images=settings.image)
    stage.check_or_write_identity()
    cluster = connect()
    wait_s = cluster.wait_s(settings.wait_for_gpus_s)
    run_stages(store, cluster, plan, [StageSpec(stage, settings.pools.fetch)], plan.shards, wait_s=wait_s, quiet=quiet)
    counts = total_counts(read_all_metadata(store, [key for shard in plan.shards for key in stage.keys(shard)]))
    if counts.total() != plan.total:
        raise CorpusError(f"{plan.total} posts were planned, {counts.total()} published: report this as a bug")
    _keep_quarantine(store, plan)
    store.delete(SCRATCH)
    return IngestResult(plan, counts)


def _keep_quarantine(store: Store, plan: Plan) -> None:
    """Copy the rejected rows out of scratch."""
    for key in store.list(f"{plan.scratch}/{QUARANTINE}"):
        target = f"{QUARANTINE}/{key.rpartition('/')[2]}"
        try:
            store.create(target, store.read(key))
        except StoreError:
            if not store.exists(target):  # otherwise another driver has copied it and deleted scratch
                raise


def _existing_plan(store: Store, corpus: Corpus, settings: Settings) -> Plan | None:
    """Return the plan of the run, or None. Raises IdentityError if it is of another corpus or has other shards."""
    plan = Plan.find(store)
    if plan is None:
        return None
    requested = {"per_shard": settings.per_shard, "seed": settings.seed}
    changes = difference({"per_shard": plan.per_shard, "seed": plan.seed}, requested)
    if not changes and plan.source != _describe_source(corpus):
        # Other files may hold the same posts: their content decides, not their names.
        new_plan = _read_corpus(store, corpus, settings)
        store.delete(new_plan.scratch)
        if plan.digest != new_plan.digest:
            changes = difference(_describe_posts(plan), _describe_posts(new_plan))
    if changes:
        listed = "\n".join(f"  {line}" for line in changes)
        raise IdentityError(
            f"{store.address} holds another corpus, or this corpus in other shards:\n{listed}\nGive another --run."
        )
    if plan.missing_posts(store) and not _is_sorted(store, plan):
        # posts/ was removed after scratch was: read the corpus again, into the buckets of the plan.
        new_plan = _read_corpus(store, corpus, settings, plan)
        if new_plan.digest != plan.digest:
            raise IdentityError(f"{store.address} holds other posts than {corpus.source}: give another --run.")
    return plan


def _is_sorted(store: Store, plan: Plan) -> bool:
    """Return whether scratch holds every bucket with its order, which is written last."""
    published = store.list(plan.scratch)
    return all(
        order_file(plan.scratch, bucket, split) in published
        for split, counts in plan.segments.items()
        for bucket, count in enumerate(counts)
        if count
    )


def _create_plan(store: Store, corpus: Corpus, settings: Settings) -> Plan:
    """Run the first pass and publish its plan. Of two concurrent drivers, the first plan counts."""
    try:
        plan = _read_corpus(store, corpus, settings)
        if plan.publish(store):
            return plan
        store.delete(plan.scratch)
    except AmiaError:
        # A driver that finishes deletes scratch, even while another still sorts; then the plan exists.
        if Plan.find(store) is None:
            raise
    return _existing_plan(store, corpus, settings) or _create_plan(store, corpus, settings)


def _read_corpus(store: Store, corpus: Corpus, settings: Settings, existing: Plan | None = None) -> Plan:
    """Run the first pass: sort the posts into scratch buckets, those of the `existing` plan if any, and plan shards."""
    folder = f"{SCRATCH}/{secrets.token_hex(6)}" if existing is None else existing.scratch
    size = corpus.bytes * SCRATCH_RATIO.get(corpus.kind, 1) if corpus.files else None
    count = bucket_count(size, settings.bucket_mb * 1_000_000)
    if existing is not None:
        count = len(next(iter(existing.segments.values())))
    buckets = BucketWriter(store, folder, seed=settings.seed, count=count)
    types: set[str] = set()
    repaired = labeled = rejected = 0
    for raw in corpus:
        if isinstance(raw, Rejected):
            buckets.reject(raw)
            rejected += 1
            continue
        post = validate_post(raw)
        if isinstance(post, Rejected):
            buckets.reject(post)
            rejected += 1
            continue
        buckets.add(post, has_source_id=raw.id is not None, content=content_hash(raw))
        types.update(tag[2:] for tag in post.ner_tags or () if tag != "O")
        repaired += post.repaired
        labeled += post.ner_tags is not None
    buckets.flush()
    counts: list[dict[str, int]] = []
    hashes: dict[str, hashlib._Hash] = {}
    for bucket in range(buckets.count):
        sorted_bucket = buckets.sort(bucket)
        counts.append({split: order.num_rows for split, order in sorted_bucket.orders.items()})
        for split, order in sorted_bucket.orders.items():
            split_hash = hashes.setdefault(split, hashlib.sha256())
            for batch in order.to_batches(8192):
                for post_id, content in zip(batch["id"].to_pylist(), batch["content"].to_pylist(), strict=True):
                    split_hash.update(f"{post_id}\n{content}\n".encode())
        for duplicate in sorted_bucket.duplicates:
            buckets.reject(duplicate)
            rejected += 1
    buckets.flush()
    posts = {split: sum(bucket.get(split, 0) for bucket in counts) for split in hashes}
    if not posts:
        raise CorpusError(
            f"{corpus.source}: no posts found ({rejected} rows rejected; `amia doctor` lists the reasons)"
        )
    return Plan(
        posts=posts,
        per_shard=settings.per_shard,
        seed=settings.seed,
        digest=digest({split: split_hash.hexdigest() for split, split_hash in hashes.items()}),
        types=[*TYPES, *sorted(types - set(TYPES))],
        rejected=rejected,
        repaired=repaired,
        labeled=labeled,
        source=_describe_source(corpus),
        scratch=folder,
        segments={split: [bucket.get(split, 0) for bucket in counts] for split in hashes},
    )


def _describe_source(corpus: Corpus) -> dict[str, str]:
    """Describe a source by the names, sizes and times of its files. If unchanged, the first pass is not repeated."""
    stamps = [(str(file), file.size, file.version) for file in corpus.files]
    is_local = corpus.files and not is_url(corpus.source)
    return {
        "kind": corpus.kind,
        "source": str(Path(corpus.source).resolve()) if is_local else corpus.source,
        "images": image_address(corpus.image_root),
        "files": f"{len(stamps)}, {sum(size for _, size, _ in stamps):,} bytes",
        "stamp": hashlib.sha256(json.dumps(stamps).encode()).hexdigest()[:16],
    }


def _describe_posts(plan: Plan) -> dict[str, Any]:
    return {"source": plan.source, "posts": plan.posts, "digest": plan.digest}


def _absolute(root: ImageRoot | None) -> ImageRoot | None:
    """Return the folder as actors find it, which have another working directory."""
    return root.resolve() if isinstance(root, Path) else root
