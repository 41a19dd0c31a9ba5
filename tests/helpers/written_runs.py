"""Complete runs written without running a model: real shards, footers and mixture, random posts and scores.

Shards and manifests are written by the same functions as in a job.
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

from amia.demo.drawing.scene import draw_photograph, to_jpeg
from amia.demo.world import draw_posts
from amia.images import ImageSettings, decode, encode_jpeg, resize_to_square
from amia.matching.bank import Bank, Embeddings
from amia.matching.gmm_fit import fit_mixture
from amia.matching.model import BANK_FILE, MIXTURE_FILE, MatchingModel
from amia.mixing.arms import mixing_ratio, needs_synthesis, needs_theta_synthesized
from amia.mixing.mixup import mix_images
from amia.mner.spans import TYPES, label_names, lenient_spans
from ray_jobs.jobs.context import RunContext
from ray_jobs.jobs.manifest import publish_manifest
from ray_jobs.runtime.cluster import Cluster
from ray_jobs.settings.job import Settings, load_settings
from ray_jobs.stages.fetch import Fetch
from ray_jobs.stages.score import Score
from ray_jobs.storage.facts import ShardFacts
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
class WrittenRun:
    """Options of a run to write, and its rows once it is written."""

    store: Store
    posts: int
    arms: Sequence[str] = ("adaptive", "original")
    images: bool = True
    """Whether posts have images; a few never have one."""
    labeled: bool = True
    scored: bool = True
    """Whether text and image are matched."""
    synthesized_match: float | None = None
    """Share of the synthesized images that match their texts; None if they are not scored."""
    size: int = 64
    """Height and width of the images of the arms."""
    pool: int = 40
    """Number of different original images, and of different synthesized images."""
    per_shard: int = 64
    rejected: int = 3
    transform: Callable[[Row], None] = lambda row: None
    """Modifies id, text, tokens and ner_tags of each post before it is written."""
    rows: list[Row] = field(default_factory=list)
    """All posts with their scores, in the order of the plan."""
    plan: Plan = None  # type: ignore[assignment]  # set by `write_run`

    @property
    def settings(self) -> Settings:
        return load_settings("demo", [f"per_shard={self.per_shard}", f"image.size={self.size}"])


def seed_of(name: str) -> int:
    """Return a seed that depends on the name only."""
    return sum(map(ord, name))


def write_run(run: WrittenRun) -> WrittenRun:
    """Write posts, scores, mixture, synthesized images, arms with manifests, quarantine and log."""
    store, settings = run.store, run.settings
    rng = random.Random(0)
    counts = {split: round(run.posts * share) for split, share in SHARE.items()}
    run.plan = _make_plan(run, counts)
    run.plan.publish(store)
    fetch = Fetch(store, plan=run.plan, image_root=None, images=settings.image, in_flight=1)
    fetch.check_or_write_identity()
    posts = fetch.identity(Fetch.name)
    numbers = iter(range(run.posts))
    by_shard = {
        shard: [_make_post(run, rng, next(numbers), shard) for _ in range(run.plan.rows_of(shard))]
        for shard in run.plan.shards
    }
    for shard, rows in by_shard.items():
        fetch.publish(shard, _posts_table(rows))
        run.rows += rows
    model = _write_scores(run, by_shard) if run.scored and run.images else None
    if any(needs_synthesis(arm) for arm in run.arms):
        _write_synthesized(run, by_shard)
    if run.synthesized_match is not None and model is not None:
        _write_synthesized_scores(run, by_shard, model)
    facts = ShardFacts(store, run.plan)
    job = RunContext(store, settings, run.plan, posts, Cluster(is_local=True, autoscales=False), facts, quiet=True)
    for arm in run.arms:
        _write_arm(job, arm, by_shard, model)
    store.create("quarantine/00000.jsonl", _to_jsonl(_rejected_rows(run)))
    store.create("log/20260101T000000-host-1-scores.jsonl", _to_jsonl(_log_lines(run)))
    return run


def write_model(store: Store, name: str, *, arm: str, seed: int, f1: Sequence[float]) -> None:
    """Write the description of a trained recognizer, without weights."""
    settings = {"system": "bert-crf", "encoders": {}, "training": {"seed": seed, "epochs": len(f1)}}
    identity = {"stage": f"models/{name}", "version": 1, "settings": settings, "input": {"arm": arm, "files": {}}}
    metrics = [{"epoch": number, "f1": value, "loss": {}} for number, value in enumerate(f1, start=1)]
    store.create(f"models/{name}/training.json", json.dumps({"identity": identity}).encode())
    store.create(f"models/{name}/metrics.jsonl", _to_jsonl(metrics))


def write_predictions(run: WrittenRun, name: str, arm: str, *, wrong: float, seed: int) -> dict[str, list[str]]:
    """Write predictions for the test posts: gold tags, with one random change in a share of `wrong` posts.

    Return the predicted tags by id.
    """
    rng = random.Random(seed)
    predictions: dict[str, list[str]] = {}
    test_rows = [row for row in run.rows if row["split"] == "test"]
    for index, shard in enumerate(run.plan.shards_of("test")):
        predicted_rows = []
        for row in test_rows[index * run.per_shard :][: run.per_shard]:
            tags = list(row["ner_tags"] or ["O"] * len(row["tokens"]))
            if rng.random() < wrong:
                position = rng.randrange(len(tags))
                tags[position] = rng.choice(["O", "B-PER", "B-ORG"])
            predictions[row["id"]] = tags
            spans = [
                {"start": span.start, "end": span.end, "type": span.type, "text": "", "score": 1.0}
                for span in lenient_spans(tags)
            ]
            predicted_rows.append(
                {
                    **{key: row[key] for key in ("id", "split", "text", "tokens", "theta", "image_status")},
                    "tags": row["ner_tags"],
                    "ner_tags": row["ner_tags"] and [LABELS.index(tag) for tag in row["ner_tags"]],
                    "predicted_tags": [LABELS.index(tag) for tag in tags],
                    "spans": spans,
                }
            )
        table = pa.Table.from_pylist(predicted_rows, prediction_schema(TYPES))
        data, _ = encode(table, stage="predictions", identity="", schema_metadata=table.schema.metadata)
        run.store.create(f"predictions/{name}/{arm}/{shard}.parquet", data)
    return predictions


def _make_plan(run: WrittenRun, counts: dict[str, int]) -> Plan:
    return Plan(
        posts=counts,
        per_shard=run.per_shard,
        seed=0,
        digest="digest",
        types=list(TYPES),
        rejected=run.rejected,
        repaired=0,
        labeled=run.posts if run.labeled else 0,
        source={},
        scratch="scratch",
        segments={split: [count] for split, count in counts.items()},
    )


def _make_post(run: WrittenRun, rng: random.Random, number: int, shard: str) -> Row:
    (scene,) = draw_posts(1, rng.getrandbits(32), "train")
    draw = rng.random()
    status = "no_image" if draw < 0.05 or not run.images else "bad_image(truncated)" if draw < 0.08 else "ok"
    matched = rng.random() < 0.6
    loss = rng.gauss(0.35, 0.08) if matched else rng.gauss(0.9, 0.15)
    scored = status == "ok" and run.scored
    row = {
        "id": f"post-{number:06d}",
        "split": shard.partition("-")[0],
        "text": " ".join(scene.tokens),
        "tokens": list(scene.tokens),
        "ner_tags": list(scene.tags) if run.labeled else None,
        "image_status": status,
        "loss": float(np.float32(min(4.0, max(0.0, loss)))) if scored else None,
        "cosine": float(np.float32(0.8 - loss)) if scored else None,
        "synthesis_status": rng.choices(["ok", "failed(black)", "no_prompt"], [0.97, 0.02, 0.01])[0],
        "theta": 0.0,
        "pool": number % run.pool,
    }
    run.transform(row)
    return row


def _posts_table(rows: Sequence[Row]) -> pa.Table:
    def image(row: Row) -> Row | None:
        if row["image_status"] == "no_image":
            return None
        return {
            "bytes": _original_image(row["pool"]) if row["image_status"] == "ok" else None,
            "path": f"{row['id']}.jpg",
        }

    return pa.table(
        {
            **{name: [row[name] for row in rows] for name in ("id", "split", "text")},
            **{name: pa.array([row[name] for row in rows], STRINGS) for name in ("tokens", "ner_tags")},
            "tags": pa.array([row["ner_tags"] for row in rows], STRINGS),
            "image": pa.array([image(row) for row in rows], IMAGE),
            "image_status": [row["image_status"] for row in rows],
        }
    )


def _write_scores(run: WrittenRun, by_shard: dict[str, list[Row]]) -> MatchingModel:
    settings, store = run.settings, run.store
    score = Score(store, triplet=settings.triplet, bank_key="", bank="", embeddings="")
    score.check_or_write_identity()
    for shard, rows in by_shard.items():
        columns = {name: pa.array([row[name] for row in rows], pa.float32()) for name in ("loss", "cosine")}
        losses = dict.fromkeys(("loss_i2t", "loss_t2i"), columns["loss"])
        score.publish(shard, pa.table({"id": [row["id"] for row in rows], **losses, **columns}))
    train_losses = [row["loss"] for row in run.rows if row["split"] == "train" and row["loss"] is not None]
    vectors, keys = np.eye(2, 4, dtype="<f2"), np.array([b"a", b"b"], "S16")
    bank = Bank.of([Embeddings(["a", "b"], vectors, vectors, keys, keys)], 2)
    fits = {"train": fit_mixture(np.array(train_losses), settings.mixture)}
    model = MatchingModel(fits, bank, {"encoder": "sha256:0"}, settings.triplet, (-1.0, 1.0))
    check_or_write_identity(store, "mixture", {"stage": "mixture", "settings": {"bank": 2}})
    for name in (BANK_FILE, MIXTURE_FILE):
        store.create(f"mixture/{name}", model.to_bytes()[name])
    for row in run.rows:
        if row["loss"] is not None:
            row["theta"] = float(np.float32(model.theta(np.array([row["loss"]]), row["split"])[0]))
    return model


def _write_synthesized(run: WrittenRun, by_shard: dict[str, list[Row]]) -> None:
    for shard, rows in by_shard.items():
        images = [
            _synthesized_image(row["pool"], run.size) if row["synthesis_status"] == "ok" else None for row in rows
        ]
        table = pa.table(
            {
                "id": [row["id"] for row in rows],
                "image": pa.array(images, pa.binary()),
                "prompt": [row["text"] for row in rows],
                "seed": pa.array([0] * len(rows), pa.int64()),
                "synthesis_status": [row["synthesis_status"] for row in rows],
            }
        )
        run.store.create(f"synthesized/{shard}.parquet", encode(table, stage="synthesized", identity="")[0])


def _write_synthesized_scores(run: WrittenRun, by_shard: dict[str, list[Row]], model: MatchingModel) -> None:
    """Write the lowest loss for a matching image, and the highest for any other."""
    rng = random.Random(1)
    for shard, rows in by_shard.items():
        for row in rows:
            matches = rng.random() < (run.synthesized_match or 0)
            row["loss_synthesized"] = (0.3 if matches else 1.2) if row["synthesis_status"] == "ok" else None
            if (loss := row["loss_synthesized"]) is not None:
                row["theta_synthesized"] = float(np.float32(model.theta(np.array([loss]), row["split"])[0]))
        losses = pa.array([row["loss_synthesized"] for row in rows], pa.float32())
        table = pa.table({"id": [row["id"] for row in rows], "loss": losses})
        run.store.create(
            f"synthesized_scores/{shard}.parquet", encode(table, stage="synthesized_scores", identity="")[0]
        )


def _write_arm(job: RunContext, arm: str, by_shard: dict[str, list[Row]], model: MatchingModel | None) -> None:
    is_synthesized = needs_synthesis(arm)
    identity = {
        "stage": f"augmented/{arm}",
        "settings": {"image": job.settings.image.model_dump(include={"size", "fit", "quality"})},
        "input": {"scores": "digest" if model else None, "synthesized": "digest" if is_synthesized else None},
    }
    digest = check_or_write_identity(job.store, f"augmented/{arm}", identity)
    schema = augmented_schema(TYPES, theta_synthesized=needs_theta_synthesized(arm))
    for shard, rows in by_shard.items():
        augmented_rows = [_augmented_row(arm, row, job.settings.image.size) for row in rows]
        data, _ = encode(
            pa.Table.from_pylist(augmented_rows, schema),
            stage=f"augmented/{arm}",
            identity=digest,
            counts=Counter(
                f"image={row['image_status']}|synthesis={row['synthesis_status']}" for row in augmented_rows
            ),
            extra={"ratio": dict(Counter(_image_kind(row["ratio"]) for row in augmented_rows))},
            schema_metadata=schema.metadata,
        )
        job.store.create(f"augmented/{arm}/{shard}.parquet", data)
    publish_manifest(job, arm, identity, "sha256:1" if is_synthesized else None)


def _augmented_row(arm: str, row: Row, size: int) -> Row:
    has_synthesis = needs_synthesis(arm) and row["synthesis_status"] == "ok"
    values = {**row, "loss_i2t": row["loss"], "loss_t2i": row["loss"], "prompt": row["text"], "seed": 0}
    values["tags"], values["ner_tags"] = row["ner_tags"], row["ner_tags"] and [LABELS.index(t) for t in row["ner_tags"]]
    if not needs_synthesis(arm):
        values |= {"prompt": None, "seed": None, "synthesis_status": "not_asked"}
    has_image = row["image_status"] == "ok"
    ratio = mixing_ratio(
        arm,
        theta=row["theta"],
        theta_synthesized=row.get("theta_synthesized"),
        cosine=row["cosine"],
        cosine_range=(-1.0, 1.0),
        has_image=has_image,
        has_synthesis=has_synthesis,
    )
    ratio = None if ratio is None else float(np.float32(ratio))
    # The ratio of the image is rounded, so that few different images are mixed.
    data = None if ratio is None else _mixed_image(row["pool"], size, round(ratio, 1), has_image, has_synthesis)
    names = ("id", "split", "text", "tokens", "tags", "ner_tags", "theta", "loss", "loss_i2t", "loss_t2i", "cosine")
    columns = {name: values[name] for name in (*names, "image_status", "synthesis_status", "prompt", "seed")}
    columns["theta_synthesized"] = row.get("theta_synthesized")
    return {**columns, "ratio": ratio, "image": data and {"bytes": data, "path": f"{row['id']}.jpg"}}


def _image_kind(ratio: float | None) -> str:
    return "none" if ratio is None else "blend" if 0 < ratio < 1 else f"{ratio:.0f}"


@cache
def _original_image(number: int) -> bytes:
    return to_jpeg(_random_image(number, 640, 480))


@cache
def _synthesized_image(number: int, size: int) -> bytes:
    return encode_jpeg(np.asarray(_random_image(-number - 1, size, size)), 95, source="synthesized")


def _random_image(seed: int, width: int, height: int) -> Image.Image:
    """Draw a scene with a texture at every scale, so that its file is about as large as that of a real photograph."""
    rng = random.Random(seed)
    (scene,) = draw_posts(1, rng.getrandbits(32), "train")
    pixels = np.asarray(draw_photograph(scene.entities, rng).image.resize((width, height)), np.float64)
    noise = np.random.default_rng(abs(seed))
    for cells in (8, 16, 32, 64, 128, 256):
        grain = Image.fromarray(noise.normal(0, 12, (cells, cells)).astype(np.float32))
        pixels += np.asarray(grain.resize((width, height), Image.Resampling.BICUBIC))[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@cache
def _mixed_image(number: int, size: int, ratio: float, has_image: bool, has_synthesis: bool) -> bytes:
    images = ImageSettings(size=size)
    pixels = resize_to_square(decode(_original_image(number), images), images) if has_image else None
    return mix_images(pixels, _synthesized_image(number, size) if has_synthesis else None, ratio, images)


def _rejected_rows(run: WrittenRun) -> list[Row]:
    reasons = ["no text", "duplicate id", "3 tokens but 2 tags"]
    return [
        {"where": f"train.txt:{number}", "id": None, "reason": reasons[number % len(reasons)]}
        for number in range(run.rejected)
    ]


def _log_lines(run: WrittenRun) -> list[Row]:
    return [
        {
            "stage": "scores",
            "shard": shard,
            "posts": run.plan.rows_of(shard),
            "ended": 100.0 + number,
            "load_s": 0.25,
            "run_s": 0.5,
            "publish_s": 0.25,
            "host": f"host-{number % 2}",
            "pid": number % 3,
            "cuda_visible_devices": "",
        }
        for number, shard in enumerate(run.plan.shards)
    ]


def _to_jsonl(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def count_by(rows: Sequence[Row], name: str) -> Counter[Any]:
    """Count rows by the value of one column."""
    return Counter(row[name] for row in rows)
