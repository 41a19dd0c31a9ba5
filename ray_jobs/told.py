"""What the command line says of a finished job: to people in lines, to machines as one JSON object."""

import json as json_text
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ray_jobs.settings import Settings
from ray_jobs.terminal import console

if TYPE_CHECKING:  # types alone: `amia status` waits for neither Ray nor torch
    from amia.exporting.summary import Summary
    from ray_jobs.augment import Augmented
    from ray_jobs.dry_run import Planned
    from ray_jobs.evaluate import Evaluation
    from ray_jobs.experiment import Experimented
    from ray_jobs.fetch import Fetched
    from ray_jobs.ingest import Ingested
    from ray_jobs.predict import Predicted
    from ray_jobs.recognise import Recognised
    from ray_jobs.report import Reported
    from ray_jobs.train import Trained

__all__ = [
    "aligned",
    "by_part",
    "say",
    "say_json",
    "tell_augmented",
    "tell_ingested",
    "tell_planned",
    "tell_reported",
    "tell_trained",
    "why",
]

REASONS = {
    "image=ok": "with a usable image",
    "image=no_image": "without an image",
    "synthesis=ok": "with a synthesized image",
    "synthesis=no_prompt": "whose text is no prompt",
    "synthesis=not_asked": "not synthesized: no arm asked for it",
}


def tell_ingested(done: "Ingested", run: str) -> None:
    """Posts by split and image status, what was rejected and repaired."""
    plan = done.plan
    splits = ", ".join(f"{count:,} {split}" for split, count in sorted(plan.posts.items()))
    console.print(f"{plan.total:,} posts ({splits}) in {len(plan.shards):,} shards of {run}")
    for status, count in sorted(done.counts.items()):
        console.print(f"  {count:>9,} {why(status)}")
    if plan.rejected:
        console.print(f"  {plan.rejected:>9,} rows were no posts: {run}/quarantine says which and why")
    if plan.repaired:
        console.print(f"  {plan.repaired:>9,} orphan I- tags became B- in ner_tags (tags stays as read)")


def tell_augmented(done: "Augmented", run: str) -> None:
    """The accounting: every post that went in, by what became of its two pictures."""
    for arm, counts in done.counts.items():
        console.print(f"{arm}: {done.posts:,} posts in, {counts.total():,} out -> {run}/augmented/{arm}")
        for part in ("image", "synthesis"):
            for status, count in sorted(by_part(counts, part).items(), key=lambda item: -item[1]):
                console.print(f"  {count:>9,} {why(status)}")


def tell_fetched(done: Sequence["Fetched"], *, json: bool) -> None:
    """Each model's role, what it is, and where its files lie."""
    if json:
        say_json({each.role: {"identity": each.identity, "folder": str(each.folder)} for each in done})
        return
    for each in done:
        console.print(f"{each.role}: {each.identity} -> {each.folder}")


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
    from amia.mner.slices import slice_lines

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


def tell_exported(done: "Summary", run: str, to: str, *, json: bool) -> None:
    """Posts by arm, and what was left out or changed on the way."""
    if json:
        say_json({"run": run, "to": to, **done.to_json()})
        return
    for arm, each in done.arms.items():
        splits = ", ".join(f"{count:,} {split}" for split, count in sorted(each.posts.items()))
        console.print(f"{arm}: {each.total:,} posts ({splits}) -> {to}/{arm}")
        for count, said in (
            (each.without_image, "without an image in this arm"),
            (each.untagged, "left out: they have no tags"),
            (each.renamed, "renamed: their ids are no file names"),
        ):
            if count:
                console.print(f"  {count:>9,} {said}")
    console.print(f"images of {done.size} x {done.size}; {to}/README.md says what public code needs")


def tell_planned(steps: Sequence["Planned"], settings: Settings, *, json: bool) -> None:
    """The executions of a dry run, what each still has to do, and what its actors ask for."""
    if json:
        say_json({"steps": [{**asdict(step), "pool": step.pool.model_dump()} for step in steps]})
        return
    rows = [["stage", "shards", "posts", "MB", "actors", "CPUs", "GPUs", "lease"]]
    for step in steps:
        pool = step.pool
        actors = f"{pool.min}-{pool.max}" if pool.max > pool.min else str(pool.max)
        left = [f"{step.shards:,}", f"{step.posts:,}", f"{step.megabytes:,.1f}"]
        rows.append(
            [f"{step.execution} {step.stage}", *left, actors, f"{pool.cpus:g}", f"{pool.gpus:g}", str(pool.lease)]
        )
    say(aligned(rows))
    say(
        [
            "Left to do: shards, posts, MB to write (estimated). Actors: CPUs and GPUs of each, shards a lease.",
            "Stages of one number stream side by side; before the next number, every shard of it is published.",
            "On a machine of its own without a GPU, GPUs count as 0.",
            f"encoder {settings.clip.model}, generator {settings.generator.model}, {settings.image.size} px",
        ]
    )


def tell_reported(done: "Reported", *, json: bool) -> None:
    """Where the page stands, and what is on it."""
    if json:
        say_json(asdict(done))
        return
    console.print(f"arm {done.arm}, {done.posts:,} posts: {', '.join(done.sections)} ({done.bytes / 1e6:,.1f} MB)")
    console.print(f"-> {done.run}/{done.key}")


def say(lines: Sequence[str]) -> None:
    """Plain lines."""
    for line in lines:
        console.print(line)


def why(status: str) -> str:
    """A status in words: `image=bad_image(truncated)` -> `with a broken image (truncated)`."""
    if status in REASONS:
        return REASONS[status]
    reason = status.partition("(")[2].rstrip(")")
    return f"with a broken image ({reason})" if status.startswith("image") else f"whose synthesis failed ({reason})"


def by_part(counts: Counter[str], part: str) -> Counter[str]:
    """Posts by one `part` of their pair of statuses, `image` or `synthesis`, from counts of a footer."""
    total: Counter[str] = Counter()
    for pair, count in counts.items():
        total[next(each for each in pair.split("|") if each.startswith(part))] += count
    return total


def say_json(about: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    print(json_text.dumps(about, ensure_ascii=False, sort_keys=True))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with their cells under each other, the first to the left; never squeezed to a terminal's width."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
