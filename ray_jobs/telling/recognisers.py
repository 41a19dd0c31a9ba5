"""Trainings, evaluations, predictions and experiments."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from ray_jobs.telling.lines import say, say_json
from ray_jobs.telling.statuses import why
from ray_jobs.runtime.console import console

if TYPE_CHECKING:  # types alone: whoever speaks need not wait for Ray
    from ray_jobs.jobs.evaluate import Evaluation
    from ray_jobs.jobs.experiment import Experimented
    from ray_jobs.jobs.predict import Predicted
    from ray_jobs.jobs.predict_one import Recognised
    from ray_jobs.jobs.train import Trained

__all__ = ["tell_evaluated", "tell_experimented", "tell_predicted", "tell_recognised", "tell_trained"]


def tell_trained(done: "Trained", run: str, *, json: bool) -> None:
    """The best epoch of a training, and where the recogniser stands."""
    if json:
        say_json({"run": run, "model": done.folder, "epochs": done.epochs, "best": asdict(done.best)})
        return
    best = done.best
    console.print(
        f"best of {done.epochs} epochs: {best.epoch}, validation P {best.precision:.4f} R {best.recall:.4f} "
        f"F1 {best.f1:.4f} -> {run}/{done.folder}"
    )


def tell_evaluated(done: "Evaluation", run: str, *, json: bool) -> None:
    """Scores by type and by slice, and where they stand."""
    if json:
        say_json({"run": run, **done.to_json(), "scores": done.key, "conll": done.conll})
        return
    from amia.mner.evaluation import slice_lines

    swapped = ", each shown another's image" if done.swapped else ""
    console.print(f"{done.model} on {done.posts:,} posts of {done.split}, arm {done.arm}{swapped} (in percent)")
    if done.unlabelled:
        console.print(f"  {done.unlabelled:,} more have no tags to score against")
    say(done.lenient["all"].lines())
    say(slice_lines(done.lenient))
    strict = done.strict["all"].micro
    console.print(
        f"strict IOB2 on the tags as read: precision {100 * strict.precision:.2f}, recall {100 * strict.recall:.2f}, "
        f"F1 {100 * strict.f1:.2f}"
    )
    console.print(f"-> {run}/{done.key}, {run}/{done.conll}")


def tell_predicted(done: "Predicted", run: str, *, json: bool) -> None:
    """How many entities were found, and where they stand."""
    if json:
        say_json({"run": run, "posts": done.posts, "entities": done.entities, "predictions": done.folder})
        return
    found = ", ".join(f"{count:,} {kind}" for kind, count in done.entities.items()) or "no entity"
    console.print(f"{done.model}: {done.posts:,} posts in, {done.posts:,} out, {found} -> {run}/{done.folder}")


def tell_experimented(done: "Experimented", *, json: bool) -> None:
    """The tables as Markdown, and where they stand."""
    if json:
        say_json({"tables": [table.to_json() for table in done.tables], "cells": done.cells, "folders": done.folders})
        return
    for table in done.tables:
        console.print(f"\n{table.markdown()}")
    for folder in done.folders:
        console.print(f"-> {folder}")


def tell_recognised(done: "Recognised", *, json: bool) -> None:
    """The entities of one text, one a line, and what became of its picture."""
    if json:
        say_json(done.to_json())
        return
    if (augmented := done.augmented) is not None:
        share = "no picture" if augmented.ratio is None else f"{augmented.ratio:.3f} of the original in the picture"
        console.print(f"theta {augmented.theta:.3f} ({why(f'image={augmented.image_status}')}), {share}")
    if not done.looked:
        console.print("recognised by the text alone")
    rows = [[each.type, f"{each.start}-{each.end}", f"{each.score:.3f}", each.text] for each in done.entities]
    say([" ".join((kind.ljust(5), where.rjust(9), score, text)) for kind, where, score, text in rows] or ["no entity"])
