"""Recognizers: trained, scored, asked, and compared."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amia import errors
from ray_jobs.cli.options import Config, Json, Model, PredictedArm, Run, Words
from ray_jobs.cli.output import print_json, print_lines
from ray_jobs.runtime.console import console
from ray_jobs.settings.job import load_settings
from ray_jobs.storage.status import describe_status

if TYPE_CHECKING:  # types alone: whoever speaks need not wait for Ray
    from ray_jobs.jobs.evaluate import Evaluation
    from ray_jobs.jobs.experiment import ExperimentResult
    from ray_jobs.jobs.predict import PredictResult
    from ray_jobs.jobs.predict_one import TextPrediction
    from ray_jobs.jobs.train import TrainResult

__all__ = [
    "evaluate",
    "experiment",
    "predict",
    "tell_evaluated",
    "tell_experimented",
    "tell_predicted",
    "tell_recognized",
    "tell_trained",
    "train",
]


# MERGED FROM ray_jobs.cli.recognizers: Trainings, evaluations, predictions and experiments.
def train(
    run: Run,
    model: Annotated[
        str,
        typer.Option(
            "--model", help="bilstm-crf, cnn-bilstm-crf, hbilstm-crf, bert, bert-crf, bert-resnet-crf, umt or maf."
        ),
    ],
    words: Words = None,
    config: Config = "default",
    arm: Annotated[str, typer.Option("--arm", help="The finished arm of the run to train on.")] = "adaptive",
    name: Annotated[
        str | None, typer.Option("--name", help="Folder of the run's models/. Default: from model, arm and seed.")
    ] = None,
    json: Json = False,
) -> None:
    """Train a recognizer on an arm of a run. Started again, it goes on after the last finished epoch."""
    from ray_jobs.jobs.train import train as job

    done = job(run, load_settings(config, words or []), system=model, arm=arm, name=name, quiet=json)
    tell_trained(done, run, json=json)


def evaluate(
    run: Run,
    model: Model,
    words: Words = None,
    config: Config = "default",
    arm: PredictedArm = "adaptive",
    split: Annotated[str, typer.Option("--split", help="The split to score; its posts need tags.")] = "test",
    swap_images: Annotated[
        bool,
        typer.Option("--swap-images", help="Show posts each other's images: if F1 stays, the model does not look."),
    ] = False,
    json: Json = False,
) -> None:
    """Score a recognizer on a split of an arm. Started again, it goes on where it stopped."""
    from ray_jobs.jobs.evaluate import evaluate as job

    settings = load_settings(config, words or [])
    done = job(run, settings, model=model, arm=arm, split=split, swap_images=swap_images, quiet=json)
    tell_evaluated(done, run, json=json)


def predict(
    model: Model,
    words: Words = None,
    text: Annotated[str | None, typer.Option("--text", help="One text.")] = None,
    image: Annotated[Path | None, typer.Option("--image", help="Its image file.")] = None,
    augment: Annotated[
        str | None,
        typer.Option("--augment", metavar="RUN", help="Score and augment that post first, as RUN's arm was."),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Instead of a text: a run whose arm's posts are predicted.")
    ] = None,
    arm: PredictedArm = "adaptive",
    split: Annotated[
        list[str] | None, typer.Option("--split", help="A split of the run; several times for several. Default: all.")
    ] = None,
    config: Annotated[
        str | None, typer.Option("--config", help="As elsewhere. Default: `default`; with --augment, the arm's own.")
    ] = None,
    json: Json = False,
) -> None:
    """Find entities: in one text, with an image beside it or without, or in every post of a run's arm."""

    if (text is None) == (run is None):
        raise errors.SettingsError("give either --text, or --run")
    if run is not None:
        if image is not None or augment is not None:
            raise errors.SettingsError("--image and --augment belong to --text; the posts of a run have their own")
        from ray_jobs.jobs.predict import predict as job

        done = job(run, load_settings(config or "default", words or []), model=model, arm=arm, splits=split, quiet=json)
        tell_predicted(done, run, json=json)
    elif text is not None:
        from ray_jobs.jobs.predict_one import predict_text, settings_of

        own = settings_of(augment, arm) if augment is not None and config is None else config or "default"
        settings = load_settings(own, words or [])
        tell_recognized(predict_text(text, settings, model=model, image=image, augment=augment, arm=arm), json=json)


def experiment(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=VALUE]...",
            help="Of the grid (seeds=[0,1], recognizers=[umt]), or settings, that override the file's; see the end.",
        ),
    ] = None,
    config: Annotated[
        str,
        typer.Option(
            "--config",
            help="table1, table2, table3, controls, default (all of them); demo, demo-table1 ...: the same on the "
            "drawn world; or a YAML file of your own.",
        ),
    ] = "default",
    run: Annotated[
        list[str] | None,
        typer.Option("--run", help="A data set's run, as RUN or NAME=RUN; several times for several."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Folder of the tables in experiments/. Default: as the config.")
    ] = None,
    json: Json = False,
) -> None:
    """The paper's tables with seeds and significance. Started again, it goes on where it stopped."""
    from ray_jobs.jobs.experiment import experiment as job
    from ray_jobs.settings.experiment import load_experiment

    tell_experimented(job(load_experiment(config, run or [], words or [], name=name), quiet=json), json=json)


def tell_trained(done: "TrainResult", run: str, *, json: bool) -> None:
    """The best epoch of a training, and where the recognizer stands."""
    if json:
        print_json({"run": run, "model": done.folder, "epochs": done.epochs, "best": asdict(done.best)})
        return
    best = done.best
    console.print(
        f"best of {done.epochs} epochs: {best.epoch}, validation P {best.precision:.4f} R {best.recall:.4f} "
        f"F1 {best.f1:.4f} -> {run}/{done.folder}"
    )


def tell_evaluated(done: "Evaluation", run: str, *, json: bool) -> None:
    """Scores by type and by slice, and where they stand."""
    if json:
        print_json({"run": run, **done.to_json(), "scores": done.key, "conll": done.conll})
        return
    from amia.mner.evaluation import format_slices

    swapped = ", each shown another's image" if done.swapped else ""
    console.print(f"{done.model} on {done.posts:,} posts of {done.split}, arm {done.arm}{swapped} (in percent)")
    if done.unlabeled:
        console.print(f"  {done.unlabeled:,} more have no tags to score against")
    print_lines(done.lenient["all"].lines())
    print_lines(format_slices(done.lenient))
    strict = done.strict["all"].micro
    console.print(
        f"strict IOB2 on the tags as read: precision {100 * strict.precision:.2f}, recall {100 * strict.recall:.2f}, "
        f"F1 {100 * strict.f1:.2f}"
    )
    console.print(f"-> {run}/{done.key}, {run}/{done.conll}")


def tell_predicted(done: "PredictResult", run: str, *, json: bool) -> None:
    """How many entities were found, and where they stand."""
    if json:
        print_json({"run": run, "posts": done.posts, "entities": done.entities, "predictions": done.folder})
        return
    found = ", ".join(f"{count:,} {kind}" for kind, count in done.entities.items()) or "no entity"
    console.print(f"{done.model}: {done.posts:,} posts in, {done.posts:,} out, {found} -> {run}/{done.folder}")


def tell_experimented(done: "ExperimentResult", *, json: bool) -> None:
    """The tables as Markdown, and where they stand."""
    if json:
        print_json({"tables": [table.to_json() for table in done.tables], "cells": done.cells, "folders": done.folders})
        return
    for table in done.tables:
        console.print(f"\n{table.markdown()}")
    for folder in done.folders:
        console.print(f"-> {folder}")


def tell_recognized(done: "TextPrediction", *, json: bool) -> None:
    """The entities of one text, one a line, and what became of its image."""
    if json:
        print_json(done.to_json())
        return
    if (augmented := done.augmented) is not None:
        share = "no image" if augmented.ratio is None else f"{augmented.ratio:.3f} of the original in the image"
        console.print(f"theta {augmented.theta:.3f} ({describe_status(f'image={augmented.image_status}')}), {share}")
    if not done.looked:
        console.print("recognized by the text alone")
    rows = [[each.type, f"{each.start}-{each.end}", f"{each.score:.3f}", each.text] for each in done.entities]
    print_lines(
        [" ".join((kind.ljust(5), where.rjust(9), score, text)) for kind, where, score, text in rows] or ["no entity"]
    )
