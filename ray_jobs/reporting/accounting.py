"""Every post that went in, by what became of it, with the sums checked."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from amia.errors import RunError
from amia.posts import ordered_splits
from amia.report.attribution import Attribution, is_demo
from amia.report.view_models import Accounting, Breakdown, Check, Example, Failure
from ray_jobs.reporting.images import PostView
from ray_jobs.reporting.scan import EXAMPLES, ScanResult
from ray_jobs.storage.arm import Arm
from ray_jobs.storage.layout import QUARANTINE
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.status import describe_status, group_by_part
from ray_jobs.storage.store import Store

__all__ = ["Quarantined", "account", "failures", "notices", "quarantined"]

# MERGED FROM ray_jobs.reporting.accounting: What could not be done, by reason: posts by their statuses, and rows of the source that are no posts.
RATIOS = {
    "0": "the synthesized image alone",
    "blend": "a blend of both",
    "1": "the original alone",
    "none": "no image",
}


def account(arm: Arm, plan: Plan, *, read: Counter[str], quarantined: int, models: Sequence[Attribution]) -> Accounting:
    """`read`: rows that were read of the arm, by split; `quarantined`: lines in quarantine/."""
    manifest = arm.manifest
    counts = Counter[str](manifest["counts"])
    rows, splits, ratios = int(manifest["rows"]), Counter[str](manifest["splits"]), Counter[str](manifest["ratio"])
    checks = [
        Check(what="posts in the plan, and rows of the arm", left=plan.total, right=rows),
        Check(what="rows of the arm, and rows read for this report", left=rows, right=read.total()),
        Check(what="splits add up", left=rows, right=splits.total()),
        Check(what="statuses add up", left=rows, right=counts.total()),
        Check(what="kinds of images add up", left=rows, right=ratios.total()),
        Check(what="rows that were no posts, and rows in quarantine", left=plan.rejected, right=quarantined),
        *(
            Check(what=f"posts of {split} in, and out", left=posts, right=read[split])
            for split, posts in ((split, plan.posts[split]) for split in ordered_splits(plan.posts))
        ),
    ]
    return Accounting(
        posts=plan.total,
        usable=sum(count for status, count in counts.items() if status.startswith("image=ok|")),
        pictured=ratios.total() - ratios["none"],
        breakdowns=[
            Breakdown(title="Split", parts={split: splits[split] for split in ordered_splits(splits)}),
            Breakdown(title="Image", parts=_by_status(counts, "image")),
            Breakdown(title="Synthesis", parts=_by_status(counts, "synthesis")),
            Breakdown(title="Image in this arm", parts={RATIOS.get(kind, kind): n for kind, n in ratios.most_common()}),
        ],
        checks=checks,
        rejected=plan.rejected,
        labeled=plan.labeled,
        models=models,
    )


def notices(models: Sequence[Attribution]) -> list[str]:
    """What a reader must know before any figure."""
    demo = [model.name for model in models if is_demo(model.name)]
    if not demo:
        return []
    return [
        f"Made with the demo's tiny weights ({', '.join(demo)}): they know the drawn world and nothing else, so "
        "figures and images say nothing of real posts."
    ]


def _by_status(counts: Counter[str], part: str) -> dict[str, int]:
    return {describe_status(status): count for status, count in group_by_part(counts, part).most_common()}


MOST_KINDS = 20
OTHER = "other reasons"

_PARTICULAR = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")
"""What differs between two rows that are rejected for the same reason."""


@dataclass(slots=True)
class Quarantined:
    """The rows that ingest refused."""

    count: int = 0
    kinds: dict[str, tuple[int, list[Example]]] = field(default_factory=dict)
    """By reason: how many, and the first of them."""

    def take(self, where: str, post_id: str, reason: str) -> None:
        """One row."""
        self.count += 1
        kind = _PARTICULAR.sub("…", reason)
        if kind not in self.kinds and len(self.kinds) >= MOST_KINDS:
            kind = OTHER
        count, examples = self.kinds.get(kind, (0, []))
        if len(examples) < EXAMPLES:
            examples = [*examples, Example(where=where, id=post_id, text=reason)]
        self.kinds[kind] = count + 1, examples


def quarantined(store: Store) -> Quarantined:
    """Everything in quarantine/. Raises RunError when a line there is not ours."""
    found = Quarantined()
    for key in sorted(store.list(QUARANTINE)):
        for line in store.read(key).decode("utf-8", "replace").split("\n"):
            if line:
                try:
                    row = json.loads(line)
                    found.take(str(row["where"]), str(row["id"] or ""), str(row["reason"]))
                except (ValueError, KeyError, TypeError) as error:
                    raise RunError(f"{key} in {store.address} was not written by amia: {error}") from error
    return found


def failures(looked: ScanResult, pictures: Mapping[tuple[str, int], PostView], rows: Quarantined) -> list[Failure]:
    """All reasons, the most frequent first; rows that are no posts after the posts."""
    of_posts = [
        Failure(
            reason=f"posts {describe_status(status)}",
            count=some.seen,
            examples=[
                Example(
                    where=place.split,
                    id=place.id,
                    text=pictures[place.key].text,
                    picture=pictures[place.key].original,
                )
                for place in some.items
            ],
        )
        for status, some in looked.failures.items()
    ]
    of_rows = [
        Failure(reason=f"rows that are no posts: {kind}", count=count, examples=examples)
        for kind, (count, examples) in rows.kinds.items()
    ]
    return [each for some in (of_posts, of_rows) for each in sorted(some, key=lambda one: (-one.count, one.reason))]
