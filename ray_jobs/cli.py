"""`amia ...`: thin commands. Each parses, calls the function of its name, and says what came out.

Exit codes: 0 done; 1 a bug or a cluster that died; 2 wrong settings or usage; 3 the corpus or an image; 4 a model;
5 the mixture is not to be trusted; 6 the run was made otherwise; 7 the cluster has no room; 8 the run or its storage;
9 too many posts failed; 130 Ctrl-C; 143 SIGTERM, with every shard finished or left to the next start.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from amia import errors
from ray_jobs.quiet import without_false_alarm
from ray_jobs.settings import Settings, load_settings, settings_help
from ray_jobs.stopping import STOPPED, Stopped, heeding_sigterm
from ray_jobs.terminal import console

__all__ = ["app", "main"]

app = typer.Typer(
    help="Augmented images for multimodal named entity recognition: how well does a post's image match its text, and "
    "what would match better?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

EXIT_CODES: list[tuple[type[errors.AmiaError], int]] = [
    (errors.SettingsError, 2),
    (errors.CorpusError, 3),
    (errors.ImageError, 3),
    (errors.ModelError, 4),
    (errors.MixtureError, 5),
    (errors.IdentityError, 6),
    (errors.ClusterError, 7),
    (errors.StageError, 1),
    (errors.AmiaError, 8),
]
TOO_MANY_FAILED = 9


def _only_json(asked: bool) -> bool:
    """Under --json whatever else there is to say goes to standard error."""
    console.stderr = asked
    return asked


Run = Annotated[str, typer.Option("--run", help="The run: a folder, or s3://, gs://, az://.")]
Config = Annotated[
    str, typer.Option("--config", help="Preset (default, paper, demo) or a YAML file of your own; see the end.")
]
Json = Annotated[
    bool, typer.Option("--json", callback=_only_json, help="One JSON object on standard output, for machines.")
]
Words = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Settings that override the preset.")
]
Model = Annotated[
    str,
    typer.Option("--model", help="A recogniser of `amia train`: its name in the run's models/, its folder, or a URL."),
]
Systems = Annotated[list[str] | None, typer.Option("--model", help="A system to train; several times for several.")]
PredictedArm = Annotated[str, typer.Option("--arm", help="The finished arm whose images it is shown.")]
Images = Annotated[str | None, typer.Option("--images", help="Folder of the images, where it is not beside the texts.")]


@app.command(epilog=settings_help())
def ingest(
    source: Annotated[str, typer.Argument(help="CoNLL folder, *.jsonl, *.parquet, *.tar, or a Hugging Face data set.")],
    run: Run,
    words: Words = None,
    images: Images = None,
    config: Config = "default",
    json: Json = False,
) -> None:
    """Read a corpus into immutable shards of posts. Started again, it goes on where it stopped."""
    from ray_jobs import told
    from ray_jobs.ingest import ingest as job

    settings = load_settings(config, words or [])
    done = job(source, run, settings, images=images, quiet=json)
    if json:
        told.say_json(
            {"posts": done.plan.posts, "rejected": done.plan.rejected, "counts": dict(done.counts), "run": run}
        )
    else:
        told.tell_ingested(done, run)
    _judge(sum(count for status, count in done.counts.items() if "(" in status), done.plan.total, settings)


@app.command(epilog=settings_help())
def augment(
    run: Run,
    words: Words = None,
    config: Config = "default",
    arm: Annotated[
        list[str] | None,
        typer.Option(
            "--arm",
            help="adaptive (default), original, synthesized, cosine, cosine-minmax, fixed-0.3 (any share), text; "
            "give it several times for several.",
        ),
    ] = None,
    mixture: Annotated[
        str | None, typer.Option("--mixture", help="A run or folder whose frozen mixture and bank are taken.")
    ] = None,
    accept_mixture: Annotated[
        bool, typer.Option("--accept-mixture", help="Go on with a mixture that the checks would refuse.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run where, and start nothing.")] = False,
    json: Json = False,
) -> None:
    """Give every post of a run its augmented image. Started again, it goes on where it stopped."""
    from ray_jobs import told

    settings = load_settings(config, words or [])
    arms = arm or ["adaptive"]
    if dry_run:
        from ray_jobs.dry_run import plan_augment

        steps = plan_augment(run, settings, arms, mixture=mixture, accept_mixture=accept_mixture)
        told.tell_planned(steps, settings, json=json)
        return
    from ray_jobs.augment import augment as job

    done = job(run, settings, arms=arms, mixture=mixture, accept_mixture=accept_mixture, quiet=json)
    if json:
        told.say_json(
            {
                "posts": done.posts,
                "counts": {arm: dict(each) for arm, each in done.counts.items()},
                "manifests": done.manifests,
                "run": run,
            }
        )
    else:
        told.tell_augmented(done, run)
    _judge(done.failed, done.posts, settings)


@app.command(epilog=settings_help())
def fetch(words: Words = None, model: Systems = None, config: Config = "default", json: Json = False) -> None:
    """Fetch every model of a config into this machine's cache (HF_HOME), for workers that have no internet."""
    from ray_jobs import told
    from ray_jobs.fetch import fetch as job

    told.tell_fetched(job(load_settings(config, words or []), model or []), json=json)


@app.command(epilog=settings_help())
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
    """Train a recogniser on an arm of a run. Started again, it goes on after the last finished epoch."""
    from ray_jobs import told
    from ray_jobs.train import train as job

    done = job(run, load_settings(config, words or []), system=model, arm=arm, name=name, quiet=json)
    told.tell_trained(done, run, json=json)


@app.command(epilog=settings_help())
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
    """Score a recogniser on a split of an arm. Started again, it goes on where it stopped."""
    from ray_jobs import told
    from ray_jobs.evaluate import evaluate as job

    settings = load_settings(config, words or [])
    done = job(run, settings, model=model, arm=arm, split=split, swap_images=swap_images, quiet=json)
    told.tell_evaluated(done, run, json=json)


@app.command(epilog=settings_help())
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
    from ray_jobs import told

    if (text is None) == (run is None):
        raise errors.SettingsError("give either --text, or --run")
    if run is not None:
        if image is not None or augment is not None:
            raise errors.SettingsError("--image and --augment belong to --text; the posts of a run have their own")
        from ray_jobs.predict import predict as job

        done = job(run, load_settings(config or "default", words or []), model=model, arm=arm, splits=split, quiet=json)
        told.tell_predicted(done, run, json=json)
    elif text is not None:
        from ray_jobs.recognise import recognise, settings_of

        own = settings_of(augment, arm) if augment is not None and config is None else config or "default"
        settings = load_settings(own, words or [])
        told.tell_recognised(recognise(text, settings, model=model, image=image, augment=augment, arm=arm), json=json)


@app.command(epilog=settings_help())
def experiment(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=VALUE]...",
            help="Of the grid (seeds=[0,1], recognisers=[umt], tables=[table2], resamples=1000, "
            "accept_mixture=true), or settings that override the file's.",
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
    from ray_jobs import told
    from ray_jobs.experiment import experiment as job
    from ray_jobs.experiment_settings import load_experiment

    told.tell_experimented(job(load_experiment(config, run or [], words or [], name=name), quiet=json), json=json)


@app.command(epilog=settings_help())
def export(
    run: Annotated[str, typer.Argument(help="The run: a folder, or s3://, gs://, az://.")],
    layout: Annotated[
        str,
        typer.Option(
            "--layout", help="umt: text files and <id>.jpg, as UMT, MAF and others read them; webdataset: tar files."
        ),
    ],
    to: Annotated[str, typer.Option("--to", metavar="DIR", help="Where to: a folder of its own, or a URL.")],
    words: Words = None,
    arm: Annotated[
        list[str] | None,
        typer.Option("--arm", help="A finished arm; several times for several, all of one size. Default: adaptive."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option("--size", metavar="PX", help="Pixels a side. Default: the run's own; in umt at least 256."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="umt: name of the image folder. Default: images.")] = None,
    config: Config = "default",
    json: Json = False,
) -> None:
    """Write arms of a run as other people's code reads them. Started again, it goes on where it stopped."""
    from ray_jobs import told
    from ray_jobs.export import export as job

    settings = load_settings(config, words or [])
    done = job(run, settings, layout=layout, to=to, arms=arm or ["adaptive"], size=size, name=name, quiet=json)
    told.tell_exported(done, run, to, json=json)


@app.command()
def status(run: Annotated[str, typer.Argument(help="The run.")], json: Json = False) -> None:
    """What is published, what failed, what is left."""
    from ray_jobs import told
    from ray_jobs.status import status as look

    told.tell_status(look(run), json=json)


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="The run.")],
    arm: Annotated[
        str | None, typer.Option("--arm", help="The finished arm to show. Default: adaptive, or the one there is.")
    ] = None,
    json: Json = False,
) -> None:
    """A page to look at: what came out, how theta came about, pictures, failures, curves. Made anew each time."""
    from ray_jobs import told
    from ray_jobs.report import report as job

    told.tell_reported(job(run, arm), json=json)


@app.command()
def doctor(
    source: Annotated[str, typer.Argument(help="As for `amia ingest`.")],
    images: Images = None,
    config: Config = "default",
    json: Json = False,
) -> None:
    """What is wrong with a corpus, before it costs money. Reads everything, writes nothing."""
    from amia.doctor import examine
    from amia.readers import open_corpus
    from ray_jobs import told

    diagnosis = examine(open_corpus(source, images), load_settings(config).image)
    if json:
        told.say_json(diagnosis.to_json())
    else:
        told.say(diagnosis.lines())


@app.command()
def demo(
    run: Annotated[Path, typer.Option("--run", help="Where it goes; an earlier demo there is gone on with.")] = Path(
        "runs/demo"
    ),
    posts: Annotated[int, typer.Option("--posts", min=400, help="Posts to draw.")] = 1200,
) -> None:
    """The whole story on a drawn world, offline, in minutes."""
    from ray_jobs.demo import demo as story

    story(run, posts)


def main() -> None:
    """The console script: errors that a person can act on are one message and an exit code, not a traceback."""
    with without_false_alarm(), heeding_sigterm():
        code = _run()
    sys.exit(code)


def _run() -> int:
    try:
        return int(app(standalone_mode=False) or 0)
    except typer.Exit as left:
        return left.exit_code
    except typer.Abort:
        return 130
    except Stopped as stopped:
        print(stopped, file=sys.stderr, flush=True)
        return STOPPED
    except errors.AmiaError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return next(code for kind, code in EXIT_CODES if isinstance(error, kind))
    except Exception as error:
        if (show := getattr(error, "show", None)) is None:  # click's own words about wrong usage
            raise
        show()
        return 2


def _judge(failed: int, posts: int, settings: Settings) -> None:
    if failed > settings.max_failed * posts:
        print(
            f"error: {failed:,} of {posts:,} posts failed, more than max_failed={settings.max_failed:g} allows. "
            "Everything is published with its reason; look at the cause, or raise max_failed",
            file=sys.stderr,
            flush=True,
        )
        raise typer.Exit(TOO_MANY_FAILED)
