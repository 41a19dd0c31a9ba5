"""`amia demo`: the whole method on the demo world, offline, with weights that ship in the package."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ray_jobs.cli.augment import print_augment_result
from ray_jobs.cli.console import console, format_table, print_json, print_lines
from ray_jobs.cli.ingest import print_ingest_result
from ray_jobs.cli.options import Json
from ray_jobs.settings.job import load_settings
from ray_jobs.storage.layout import model_folder

if TYPE_CHECKING:  # keep Ray and SciPy out of the start-up of the command line
    from amia.experiments.table import Interval
    from amia.experiments.when_map import WhenMap
    from ray_jobs.jobs.demo import ArmScores

__all__ = ["demo"]

MISMATCHED, KNOWN = 0.4, 0.8
"""Shares of mismatched images and of known rare names in the demo corpus, and its point of the map."""


def demo(
    run: Annotated[
        Path, typer.Option("--run", help="Folder of the demo; an interrupted demo in it is resumed.")
    ] = Path("runs/demo"),
    posts: Annotated[int, typer.Option("--posts", min=480, help="Number of posts to generate.")] = 2400,
    json: Json = False,
) -> None:
    """Run the whole method on a drawn world, offline, in minutes."""
    from amia.demo import write_corpus
    from amia.experiments.when_map import read_shipped_map
    from ray_jobs.jobs.augment import augment
    from ray_jobs.jobs.demo import ARMS, RECOGNIZER, compare_arms, measure_separation
    from ray_jobs.jobs.ingest import ingest
    from ray_jobs.jobs.report import report

    corpus, run_dir = run / "corpus", str(run / "run")
    settings = load_settings("demo")
    options = f"--run {run_dir} --config demo"
    console.print(f"1. draw a corpus of {posts:,} posts -> {corpus}")
    if not (corpus / "truth.ndjson").exists():
        write_corpus(corpus, posts=posts, mismatched=MISMATCHED, known=KNOWN)
    console.print(f"2. amia ingest {corpus} {options}")
    print_ingest_result(ingest(str(corpus), run_dir, settings, quiet=json), run_dir)
    arms = tuple(ARMS)
    console.print(f"3. amia augment {options}{''.join(f' --arm {arm}' for arm in arms)}")
    print_augment_result(augment(run_dir, settings, arms=arms, quiet=json), run_dir)
    console.print("4. does theta separate matched from mismatched images? (all posts with an image, known truth)")
    separation = measure_separation(run_dir, corpus / "truth.ndjson", "adaptive")
    console.print(f"   {separation.posts:,} posts, {separation.mismatched:.0%} of them mismatched")
    console.print(f"   theta        AUC {separation.theta_auc:.3f}, accuracy at 0.5 {separation.theta_accuracy:.3f}")
    console.print(f"   raw cosine   AUC {separation.cosine_auc:.3f}, without a natural threshold")
    console.print(f"5. amia train {options} --model {RECOGNIZER} --arm {'|'.join(arms)}")
    scores = compare_arms(run_dir, settings, quiet=json)
    console.print(f"6. amia evaluate {options} --model NAME --arm {'|'.join(arms)}")
    print_lines(format_scores(scores, ARMS))
    print_lines(explain_scores(scores, read_shipped_map()))
    model = f"{run_dir}/{model_folder(scores[arms[-1]].model)}"
    console.print(f"   try it: amia predict --model {model} --text '...' --image FILE")
    console.print(f"7. amia report {run_dir}")
    page = f"{run_dir}/{report(run_dir).key}"
    console.print(f"   all results on one page: {page}")
    console.print("\nAll models above are the demo's tiny weights: they know only the drawn world.")
    if json:
        print_json(
            {
                "posts": posts,
                "run": run_dir,
                "report": page,
                "theta_auc": separation.theta_auc,
                "cosine_auc": separation.cosine_auc,
                "mismatched": separation.mismatched,
                "f1": {arm: dict(score.f1) for arm, score in scores.items()},
                "arms": {arm: score.to_json() for arm, score in scores.items()},
            }
        )


def format_scores(scores: "dict[str, ArmScores]", descriptions: dict[str, str]) -> list[str]:
    """Return a table of F1 in percent by arm and slice, and each arm's difference from the posts' own images."""
    slices = list(next(iter(scores.values())).f1)
    rows = [["   F1 on the test split, percent", *slices, "minus own images (95 % interval)"]]
    for arm, score in scores.items():
        cells = [f"{100 * value:.1f}" for value in score.f1.values()]
        difference = "-"
        if score.difference is not None:
            found = score.difference
            difference = _format_gain((100 * found.observed, 100 * found.low, 100 * found.high))
        rows.append([f"   {arm}: {descriptions[arm]}", *cells, difference])
    return format_table(rows)


def explain_scores(scores: "dict[str, ArmScores]", when: "WhenMap | None") -> list[str]:
    """Return what this training says about each augmented arm, and what the map says about corpora like this one.

    `when`: the map that ships with amia. Its corpus with the shares of the demo has other trainings on the same posts.
    """
    arms = [arm for arm in scores if arm not in ("text", "original")]
    verdicts = []
    for arm in arms:
        difference = scores[arm].difference
        if difference is not None:
            better, worse = difference.low > 0, difference.high < 0
            verdict = "better" if better else "worse" if worse else "not clearly different: its interval includes 0"
            verdicts.append(f"{arm} {verdict}")
    lines = [f"   this training, compared with own images: {'; '.join(verdicts)}"]
    points = {(point.mismatched, point.known): point for point in when.points} if when else {}
    if point := points.get((MISMATCHED, KNOWN)):
        gains = (f"{arm} {_format_gain(point.arms[arm].over_original)}" for arm in arms if arm in point.arms)
        lines.append(f"   the map that ships with amia, mean of {point.seeds} seeds: {', '.join(gains)}")
    return lines


def _format_gain(gain: "Interval | None") -> str:
    return "-" if gain is None else "{:+.1f} [{:+.1f}, {:+.1f}]".format(*gain)
