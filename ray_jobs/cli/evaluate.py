"""`amia evaluate`: score a recognizer."""

from typing import TYPE_CHECKING, Annotated

import typer

from ray_jobs.cli.console import console, print_json, print_lines
from ray_jobs.cli.options import Config, InputArm, Json, Model, Overrides, Run
from ray_jobs.settings.job import load_settings

if TYPE_CHECKING:  # keep Ray out of the start-up of the command line
    from ray_jobs.jobs.evaluate import Evaluation

__all__ = ["evaluate"]


def evaluate(
    run: Run,
    model: Model,
    overrides: Overrides = None,
    config: Config = "default",
    arm: InputArm = "adaptive",
    split: Annotated[str, typer.Option("--split", help="Split to score; its posts must have tags.")] = "test",
    swap_images: Annotated[
        bool,
        typer.Option(
            "--swap-images",
            help="Give each post the image of another post. If F1 does not drop, the model ignores images.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Score a recognizer on a split of an arm. If interrupted, run it again to resume."""
    settings = load_settings(config, overrides or [])
    from ray_jobs.jobs.evaluate import evaluate as evaluate_job

    result = evaluate_job(run, settings, model=model, arm=arm, split=split, swap_images=swap_images, quiet=json)
    print_evaluation(result, run, json=json)


def print_evaluation(result: "Evaluation", run: str, *, json: bool) -> None:
    """Print the scores by entity type and by slice, and the files that hold them."""
    if json:
        print_json({"run": run, **result.to_json(), "scores": result.key, "conll": result.conll})
        return
    from amia.mner.evaluation import format_slices

    swapped = ", images swapped between posts" if result.swapped else ""
    console.print(f"{result.model} on {result.posts:,} posts of {result.split}, arm {result.arm}{swapped} (percent)")
    if result.unlabeled:
        console.print(f"  {result.unlabeled:,} posts without tags are not scored")
    print_lines(result.lenient["all"].lines())
    print_lines(format_slices(result.lenient))
    strict = result.strict["all"].micro
    console.print(
        f"strict IOB2 on the tags as read: precision {100 * strict.precision:.2f}, recall {100 * strict.recall:.2f}, "
        f"F1 {100 * strict.f1:.2f}"
    )
    console.print(f"-> {run}/{result.key}, {run}/{result.conll}")
