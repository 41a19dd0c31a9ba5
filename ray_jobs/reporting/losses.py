"""The losses of a run under the mixture of an arm, from the histograms in the footers of scores/."""

from collections.abc import Sequence

import numpy as np

from amia.matching.histogram import BINS, LossHistogram
from amia.matching.model import MatchingModel
from amia.report.loss_figure import LossFigure, loss_figure
from ray_jobs.jobs.score_variants import ScoreVariant
from ray_jobs.storage.fingerprint import read_identity
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_all_metadata
from ray_jobs.storage.store import Store

__all__ = ["loss_figures"]


def loss_figures(store: Store, plan: Plan, measure: ScoreVariant, frozen: MatchingModel) -> list[LossFigure]:
    """One figure a mixture: over the losses that it was fitted on, or over all of them where it was taken."""
    identity = read_identity(store, measure.mixture)
    taken = identity is not None and "taken" in identity["settings"]
    figures = []
    for name, fit in sorted(frozen.fits.items()):
        whole = taken or name not in plan.posts
        about = "all splits" if whole else name
        if taken:
            about += ", under a mixture that was fitted elsewhere"
        shards = plan.shards if whole else plan.shards_of(name)
        counts = _counts(store, [f"{measure.scores}/{shard}.parquet" for shard in shards])
        if counts.any():
            figures.append(loss_figure(name, about, counts, LossHistogram(frozen.triplet.margin), fit))
    return figures


def _counts(store: Store, keys: Sequence[str]) -> np.ndarray:
    counts = np.zeros(BINS, np.int64)
    for each in read_all_metadata(store, keys):
        counts[each.extra["histogram"]["bins"]] += each.extra["histogram"]["counts"]
    return counts
