"""First pass of `amia ingest`: from a source to the plan, on every core and node.

    cut    the driver lists the source and cuts it into splits (`amia.readers.splits`)
    read   each split: check and hash its posts, write them by bucket (`ReadSplit`)
    known  each range of body hashes: find the posts that earlier runs hold, if there are any (`FindKnown`)
    sort   each bucket: order its posts by their keys, find duplicates (`SortBucket`)
    plan   the driver adds up counts and hashes

Scratch is named by the digest of the listing of the source and of the settings that it depends on. A second call with
the same source finds the finished splits and buckets there, and so does a second driver: both write the same files. A
source that has changed gets another scratch. A small source, of one split, is read in the driver's process, and so is a
local folder if other machines take part, which may not have it.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from amia.errors import CorpusError
from amia.images import image_address
from amia.mner.spans import TYPES
from amia.readers import Corpus
from amia.readers.source import LocalFile
from amia.readers.splits import Split, cut, with_line_offset
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.runtime.executor import AnyStage, StageSpec, run_locally, run_stages
from ray_jobs.settings.job import Settings
from ray_jobs.stages.find_known import FindKnown
from ray_jobs.stages.read import ReadSplit
from ray_jobs.stages.sort import SortBucket, sorted_file
from ray_jobs.storage.earlier import EarlierRun, index_folder
from ray_jobs.storage.external_sort import Earlier, bucket_count, combine_leaves, write_bucket_files
from ray_jobs.storage.fingerprint import digest
from ray_jobs.storage.hash_index import RANGES
from ray_jobs.storage.layout import QUARANTINE, SCRATCH
from ray_jobs.storage.plan import PLAN_VERSION, Plan
from ray_jobs.storage.split_files import SplitIndex, bodies_file, read_index, rejected_file
from ray_jobs.storage.store import Store

__all__ = ["Since", "describe_source", "drop_scratch", "run_first_pass"]

SCRATCH_RATIO = {"parquet": 4}
"""Upper bound, as a rule, of the size of texts in scratch relative to their source. Images are not compressed."""
MB = 1_000_000
"""Bytes of a megabyte of the settings."""
REQUEST_THREADS = 32
"""Requests of the driver in flight."""


@dataclass(frozen=True, slots=True)
class Since:
    """The runs that a corpus comes after."""

    runs: Sequence[EarlierRun]
    take_changed: bool = False
    """Ingest posts that an earlier run holds with other content, too."""


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Posts of each part of the first pass, as far as they are known."""

    rows: Mapping[str, int]

    def rows_of(self, shard: str) -> int:
        """Return the number of posts of a split or a bucket; 0 if it is unknown."""
        return self.rows.get(shard, 0)


def run_first_pass(
    store: Store,
    corpus: Corpus,
    settings: Settings,
    connect: Callable[[], Cluster],
    *,
    since: Since | None = None,
    quiet: bool,
) -> Plan:
    """Read the corpus into scratch and return its plan, which is not published yet.

    `connect` is called if there is more than one split or bucket. `since`: leave out the posts of earlier runs. Raises
    CorpusError if the source cannot be read, holds no posts, or changes meanwhile.
    """
    size = corpus.bytes * SCRATCH_RATIO.get(corpus.kind, 1) if corpus.files else None
    buckets = bucket_count(size, settings.bucket_mb * MB)
    splits = cut(_with_absolute_paths(corpus), settings.split_mb * MB)
    folder = f"{SCRATCH}/{_scratch_name(corpus, settings, buckets, since)}"

    def run(stage: AnyStage, shards: Sequence[str], rows: Mapping[str, int], *, here: bool) -> None:
        if here:
            run_locally(stage, shards)
            return
        cluster = connect()
        pool = getattr(settings.pools, stage.pool)
        wait_s = cluster.wait_s(settings.wait_for_gpus_s)
        run_stages(
            store,
            cluster,
            _Sizes(rows),
            [StageSpec(stage, pool)],
            shards,
            wait_s=wait_s,
            quiet=quiet,
            stall_s=settings.stall_s,
        )

    names = [f"{number:05d}" for number in range(len(splits))]
    reader = ReadSplit(
        store,
        folder=folder,
        corpus=_with_absolute_paths(corpus),
        splits=splits,
        seed=settings.seed,
        buckets=buckets,
        with_bodies=since is not None,
    )
    run(reader, names, {}, here=len(names) == 1 or (_is_local(corpus) and not connect().is_one_machine()))
    with ThreadPoolExecutor(REQUEST_THREADS, "index") as pool:
        indexes = list(pool.map(lambda name: read_index(store, folder, name), names))
    offsets = _line_offsets(splits, indexes)
    _keep_rejected(store, folder, indexes, offsets)
    rows = write_bucket_files(store, folder, indexes, offsets)
    earlier: Earlier | None = None
    if since is not None:
        earlier = Earlier(since.runs, buckets, min(buckets, RANGES), since.take_changed)
        files = [
            bodies_file(folder, name, part) for name, index in zip(names, indexes, strict=True) for part in index.parts
        ]
        finder = FindKnown(store, folder=folder, files=files, ranges=earlier.ranges, earlier=since.runs)
        ranges = [f"{number:04d}" for number in range(earlier.ranges)]
        run(finder, ranges, {}, here=len(ranges) == 1)
    sorter = SortBucket(store, folder=folder, index=index_folder(folder), earlier=earlier)
    run(sorter, list(rows), rows, here=len(rows) <= 1)
    return _plan(store, folder, list(rows), indexes, corpus, settings, buckets, since)


def describe_source(corpus: Corpus) -> dict[str, str]:
    """Describe a source by the names, sizes and times of its files. If unchanged, the first pass is not repeated."""
    stamps = [(str(file), file.size, file.version) for file in corpus.files]
    return {
        "kind": corpus.kind,
        "source": str(Path(corpus.source).resolve()) if _is_local(corpus) else corpus.source,
        "images": image_address(corpus.image_root),
        "files": f"{len(stamps)}, {sum(size for _, size, _ in stamps):,} bytes",
        "stamp": hashlib.sha256(json.dumps(stamps).encode()).hexdigest()[:16],
    }


def drop_scratch(store: Store, folder: str) -> None:
    """Remove scratch: first what marks splits and buckets as finished, so that a kill in between leaves no half."""
    for part in ("sorted", "splits"):
        store.delete(f"{folder}/{part}")
    store.delete(folder)


def _plan(
    store: Store,
    folder: str,
    names: Sequence[str],
    indexes: Sequence[SplitIndex],
    corpus: Corpus,
    settings: Settings,
    buckets: int,
    since: Since | None,
) -> Plan:
    """Add up the counts and hashes of all buckets."""
    with ThreadPoolExecutor(REQUEST_THREADS, "bucket") as pool:
        summaries = [json.loads(data) for data in pool.map(lambda name: store.read(sorted_file(folder, name)), names)]
    segments: dict[str, list[int]] = {}
    leaves: dict[str, dict[int, str]] = {}
    for name, summary in zip(names, summaries, strict=True):
        for split, count in summary["counts"].items():
            segments.setdefault(split, [0] * buckets)[int(name)] = count
        for split, hashes in summary["leaves"].items():
            leaves.setdefault(split, {}).update({int(leaf): value for leaf, value in hashes.items()})
    known, changed, duplicates = (sum(row[name] for row in summaries) for name in ("known", "changed", "duplicates"))
    not_taken = 0 if since and since.take_changed else changed
    rejected = sum(index.rejected for index in indexes) + duplicates + not_taken
    if not segments and not known and not changed:
        raise CorpusError(
            f"{corpus.source}: no posts found ({rejected} rows rejected; `amia doctor` lists the reasons)"
        )
    types = {name for index in indexes for name in index.types}
    first_types = list(since.runs[-1].types) if since else list(TYPES)
    return Plan(
        posts={split: sum(counts) for split, counts in sorted(segments.items())},
        per_shard=settings.per_shard,
        seed=settings.seed,
        digest=digest(combine_leaves(leaves)),
        types=[*first_types, *sorted(types - set(first_types))],
        rejected=rejected,
        repaired=sum(index.repaired for index in indexes),
        labeled=sum(index.labeled for index in indexes),
        source=describe_source(corpus),
        scratch=folder,
        segments=segments,
        index=index_folder(folder),
        earlier=[run.address for run in since.runs] if since else [],
        known=known,
        changed=changed,
        takes_changed=bool(since and since.take_changed),
        version=PLAN_VERSION,
    )


def _keep_rejected(store: Store, folder: str, indexes: Sequence[SplitIndex], offsets: Mapping[int, int]) -> None:
    """Copy the rejected rows of all splits to the quarantine of scratch, with their lines in the whole file."""
    for source, index in enumerate(indexes):
        for part in range(index.rejected_parts):
            data = store.read(rejected_file(folder, f"{source:05d}", part))
            if offset := offsets.get(source):
                data = b"".join(_with_offset(line, offset) for line in data.splitlines(keepends=True))
            store.create(f"{folder}/{QUARANTINE}/{source:05d}-{part:05d}.jsonl", data)


def _with_offset(line: bytes, offset: int) -> bytes:
    record = json.loads(line)
    record["where"] = with_line_offset(record["where"], offset)
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


def _line_offsets(splits: Sequence[Split], indexes: Sequence[SplitIndex]) -> dict[int, int]:
    """Return the lines of the same file that come before the split, for each split that begins within a file."""
    offsets: dict[int, int] = {}
    for source, split in enumerate(splits):
        if split.pieces and split.pieces[0].start:
            offsets[source] = offsets.get(source - 1, 0) + indexes[source - 1].lines
    return offsets


def _scratch_name(corpus: Corpus, settings: Settings, buckets: int, since: Since | None) -> str:
    if not corpus.files:
        return secrets.token_hex(6)  # a data set of the hub may have changed without notice
    depends_on: dict[str, Any] = {
        "source": describe_source(corpus),
        "version": PLAN_VERSION,
        "seed": settings.seed,
        "buckets": buckets,
        "split_mb": settings.split_mb,
    }
    if since is not None:
        depends_on["since"] = [[run.digest for run in since.runs], since.take_changed]
    return digest(depends_on)[:12]


def _is_local(corpus: Corpus) -> bool:
    return any(isinstance(file, LocalFile) for file in corpus.files)


def _with_absolute_paths(corpus: Corpus) -> Corpus:
    """Return the corpus as actors find it, which have another working directory."""
    files = [replace(file, path=file.path.absolute()) if isinstance(file, LocalFile) else file for file in corpus.files]
    root = corpus.image_root
    return replace(corpus, files=files, image_root=root.absolute() if isinstance(root, Path) else root)
