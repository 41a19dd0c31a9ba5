"""`amia ingest`: from a corpus to immutable shards of posts.

Pass 1 reads the source once, in order, and writes the plan; pass 2, a stage like any other, turns the plan's shards
into files. Started again, it goes on where it stopped.
"""

import hashlib
import json
import secrets
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from amia.errors import AmiaError, CorpusError, IdentityError, StoreError
from amia.mner.spans import TYPES
from amia.posts import Rejected, content_hash, validate_post
from amia.readers import Corpus, open_corpus
from ray_jobs.runtime.cluster import connect
from ray_jobs.runtime.executor import StageSpec, run_stages
from ray_jobs.settings.job import Settings
from ray_jobs.stages.fetch import Fetch
from ray_jobs.storage.external_sort import BucketWriter, bucket_count, order_file
from ray_jobs.storage.fingerprint import difference, digest
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_all_metadata, total_counts
from ray_jobs.storage.store import Store

__all__ = ["IngestResult", "ingest"]

PACKED = {"parquet": 4}
"""How many times larger texts are in scratch than in their source, at most as a rule; images are not packed."""


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What came out: the plan, and posts per image status."""

    plan: Plan
    counts: Counter[str]


def ingest(
    source: str, run: str, settings: Settings, *, images: str | None = None, quiet: bool = False
) -> IngestResult:
    """Read a corpus into `run`. A second call with the same source finishes or confirms the first.

    Raises CorpusError when the source cannot be read, IdentityError when the run holds another corpus or was made with
    other settings.
    """
    store = Store(run)
    corpus = open_corpus(source, images)
    store.probe()
    plan = _standing(store, corpus, settings) or _arrange(store, corpus, settings)
    stage = Fetch(store, plan=plan, image_root=_root(corpus), images=settings.image)
    stage.check_or_write_identity()
    machines = connect()
    wait_s = machines.wait_s(settings.wait_for_gpus_s)
    run_stages(store, machines, plan, [StageSpec(stage, settings.pools.fetch)], plan.shards, wait_s=wait_s, quiet=quiet)
    counts = total_counts(read_all_metadata(store, [key for shard in plan.shards for key in stage.keys(shard)]))
    if counts.total() != plan.total:
        raise CorpusError(f"{plan.total} posts were planned but {counts.total()} stand in posts/: report this as a bug")
    _keep_rejected(store, plan)
    store.delete("scratch")
    return IngestResult(plan, counts)


def _keep_rejected(store: Store, plan: Plan) -> None:
    for key in store.list(f"{plan.scratch}/quarantine"):
        kept = f"quarantine/{key.rpartition('/')[2]}"
        try:
            store.create(kept, store.read(key))
        except StoreError:
            if not store.exists(kept):  # else another driver has kept it, and tidied scratch away since
                raise


def _standing(store: Store, corpus: Corpus, settings: Settings) -> Plan | None:
    """The run's plan where it has one; refused where it is another corpus' or another cut."""
    plan = Plan.find(store)
    if plan is None:
        return None
    asked = {"per_shard": settings.per_shard, "seed": settings.seed}
    changes = difference({"per_shard": plan.per_shard, "seed": plan.seed}, asked)
    if not changes and plan.source != _described(corpus):
        # Other files may hold the same posts: what they hold decides, not their names.
        again = _plan_of(store, corpus, settings)
        store.delete(again.scratch)
        left = {"source": plan.source, "posts": plan.posts, "digest": plan.digest}
        changes = difference(left, {"source": again.source, "posts": again.posts, "digest": again.digest})
        changes = changes if plan.digest != again.digest else []
    if changes:
        listed = "\n".join(f"  {line}" for line in changes)
        raise IdentityError(
            f"{store.address} holds another corpus or another cut of it:\n{listed}\nGive another --run."
        )
    if plan.missing_posts(store) and not _is_sorted(store, plan):
        # posts/ was removed after scratch was: the corpus is read anew into the buckets that the plan tells of.
        again = _plan_of(store, corpus, settings, plan)
        if again.digest != plan.digest:
            raise IdentityError(
                f"{store.address} was made of other posts than {corpus.source} holds: give another --run."
            )
    return plan


def _is_sorted(store: Store, plan: Plan) -> bool:
    """Whether scratch holds every bucket in order: orders are written last."""
    there = store.list(plan.scratch)
    return all(
        order_file(plan.scratch, bucket, split) in there
        for split, counts in plan.segments.items()
        for bucket, count in enumerate(counts)
        if count
    )


def _arrange(store: Store, corpus: Corpus, settings: Settings) -> Plan:
    """Pass 1; of two drivers at once, the first plan counts."""
    try:
        plan = _plan_of(store, corpus, settings)
        if plan.publish(store):
            return plan
        store.delete(plan.scratch)
    except AmiaError:
        # A driver that has finished tidies scratch away, also under one that still sorts; its plan is there then.
        if Plan.find(store) is None:
            raise
    return _standing(store, corpus, settings) or _arrange(store, corpus, settings)


def _plan_of(store: Store, corpus: Corpus, settings: Settings, standing: Plan | None = None) -> Plan:
    """Pass 1: the corpus into sorted buckets, those of the `standing` plan where one is given, and the plan of it."""
    folder = f"scratch/{secrets.token_hex(6)}" if standing is None else standing.scratch
    size = corpus.bytes * PACKED.get(corpus.kind, 1) if corpus.files else None
    count = bucket_count(size, settings.bucket_mb * 1_000_000)
    if standing is not None:
        count = len(next(iter(standing.segments.values())))
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
    digests: dict[str, hashlib._Hash] = {}
    for bucket in range(buckets.count):
        ordered = buckets.sort(bucket)
        counts.append({split: order.num_rows for split, order in ordered.orders.items()})
        for split, order in ordered.orders.items():
            running = digests.setdefault(split, hashlib.sha256())
            for batch in order.to_batches(8192):
                for post_id, content in zip(batch["id"].to_pylist(), batch["content"].to_pylist(), strict=True):
                    running.update(f"{post_id}\n{content}\n".encode())
        for duplicate in ordered.duplicates:
            buckets.reject(duplicate)
            rejected += 1
    buckets.flush()
    posts = {split: sum(each.get(split, 0) for each in counts) for split in digests}
    if not posts:
        raise CorpusError(f"{corpus.source}: no post in it ({rejected} rows rejected; `amia doctor` says why)")
    return Plan(
        posts=posts,
        per_shard=settings.per_shard,
        seed=settings.seed,
        digest=digest({split: running.hexdigest() for split, running in digests.items()}),
        types=[*TYPES, *sorted(types - set(TYPES))],
        rejected=rejected,
        repaired=repaired,
        labeled=labeled,
        source=_described(corpus),
        scratch=folder,
        segments={split: [each.get(split, 0) for each in counts] for split in digests},
    )


def _described(corpus: Corpus) -> dict[str, str]:
    """A source by its files' names, sizes and times: unchanged means that pass 1 need not be repeated."""
    stamps = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in corpus.files]
    return {
        "kind": corpus.kind,
        "source": str(Path(corpus.source).resolve()) if corpus.files else corpus.source,
        "images": str(_root(corpus) or ""),
        "files": f"{len(stamps)}, {sum(size for _, size, _ in stamps):,} bytes",
        "stamp": hashlib.sha256(json.dumps(stamps).encode()).hexdigest()[:16],
    }


def _root(corpus: Corpus) -> Path | None:
    return corpus.image_root.resolve() if corpus.image_root else None
