"""Whole runs written without running a model: real shards, real footers, a real fit, made-up posts and figures.

The stages' own `publish` and the manifest's own writer are used, so that these runs are what a job leaves behind.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from amia.demo.drawing.scene import draw_photograph, jpeg
from amia.demo.world import draw_post
from amia.images import ImageSettings, decode, encode_jpeg, resize_to_square
from amia.matching.bank import Bank, Embeddings
from amia.matching.gmm_fit import fit_mixture
from amia.matching.model import BANK_FILE, MIXTURE_FILE, MatchingModel
from amia.mixing.arms import mixing_ratio, needs_synthesis
from amia.mixing.mixup import mix_images
from amia.mner.spans import TYPES, label_names, lenient_spans
from ray_jobs.jobs.context import RunContext
from ray_jobs.jobs.manifest import publish_manifest
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.settings.job import Settings, load_settings
from ray_jobs.stages.fetch import Fetch
from ray_jobs.stages.score import Score
from ray_jobs.storage.fingerprint import check_or_write_identity
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.schemas import IMAGE, augmented_schema, prediction_schema
from ray_jobs.storage.shards import encode
from ray_jobs.storage.store import Store

Row = dict[str, Any]

LABELS = label_names(TYPES)
SHARE = {"train": 0.7, "validation": 0.15, "test": 0.15}
STRINGS = pa.list_(pa.string())


@dataclass(kw_only=True)
class Written:
    """What to write, and then what was written."""

    store: Store
    posts: int
    arms: Sequence[str] = ("adaptive", "original")
    images: bool = True
    """Whether posts come with images, most of them."""
    labeled: bool = True
    scored: bool = True
    """Whether text and image were compared."""
    size: int = 64
    """Pixels a side of the arms' images."""
    pool: int = 40
    """Different originals, and as many different synthesized images."""
    per_shard: int = 64
    rejected: int = 3
    change: Callable[[Row], None] = lambda row: None
    """What happens to each post's id, text, tokens and ner_tags before it is written."""
    rows: list[Row] = field(default_factory=list)
    """Every post with all its figures, in the plan's order."""
    plan: Plan = None  # type: ignore[assignment]  # until it is written

    @property
    def settings(self) -> Settings:
        return load_settings("demo", [f"per_shard={self.per_shard}", f"image.size={self.size}"])


def hash_of(name: str) -> int:
    """A seed for each name, the same in every process."""
    return sum(map(ord, name))


def write_run(written: Written) -> Written:
    """Posts, scores, a mixture, synthesized images, arms with manifests, quarantine and a log."""
    store, settings = written.store, written.settings
    rng = random.Random(0)
    counts = {split: round(written.posts * share) for split, share in SHARE.items()}
    written.plan = _plan(written, counts)
    written.plan.publish(store)
    fetch = Fetch(store, plan=written.plan, image_root=None, images=settings.image)
    fetch.check_or_write_identity()
    posts = fetch.identity(Fetch.name)
    numbers = iter(range(written.posts))
    by_shard = {
        shard: [_post(written, rng, next(numbers), shard) for _ in range(written.plan.rows_of(shard))]
        for shard in written.plan.shards
    }
    for shard, rows in by_shard.items():
        fetch.publish(shard, _posts_table(rows))
        written.rows += rows
    frozen = _measure(written, by_shard) if written.scored and written.images else None
    if any(needs_synthesis(arm) for arm in written.arms):
        _synthesized(written, by_shard)
    job = RunContext(store, settings, written.plan, posts, Cluster(is_local=True, autoscales=False), quiet=True)
    for arm in written.arms:
        _arm(job, arm, by_shard, frozen)
    store.create("quarantine/00000.jsonl", _lines(_rejected(written)))
    store.create("log/20260101T000000-host-1-scores.jsonl", _lines(_log(written)))
    return written


def write_model(store: Store, name: str, *, arm: str, seed: int, f1: Sequence[float]) -> None:
    """What `amia train` says of a finished recognizer; no weights."""
    settings = {"system": "bert-crf", "encoders": {}, "training": {"seed": seed, "epochs": len(f1)}}
    identity = {"stage": f"models/{name}", "version": 1, "settings": settings, "input": {"arm": arm, "files": {}}}
    reports = [{"epoch": number, "f1": value, "loss": {}} for number, value in enumerate(f1, start=1)]
    store.create(f"models/{name}/training.json", json.dumps({"identity": identity}).encode())
    store.create(f"models/{name}/metrics.jsonl", _lines(reports))


def write_predictions(written: Written, name: str, arm: str, *, wrong: float, seed: int) -> dict[str, list[str]]:
    """A recognizer's answers for the test posts: the gold tags, but for a share of posts; by id, as they were given."""
    rng = random.Random(seed)
    given: dict[str, list[str]] = {}
    of_test = [row for row in written.rows if row["split"] == "test"]
    for number, shard in enumerate(written.plan.shards_of("test")):
        rows = of_test[number * written.per_shard :][: written.per_shard]
        made = []
        for row in rows:
            tags = list(row["ner_tags"] or ["O"] * len(row["tokens"]))
            if rng.random() < wrong:
                place = rng.randrange(len(tags))
                tags[place] = rng.choice(["O", "B-PER", "B-ORG"])
            given[row["id"]] = tags
            spans = [
                {"start": each.start, "end": each.end, "type": each.type, "text": "", "score": 1.0}
                for each in lenient_spans(tags)
            ]
            made.append(
                {
                    **{key: row[key] for key in ("id", "split", "text", "tokens", "theta", "image_status")},
                    "tags": row["ner_tags"],
                    "ner_tags": row["ner_tags"] and [LABELS.index(tag) for tag in row["ner_tags"]],
                    "predicted_tags": [LABELS.index(tag) for tag in tags],
                    "spans": spans,
                }
            )
        table = pa.Table.from_pylist(made, prediction_schema(TYPES))
        data, _ = encode(table, stage="predictions", identity="", schema_metadata=table.schema.metadata)
        written.store.create(f"predictions/{name}/{arm}/{shard}.parquet", data)
    return given


def _plan(written: Written, counts: dict[str, int]) -> Plan:
    return Plan(
        posts=counts,
        per_shard=written.per_shard,
        seed=0,
        digest="digest",
        types=list(TYPES),
        rejected=written.rejected,
        repaired=0,
        labeled=written.posts if written.labeled else 0,
        source={},
        scratch="scratch",
        segments={split: [count] for split, count in counts.items()},
    )


def _post(written: Written, rng: random.Random, number: int, shard: str) -> Row:
    drawn = draw_post(rng, "held_out", held_out_pairs=True)
    kind = rng.random()
    status = "no_image" if kind < 0.05 or not written.images else "bad_image(truncated)" if kind < 0.08 else "ok"
    matched = rng.random() < 0.6
    loss = rng.gauss(0.35, 0.08) if matched else rng.gauss(0.9, 0.15)
    scored = status == "ok" and written.scored
    row = {
        "id": f"post-{number:06d}",
        "split": shard.partition("-")[0],
        "text": " ".join(drawn.tokens),
        "tokens": list(drawn.tokens),
        "ner_tags": list(drawn.tags) if written.labeled else None,
        "image_status": status,
        "loss": float(np.float32(min(4.0, max(0.0, loss)))) if scored else None,
        "cosine": float(np.float32(0.8 - loss)) if scored else None,
        "synthesis_status": rng.choices(["ok", "failed(black)", "no_prompt"], [0.97, 0.02, 0.01])[0],
        "theta": 0.0,
        "pool": number % written.pool,
    }
    written.change(row)
    return row


def _posts_table(rows: Sequence[Row]) -> pa.Table:
    def image(row: Row) -> Row | None:
        if row["image_status"] == "no_image":
            return None
        return {"bytes": _original(row["pool"]) if row["image_status"] == "ok" else None, "path": f"{row['id']}.jpg"}

    return pa.table(
        {
            **{name: [row[name] for row in rows] for name in ("id", "split", "text")},
            **{name: pa.array([row[name] for row in rows], STRINGS) for name in ("tokens", "ner_tags")},
            "tags": pa.array([row["ner_tags"] for row in rows], STRINGS),
            "image": pa.array([image(row) for row in rows], IMAGE),
            "image_status": [row["image_status"] for row in rows],
        }
    )


def _measure(written: Written, by_shard: dict[str, list[Row]]) -> MatchingModel:
    settings, store = written.settings, written.store
    score = Score(store, triplet=settings.triplet, bank_key="", bank="", embeddings="")
    score.check_or_write_identity()
    for shard, rows in by_shard.items():
        columns = {name: pa.array([row[name] for row in rows], pa.float32()) for name in ("loss", "cosine")}
        halves = dict.fromkeys(("loss_i2t", "loss_t2i"), columns["loss"])
        score.publish(shard, pa.table({"id": [row["id"] for row in rows], **halves, **columns}))
    train = [row["loss"] for row in written.rows if row["split"] == "train" and row["loss"] is not None]
    vectors, keys = np.eye(2, 4, dtype="<f2"), np.array([b"a", b"b"], "S16")
    bank = Bank.of([Embeddings(["a", "b"], vectors, vectors, keys, keys)], 2)
    fits = {"train": fit_mixture(np.array(train), settings.mixture)}
    frozen = MatchingModel(fits, bank, {"encoder": "sha256:0"}, settings.triplet, (-1.0, 1.0))
    check_or_write_identity(store, "mixture", {"stage": "mixture", "settings": {"bank": 2}})
    for name in (BANK_FILE, MIXTURE_FILE):
        store.create(f"mixture/{name}", frozen.to_bytes()[name])
    for row in written.rows:
        if row["loss"] is not None:
            row["theta"] = float(np.float32(frozen.theta(np.array([row["loss"]]), row["split"])[0]))
    return frozen


def _synthesized(written: Written, by_shard: dict[str, list[Row]]) -> None:
    for shard, rows in by_shard.items():
        images = [_drawn(row["pool"], written.size) if row["synthesis_status"] == "ok" else None for row in rows]
        table = pa.table(
            {
                "id": [row["id"] for row in rows],
                "image": pa.array(images, pa.binary()),
                "prompt": [row["text"] for row in rows],
                "seed": pa.array([0] * len(rows), pa.int64()),
                "synthesis_status": [row["synthesis_status"] for row in rows],
            }
        )
        written.store.create(f"synthesized/{shard}.parquet", encode(table, stage="synthesized", identity="")[0])


def _arm(job: RunContext, arm: str, by_shard: dict[str, list[Row]], frozen: MatchingModel | None) -> None:
    synthesis = needs_synthesis(arm)
    identity = {
        "stage": f"augmented/{arm}",
        "settings": {"image": job.settings.image.model_dump(include={"size", "fit", "quality"})},
        "input": {"scores": "digest" if frozen else None, "synthesized": "digest" if synthesis else None},
    }
    claimed, schema = check_or_write_identity(job.store, f"augmented/{arm}", identity), augmented_schema(TYPES)
    for shard, rows in by_shard.items():
        made = [_augmented(arm, row, job.settings.image.size) for row in rows]
        data, _ = encode(
            pa.Table.from_pylist(made, schema),
            stage=f"augmented/{arm}",
            identity=claimed,
            counts=Counter(f"image={row['image_status']}|synthesis={row['synthesis_status']}" for row in made),
            extra={"ratio": dict(Counter(_kind(row["ratio"]) for row in made))},
            schema_metadata=schema.metadata,
        )
        job.store.create(f"augmented/{arm}/{shard}.parquet", data)
    publish_manifest(job, arm, identity, "sha256:1" if synthesis else None)


def _augmented(arm: str, row: Row, size: int) -> Row:
    drawn = needs_synthesis(arm) and row["synthesis_status"] == "ok"
    whole = {**row, "loss_i2t": row["loss"], "loss_t2i": row["loss"], "prompt": row["text"], "seed": 0}
    whole["tags"], whole["ner_tags"] = row["ner_tags"], row["ner_tags"] and [LABELS.index(t) for t in row["ner_tags"]]
    if not needs_synthesis(arm):
        whole |= {"prompt": None, "seed": None, "synthesis_status": "not_asked"}
    share = mixing_ratio(
        arm,
        theta=row["theta"],
        cosine=row["cosine"],
        cosine_range=(-1.0, 1.0),
        has_image=row["image_status"] == "ok",
        has_synthesis=drawn,
    )
    share = None if share is None else float(np.float32(share))
    # Only the image is rounded, so that few different ones have to be blended.
    data = None if share is None else _blended(row["pool"], size, round(share, 1), row["image_status"] == "ok", drawn)
    names = ("id", "split", "text", "tokens", "tags", "ner_tags", "theta", "loss", "loss_i2t", "loss_t2i", "cosine")
    kept = {name: whole[name] for name in (*names, "image_status", "synthesis_status", "prompt", "seed")}
    return {**kept, "ratio": share, "image": data and {"bytes": data, "path": f"{row['id']}.jpg"}}


def _kind(share: float | None) -> str:
    return "none" if share is None else "blend" if 0 < share < 1 else f"{share:.0f}"


@cache
def _original(number: int) -> bytes:
    return jpeg(_picture(number, 640, 480))


@cache
def _drawn(number: int, size: int) -> bytes:
    return encode_jpeg(np.asarray(_picture(-number - 1, size, size)), 95, source="synthesized")


def _picture(seed: int, width: int, height: int) -> Image.Image:
    """A drawn photograph with a texture at every scale, so that it takes about the bytes of a real one."""
    rng = random.Random(seed)
    entities = draw_post(rng, "held_out", held_out_pairs=True).entities
    pixels = np.asarray(draw_photograph(entities, rng).resize((width, height)), np.float64)
    chance = np.random.default_rng(abs(seed))
    for cells in (8, 16, 32, 64, 128, 256):
        grain = Image.fromarray(chance.normal(0, 12, (cells, cells)).astype(np.float32))
        pixels += np.asarray(grain.resize((width, height), Image.Resampling.BICUBIC))[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@cache
def _blended(number: int, size: int, share: float, original: bool, drawn: bool) -> bytes:
    images = ImageSettings(size=size)
    pixels = resize_to_square(decode(_original(number), images), images) if original else None
    return mix_images(pixels, _drawn(number, size) if drawn else None, share, images)


def _rejected(written: Written) -> list[Row]:
    reasons = ["no text", "duplicate id", "3 tokens but 2 tags"]
    return [
        {"where": f"train.txt:{number}", "id": None, "reason": reasons[number % len(reasons)]}
        for number in range(written.rejected)
    ]


def _log(written: Written) -> list[Row]:
    return [
        {
            "stage": "scores",
            "shard": shard,
            "posts": written.plan.rows_of(shard),
            "ended": 100.0 + number,
            "load_s": 0.25,
            "run_s": 0.5,
            "publish_s": 0.25,
            "host": f"host-{number % 2}",
            "pid": number % 3,
            "cuda_visible_devices": "",
        }
        for number, shard in enumerate(written.plan.shards)
    ]


def _lines(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def counted(rows: Sequence[Row], name: str) -> Counter[Any]:
    """Posts by one of their properties."""
    return Counter(row[name] for row in rows)
