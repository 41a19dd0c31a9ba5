"""Every post that went in, by what became of it, with the sums checked."""

from collections import Counter
from collections.abc import Sequence

from amia.posts import ordered_splits
from amia.report.view_models import Accounting, Breakdown, Check
from amia.report.attribution import Credit
from amia.report.attribution import is_demo
from ray_jobs.storage.plan import Plan
from ray_jobs.telling.statuses import by_part, why
from ray_jobs.storage.arm import Arm

__all__ = ["account", "notices"]

RATIOS = {
    "0": "the synthesized image alone",
    "blend": "a blend of both",
    "1": "the original alone",
    "none": "no picture",
}


def account(arm: Arm, plan: Plan, *, read: Counter[str], quarantined: int, models: Sequence[Credit]) -> Accounting:
    """`read`: rows that were read of the arm, by split; `quarantined`: lines in quarantine/."""
    manifest = arm.manifest
    counts = Counter[str](manifest["counts"])
    rows, splits, ratios = int(manifest["rows"]), Counter[str](manifest["splits"]), Counter[str](manifest["ratio"])
    checks = [
        Check(what="posts in the plan, and rows of the arm", left=plan.total, right=rows),
        Check(what="rows of the arm, and rows read for this report", left=rows, right=read.total()),
        Check(what="splits add up", left=rows, right=splits.total()),
        Check(what="statuses add up", left=rows, right=counts.total()),
        Check(what="kinds of pictures add up", left=rows, right=ratios.total()),
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
            Breakdown(
                title="Picture in this arm", parts={RATIOS.get(kind, kind): n for kind, n in ratios.most_common()}
            ),
        ],
        checks=checks,
        rejected=plan.rejected,
        labelled=plan.labelled,
        models=models,
    )


def notices(models: Sequence[Credit]) -> list[str]:
    """What a reader must know before any figure."""
    demo = [model.name for model in models if is_demo(model.name)]
    if not demo:
        return []
    return [
        f"Made with the demo's tiny weights ({', '.join(demo)}): they know the drawn world and nothing else, so "
        "figures and pictures say nothing of real posts."
    ]


def _by_status(counts: Counter[str], part: str) -> dict[str, int]:
    return {why(status): count for status, count in by_part(counts, part).most_common()}
