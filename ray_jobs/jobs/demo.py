"""`amia demo`: a corpus is drawn, ingested, augmented and looked at; offline, with weights that ship in the package."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, roc_auc_score

from amia.demo import write_corpus
from amia.report.grid import Triple, draw_grid, spread
from ray_jobs.cli.corpus import tell_augmented, tell_ingested
from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.context import open_context
from ray_jobs.jobs.evaluate import evaluate
from ray_jobs.jobs.ingest import ingest
from ray_jobs.jobs.report import report
from ray_jobs.jobs.train import prepare_training
from ray_jobs.runtime.console import console
from ray_jobs.settings.job import Settings, load_settings
from ray_jobs.storage.arm import open_arm
from ray_jobs.storage.layout import POSTS, SYNTHESIZED, arm_folder, shard_key
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_shard
from ray_jobs.storage.store import Store
from ray_jobs.jobs.train_parallel import train_parallel

__all__ = ["demo"]

ARM = "adaptive"
RECOGNIZER = "bert-resnet-crf"
TRAINED = {"text": "no image", "original": "the posts' own images", "adaptive": "augmented images"}
"""Arms that a recognizer is trained on, and what each shows it."""
A_BAND = 5
"""Posts shown in each band of theta."""

Row = dict[str, Any]


def demo(folder: Path, posts: int) -> None:
    """Tell the whole story in `folder`; what an earlier demo there has finished is not done again."""
    corpus, run = folder / "corpus", folder / "run"
    console.print(f"1. a world of {posts:,} drawn posts -> {corpus}")
    if not (corpus / "truth.ndjson").exists():
        write_corpus(corpus, posts=posts)
    settings = load_settings("demo")
    console.print(f"2. amia ingest {corpus} --run {run} --config demo")
    tell_ingested(ingest(str(corpus), str(run), settings), str(run))
    console.print(f"3. amia augment --run {run} --config demo")
    done = augment(str(run), settings, arms=("adaptive", "original", "text"))
    tell_augmented(done, str(run))
    rows = _rows(Store(run))
    truth = {
        line["id"]: line["matched"]
        for line in map(json.loads, (corpus / "truth.ndjson").read_text(encoding="utf-8").splitlines())
    }
    console.print("4. does theta know which images match? (every post with an image, against the world's own truth)")
    _tell_separation(rows, truth)
    picture = folder / "grid.png"
    draw_grid(_bands(rows), picture)
    console.print(f"5. look at it: {picture}")
    words = f"--run {run} --config demo"
    console.print(f"6. amia train {words} --model {RECOGNIZER} --arm text|original|adaptive")
    _tell_recognizers(str(run), settings, words)
    page = report(str(run))
    console.print(f"8. amia report {run}")
    console.print(f"   all of it on one page: {run}/{page.key}")
    console.print(
        "\nEverything above was made with the demo's tiny weights: they know the drawn world and nothing else."
    )


def _tell_recognizers(run: str, settings: Settings, words: str) -> None:
    """The same recognizer on three arms: no image, the posts' own, the augmented ones."""
    job = open_context(run, settings)
    trained = train_parallel(job, [prepare_training(job, RECOGNIZER, open_arm(job.store, arm)) for arm in TRAINED])
    console.print(f"7. amia evaluate {words} --model NAME --arm text|original|adaptive")
    console.print(f"   F1 on the test split, in percent{'':11}all  matched  mismatched   unseen names  ambiguous names")
    for arm, one in zip(TRAINED, trained, strict=True):
        reports = evaluate(run, settings, model=one.name, arm=arm, quiet=True).lenient
        scores = [100 * reports[name].micro.f1 for name in ("all", "matched", "mismatched", "unseen", "ambiguous")]
        console.print("   {:<38}{:>8.1f}{:>9.1f}{:>12.1f}{:>15.1f}{:>17.1f}".format(TRAINED[arm], *scores))
    console.print(f"   ask it yourself: amia predict --model {run}/models/{trained[-1].name} --text '...' --image FILE")


def _rows(store: Store) -> list[Row]:
    """Every augmented post with its original and synthesized image beside it."""
    plan = Plan.find(store)
    rows: list[Row] = []
    for shard in plan.shards if plan else []:
        augmented = read_shard(store, shard_key(arm_folder(ARM), shard)).to_pylist()
        originals = read_shard(store, shard_key(POSTS, shard), ["image"])["image"].to_pylist()
        drawn = read_shard(store, shard_key(SYNTHESIZED, shard), ["image"])["image"].to_pylist()
        for row, original, synthesized in zip(augmented, originals, drawn, strict=True):
            rows.append({**row, "original": original and original["bytes"], "synthesized": synthesized})
    return rows


def _tell_separation(rows: list[Row], truth: Mapping[str, bool | None]) -> None:
    known = [row for row in rows if row["image_status"] == "ok" and truth[row["id"]] is not None]
    matched = np.array([truth[row["id"]] for row in known])
    thetas = np.array([row["theta"] for row in known])
    cosines = np.array([row["cosine"] for row in known])
    console.print(f"   {len(known):,} posts, {1 - matched.mean():.0%} of them mismatched")
    accuracy = accuracy_score(matched, thetas > 0.5)
    console.print(f"   theta        AUC {roc_auc_score(matched, thetas):.3f}, accuracy at 0.5 {accuracy:.3f}")
    console.print(f"   raw cosine   AUC {roc_auc_score(matched, cosines):.3f}, and no threshold of its own")


def _bands(rows: list[Row]) -> list[tuple[str, list[Triple]]]:
    """Low, middle and high theta, a few posts of each, spread over the band."""
    bands = {"low theta: synthesized": (0.0, 0.2), "middle: blended": (0.2, 0.8), "high: original": (0.8, 1.0)}
    whole = [row for row in rows if row["original"] and row["synthesized"]]
    chosen: list[tuple[str, list[Triple]]] = []
    for title, (low, high) in bands.items():
        inside = [row for row in whole if low <= row["theta"] <= high]
        picked = [inside[place] for place in spread([row["theta"] for row in inside], A_BAND)]
        chosen.append(
            (
                title,
                [
                    Triple(row["original"], row["synthesized"], row["image"]["bytes"], row["theta"], row["text"])
                    for row in picked
                ],
            )
        )
    return chosen
