"""From a corpus to augmented images."""

from typing import Annotated

import typer

from ray_jobs.commands.options import Config, Images, Json, Run, Words, judge
from ray_jobs.settings.job import load_settings

__all__ = ["augment", "doctor", "ingest"]


def doctor(
    source: Annotated[str, typer.Argument(help="As for `amia ingest`.")],
    images: Images = None,
    config: Config = "default",
    json: Json = False,
) -> None:
    """What is wrong with a corpus, before it costs money. Reads everything, writes nothing."""
    from amia.doctor import examine, lines_of
    from amia.readers import open_corpus
    from ray_jobs.telling.lines import say, say_json

    diagnosis = examine(open_corpus(source, images), load_settings(config).image)
    if json:
        say_json(diagnosis.to_json())
    else:
        say(lines_of(diagnosis))


def ingest(
    source: Annotated[str, typer.Argument(help="CoNLL folder, *.jsonl, *.parquet, *.tar, or a Hugging Face data set.")],
    run: Run,
    words: Words = None,
    images: Images = None,
    config: Config = "default",
    json: Json = False,
) -> None:
    """Read a corpus into immutable shards of posts. Started again, it goes on where it stopped."""
    from ray_jobs.jobs.ingest import ingest as job
    from ray_jobs.telling.corpus import tell_ingested
    from ray_jobs.telling.lines import say_json

    settings = load_settings(config, words or [])
    done = job(source, run, settings, images=images, quiet=json)
    if json:
        say_json({"posts": done.plan.posts, "rejected": done.plan.rejected, "counts": dict(done.counts), "run": run})
    else:
        tell_ingested(done, run)
    judge(sum(count for status, count in done.counts.items() if "(" in status), done.plan.total, settings)


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
    from ray_jobs.telling.corpus import tell_augmented, tell_planned
    from ray_jobs.telling.lines import say_json

    settings = load_settings(config, words or [])
    arms = arm or ["adaptive"]
    if dry_run:
        from ray_jobs.jobs.execution_plan import plan_augment

        steps = plan_augment(run, settings, arms, mixture=mixture, accept_mixture=accept_mixture)
        tell_planned(steps, settings, json=json)
        return
    from ray_jobs.jobs.augment import augment as job

    done = job(run, settings, arms=arms, mixture=mixture, accept_mixture=accept_mixture, quiet=json)
    if json:
        say_json(
            {
                "posts": done.posts,
                "counts": {arm: dict(each) for arm, each in done.counts.items()},
                "manifests": done.manifests,
                "run": run,
            }
        )
    else:
        tell_augmented(done, run)
    judge(done.failed, done.posts, settings)
