"""Before anything costs money."""

import os
import re
from typing import Annotated

import typer

from amia.errors import SettingsError
from ray_jobs.commands.options import Config, Json, Words
from ray_jobs.settings.job import load_settings

__all__ = ["plan"]

SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}


def plan(
    posts: Annotated[str, typer.Option("--posts", metavar="N", help="Posts of the corpus: 250000, 250k, 100M.")],
    gpu: Annotated[
        str,
        typer.Option(
            "--gpu",
            "--rates",
            metavar="NAME|FILE",
            help="a100, h100 or rtx4090; or the rates.json that `make bench` wrote on such a machine, GPU or none.",
        ),
    ],
    words: Words = None,
    count: Annotated[int, typer.Option("--count", min=1, help="GPUs.")] = 1,
    cores: Annotated[
        int | None,
        typer.Option(
            "--cores", min=1, help="CPU cores in all. Default: what such GPUs come with; without any, this machine's."
        ),
    ] = None,
    arm: Annotated[list[str] | None, typer.Option("--arm", help="As for `amia augment`. Default: adaptive.")] = None,
    price: Annotated[
        float | None, typer.Option("--price", min=0, help="Of one GPU for an hour; without GPUs, of one core.")
    ] = None,
    config: Config = "default",
    json: Json = False,
) -> None:
    """How long ingest and augment would take on machines that need not be there, what limits them, what it costs."""
    from ray_jobs.jobs.forecast import Power, forecast, what_would_help
    from ray_jobs.settings.rates import load_rates
    from ray_jobs.telling.forecast import tell_forecast

    rates, settings, arms = load_rates(gpu), load_settings(config, words or []), arm or ["adaptive"]
    gpus = count if rates.gpu else 0
    have = cores or gpus * (rates.cores_per_gpu or 0) or len(os.sched_getaffinity(0))
    made = forecast(_number(posts), rates, Power(gpus, have), settings, arms)
    helps = what_would_help(made, rates, settings, arms)
    tell_forecast(made, rates.at(settings.image.size), helps, price, json=json)


def _number(said: str) -> int:
    found = re.fullmatch(r"([0-9][0-9_,]*(?:\.[0-9]+)?)([kmb]?)", said.strip().lower())
    if found is None:
        raise SettingsError(f"--posts {said}: a number of posts is written 250000, 250k or 100M")
    return round(float(found[1].replace(",", "").replace("_", "")) * SUFFIXES[found[2]])
