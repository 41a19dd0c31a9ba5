"""`amia demo`: the whole method on the demo world, offline, with weights that ship in the package."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ray_jobs.cli.augment import print_augment_result
from ray_jobs.cli.console import console
from ray_jobs.cli.ingest import print_ingest_result
from ray_jobs.settings.job import Settings, load_settings
from ray_jobs.storage.layout import arm_folder, model_folder, shard_key

__all__ = ["demo"]

ARM = "adaptive"
RECOGNIZER = "bert-resnet-crf"
ARM_DESCRIPTIONS = {"text": "no image", "original": "the posts' own images", "adaptive": "augmented images"}
"""Arms that the recognizer is trained on, and the images that it receives."""
SLICES = ("all", "matched", "mismatched", "unseen", "ambiguous")


def demo(
    run: Annotated[
        Path, typer.Option("--run", help="Folder of the demo; an interrupted demo in it is resumed.")
    ] = Path("runs/demo"),
    posts: Annotated[int, typer.Option("--posts", min=400, help="Number of posts to generate.")] = 1200,
) -> None:
    """Run the whole method on a drawn world, offline, in minutes."""
    from amia.demo import write_corpus
    from ray_jobs.jobs.augment import augment
    from ray_jobs.jobs.ingest import ingest
    from ray_jobs.jobs.report import report

    corpus, run_dir = run / "corpus", str(run / "run")
    settings = load_settings("demo")
    console.print(f"1. draw a corpus of {posts:,} posts -> {corpus}")
    if not (corpus / "truth.ndjson").exists():
        write_corpus(corpus, posts=posts)
    console.print(f"2. amia ingest {corpus} --run {run_dir} --config demo")
    print_ingest_result(ingest(str(corpus), run_dir, settings), run_dir)
    console.print(f"3. amia augment --run {run_dir} --config demo")
    print_augment_result(augment(run_dir, settings, arms=("adaptive", "original", "text")), run_dir)
    console.print("4. does theta separate matched from mismatched images? (all posts with an image, known truth)")
    _print_separation(run_dir, corpus / "truth.ndjson")
    _train_and_evaluate(run_dir, settings)
    console.print(f"7. amia report {run_dir}")
    console.print(f"   all results on one page: {run_dir}/{report(run_dir).key}")
    console.print("\nAll models above are the demo's tiny weights: they know only the drawn world.")


def _print_separation(run_dir: str, truth_file: Path) -> None:
    """Print how well theta and the raw cosine separate matched from mismatched images."""
    import numpy as np
    from sklearn.metrics import accuracy_score, roc_auc_score

    from ray_jobs.storage.plan import Plan
    from ray_jobs.storage.shards import read_shard
    from ray_jobs.storage.store import Store

    lines = truth_file.read_text(encoding="utf-8").splitlines()
    truth = {post["id"]: post["matched"] for post in map(json.loads, lines)}
    store = Store(run_dir)
    plan = Plan.find(store)
    rows = [
        row
        for shard in (plan.shards if plan else [])
        for row in read_shard(
            store, shard_key(arm_folder(ARM), shard), ["id", "image_status", "theta", "cosine"]
        ).to_pylist()
        if row["image_status"] == "ok" and truth[row["id"]] is not None
    ]
    matched = np.array([truth[row["id"]] for row in rows])
    thetas = np.array([row["theta"] for row in rows])
    cosines = np.array([row["cosine"] for row in rows])
    console.print(f"   {len(rows):,} posts, {1 - matched.mean():.0%} of them mismatched")
    accuracy = accuracy_score(matched, thetas > 0.5)
    console.print(f"   theta        AUC {roc_auc_score(matched, thetas):.3f}, accuracy at 0.5 {accuracy:.3f}")
    console.print(f"   raw cosine   AUC {roc_auc_score(matched, cosines):.3f}, without a natural threshold")


def _train_and_evaluate(run_dir: str, settings: Settings) -> None:
    """Train the same recognizer without images, on the posts' own images, and on the augmented ones; print F1."""
    from ray_jobs.jobs.context import open_context
    from ray_jobs.jobs.evaluate import evaluate
    from ray_jobs.jobs.train import prepare_training
    from ray_jobs.jobs.train_parallel import train_parallel
    from ray_jobs.storage.arm import open_arm

    options = f"--run {run_dir} --config demo"
    console.print(f"5. amia train {options} --model {RECOGNIZER} --arm text|original|adaptive")
    context = open_context(run_dir, settings)
    results = train_parallel(
        context, [prepare_training(context, RECOGNIZER, open_arm(context.store, arm)) for arm in ARM_DESCRIPTIONS]
    )
    console.print(f"6. amia evaluate {options} --model NAME --arm text|original|adaptive")
    console.print(f"   F1 on the test split, percent{'':14}all  matched  mismatched   unseen names  ambiguous names")
    for (arm, description), result in zip(ARM_DESCRIPTIONS.items(), results, strict=True):
        reports = evaluate(run_dir, settings, model=result.name, arm=arm, quiet=True).lenient
        scores = [100 * reports[name].micro.f1 for name in SLICES]
        console.print("   {:<38}{:>8.1f}{:>9.1f}{:>12.1f}{:>15.1f}{:>17.1f}".format(description, *scores))
    model = f"{run_dir}/{model_folder(results[-1].name)}"
    console.print(f"   try it: amia predict --model {model} --text '...' --image FILE")
