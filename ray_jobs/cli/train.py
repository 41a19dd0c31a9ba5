"""`amia train`: train a recognizer."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ray_jobs.cli.console import console, print_json
from ray_jobs.cli.options import Config, Json, Overrides, Run, WithEarlier
from ray_jobs.settings.job import load_settings

if TYPE_CHECKING:  # keep Ray out of the start-up of the command line
    from ray_jobs.jobs.train import TrainResult

__all__ = ["train"]


def train(
    run: Run,
    model: Annotated[
        str,
        typer.Option(
            "--model", help="bilstm-crf, cnn-bilstm-crf, hbilstm-crf, bert, bert-crf, bert-resnet-crf, umt or maf."
        ),
    ],
    overrides: Overrides = None,
    config: Config = "default",
    arm: Annotated[str, typer.Option("--arm", help="Finished arm of the run to train on.")] = "adaptive",
    name: Annotated[
        str | None, typer.Option("--name", help="Folder in the run's models/. Default: from model, arm and seed.")
    ] = None,
    with_earlier: WithEarlier = False,
    json: Json = False,
) -> None:
    """Train a recognizer on an arm of a run. If interrupted, run it again to resume after the last finished epoch."""
    settings = load_settings(config, overrides or [])
    from ray_jobs.jobs.train import train as train_job

    result = train_job(run, settings, system=model, arm=arm, name=name, with_earlier=with_earlier, quiet=json)
    print_train_result(result, run, json=json)


def print_train_result(result: "TrainResult", run: str, *, json: bool) -> None:
    """Print the scores of the best epoch, and the folder of the recognizer."""
    if json:
        print_json({"run": run, "model": result.folder, "epochs": result.epochs, "best": asdict(result.best)})
        return
    best = result.best
    console.print(
        f"best of {result.epochs} epochs: {best.epoch}, validation P {best.precision:.4f} R {best.recall:.4f} "
        f"F1 {best.f1:.4f} -> {run}/{result.folder}"
    )
