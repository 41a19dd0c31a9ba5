"""`amia predict`: find entities in one text, or in the posts of a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amia.errors import SettingsError
from ray_jobs.cli.console import console, print_json, print_lines
from ray_jobs.cli.options import InputArm, Json, Model, Overrides
from ray_jobs.settings.job import load_settings
from ray_jobs.storage.status import describe_status

if TYPE_CHECKING:  # keep Ray out of the start-up of the command line
    from ray_jobs.jobs.predict import PredictResult
    from ray_jobs.jobs.predict_one import TextPrediction

__all__ = ["predict"]


def predict(
    model: Model,
    overrides: Overrides = None,
    text: Annotated[str | None, typer.Option("--text", help="A single text.")] = None,
    image: Annotated[Path | None, typer.Option("--image", help="Image file of the text.")] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            "--augment", metavar="RUN", help="Score and augment the text and image first, as in an arm of RUN."
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Run whose posts are predicted, instead of a single text.")
    ] = None,
    arm: InputArm = "adaptive",
    split: Annotated[
        list[str] | None, typer.Option("--split", help="Split of the run. Repeat for several. Default: all splits.")
    ] = None,
    config: Annotated[
        str | None,
        typer.Option("--config", help="Preset or YAML file. Default: `default`; with --augment, the arm's settings."),
    ] = None,
    json: Json = False,
) -> None:
    """Find entities in one text, or in every post of a run. The text may have an image."""
    if (text is None) == (run is None):
        raise SettingsError("give either --text or --run")
    if run is not None:
        if image is not None or augment is not None:
            raise SettingsError("--image and --augment require --text; the posts of a run have their own images")
        from ray_jobs.jobs.predict import predict as predict_job

        settings = load_settings(config or "default", overrides or [])
        print_predict_result(predict_job(run, settings, model=model, arm=arm, splits=split, quiet=json), run, json=json)
    elif text is not None:
        from ray_jobs.jobs.predict_one import predict_text, read_arm_settings

        base = read_arm_settings(augment, arm) if augment is not None and config is None else config or "default"
        settings = load_settings(base, overrides or [])
        print_text_prediction(
            predict_text(text, settings, model=model, image=image, augment=augment, arm=arm), json=json
        )


def print_predict_result(result: "PredictResult", run: str, *, json: bool) -> None:
    """Print the number of entities by type, and the folder of the predictions."""
    if json:
        print_json({"run": run, "posts": result.posts, "entities": result.entities, "predictions": result.folder})
        return
    entities = ", ".join(f"{count:,} {kind}" for kind, count in result.entities.items()) or "no entity"
    console.print(
        f"{result.model}: {result.posts:,} posts in, {result.posts:,} out, {entities} -> {run}/{result.folder}"
    )


def print_text_prediction(result: "TextPrediction", *, json: bool) -> None:
    """Print the entities of one text, one per line, and the theta and ratio of its augmented image."""
    if json:
        print_json(result.to_json())
        return
    if (augmented := result.augmented) is not None:
        ratio = "no image" if augmented.ratio is None else f"{augmented.ratio:.3f} of the original in the image"
        theta_v = augmented.theta_synthesized
        of_synthesized = "" if theta_v is None else f", of the synthesized image {theta_v:.3f}"
        status = describe_status(f"image={augmented.image_status}")
        console.print(f"theta {augmented.theta:.3f} ({status}){of_synthesized}, {ratio}")
    if not result.looked:
        console.print("predicted from the text alone")
    print_lines(
        f"{entity.type:<5} {f'{entity.start}-{entity.end}':>9} {entity.score:.3f} {entity.text}"
        for entity in result.entities
    )
    if not result.entities:
        console.print("no entity")
