"""Counts of all posts by status with consistency checks, and all failures by reason."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from amia.errors import RunError
from amia.posts import ordered_splits
from amia.report.attribution import Attribution, is_demo
from amia.report.view_models import Accounting, Breakdown, Check, FailureExample, FailureGroup
from ray_jobs.reporting.images import PostView
from ray_jobs.reporting.scan import MAX_EXAMPLES, PostKey, ScanResult
from ray_jobs.storage.arm import Arm
from ray_jobs.storage.layout import QUARANTINE
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.status import describe_status, group_by_part
from ray_jobs.storage.store import Store

__all__ = ["QuarantinedRows", "account_posts", "demo_notices", "list_failures", "read_quarantine"]

IMAGE_KINDS = {
    "0": "synthesized image only",
    "blend": "mix of both images",
    "1": "original image only",
    "none": "no image",
}
MAX_REASONS = 20
OTHER_REASONS = "other reasons"

_VARIABLE_PART = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")
"""Parts of a message that differ between rows rejected for the same reason."""


def account_posts(
    arm: Arm, plan: Plan, *, read: Counter[str], quarantined: int, models: Sequence[Attribution]
) -> Accounting:
    """Count posts by status, and compare the counts of plan, manifest and data.

    Args:
        arm: The arm to report on.
        plan: The plan of the run.
        read: Number of rows read from the arm, by split.
        quarantined: Number of rows in `quarantine/`.
        models: Models used in the run.
    """
    manifest = arm.manifest
    counts = Counter[str](manifest["counts"])
    rows, splits, kinds = int(manifest["rows"]), Counter[str](manifest["splits"]), Counter[str](manifest["ratio"])
    checks = [
        Check(description="posts in the plan = rows of the arm", expected=plan.total, actual=rows),
        Check(description="rows of the arm = rows read for this report", expected=rows, actual=read.total()),
        Check(description="sum over splits", expected=rows, actual=splits.total()),
        Check(description="sum over statuses", expected=rows, actual=counts.total()),
        Check(description="sum over kinds of images", expected=rows, actual=kinds.total()),
        Check(description="rejected rows = rows in quarantine", expected=plan.rejected, actual=quarantined),
        *(
            Check(description=f"posts of {split}, input = output", expected=plan.posts[split], actual=read[split])
            for split in ordered_splits(plan.posts)
        ),
    ]
    if plan.removal is not None:
        checks.append(
            Check(
                description="posts at ingest = rows of the arm + removed posts",
                expected=plan.ingested,
                actual=rows + sum(count for _, count in plan.removal.shards.values()),
            )
        )
    parts_of_kinds = {IMAGE_KINDS.get(kind, kind): count for kind, count in kinds.most_common()}
    return Accounting(
        posts=plan.total,
        usable=sum(count for status, count in counts.items() if status.startswith("image=ok|")),
        augmented=kinds.total() - kinds["none"],
        breakdowns=[
            Breakdown(title="Split", parts={split: splits[split] for split in ordered_splits(splits)}),
            Breakdown(title="Original image", parts=_count_by_status(counts, "image")),
            Breakdown(title="Synthesis", parts=_count_by_status(counts, "synthesis")),
            Breakdown(title="Image in this arm", parts=parts_of_kinds),
        ],
        checks=checks,
        rejected=plan.rejected,
        removed=plan.removal.total if plan.removal else 0,
        labeled=plan.labeled,
        models=models,
    )


def demo_notices(models: Sequence[Attribution]) -> list[str]:
    """Return a warning if any of the models is a demo model."""
    demo = [model.name for model in models if is_demo(model.name)]
    if not demo:
        return []
    return [
        f"Made with demo weights ({', '.join(demo)}), which are trained on a synthetic demo corpus only: scores and "
        "images are meaningless for real posts."
    ]


@dataclass(slots=True)
class QuarantinedRows:
    """Rows of the source that were rejected, by reason."""

    count: int = 0
    reasons: dict[str, tuple[int, list[FailureExample]]] = field(default_factory=dict)
    """Number of rows and first examples by reason, which has an ellipsis for its variable parts."""

    def add(self, location: str, post_id: str, reason: str) -> None:
        """Add one row."""
        self.count += 1
        key = _VARIABLE_PART.sub("…", reason)
        if key not in self.reasons and len(self.reasons) >= MAX_REASONS:
            key = OTHER_REASONS
        count, examples = self.reasons.get(key, (0, []))
        if len(examples) < MAX_EXAMPLES:
            examples = [*examples, FailureExample(location=location, id=post_id, text=reason)]
        self.reasons[key] = count + 1, examples


def read_quarantine(store: Store) -> QuarantinedRows:
    """Read all rows in `quarantine/`. Raises RunError for a line that was not written by amia."""
    rows = QuarantinedRows()
    for key in sorted(store.list(QUARANTINE)):
        for line in store.read(key).decode("utf-8", "replace").split("\n"):
            if line:
                try:
                    row = json.loads(line)
                    rows.add(str(row["where"]), str(row["id"] or ""), str(row["reason"]))
                except (ValueError, KeyError, TypeError) as error:
                    raise RunError(f"{key} in {store.address} was not written by amia: {error}") from error
    return rows


def list_failures(scan: ScanResult, views: Mapping[PostKey, PostView], rejected: QuarantinedRows) -> list[FailureGroup]:
    """Return all failures of posts, then all rejected rows, each by descending count."""
    of_posts = [
        FailureGroup(
            reason=f"posts {describe_status(status)}",
            count=sample.seen,
            examples=[
                FailureExample(
                    location=post.split, id=post.id, text=views[post.key].text, image=views[post.key].original
                )
                for post in sample.items
            ],
        )
        for status, sample in scan.failures.items()
    ]
    of_rows = [
        FailureGroup(reason=f"rejected rows: {reason}", count=count, examples=examples)
        for reason, (count, examples) in rejected.reasons.items()
    ]
    return [
        failure
        for failures in (of_posts, of_rows)
        for failure in sorted(failures, key=lambda failure: (-failure.count, failure.reason))
    ]


def _count_by_status(counts: Counter[str], part: str) -> dict[str, int]:
    return {describe_status(status): count for status, count in group_by_part(counts, part).most_common()}
