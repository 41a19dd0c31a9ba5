"""The losses of a run under the mixture of an arm, from the histograms in the footers of scores/."""

from amia.matching.histogram import LossHistogram
from amia.matching.model import MatchingModel
from amia.report.loss_figure import LossFigure, make_loss_figure
from ray_jobs.stages.score import histogram_counts
from ray_jobs.storage.fingerprint import read_identity
from ray_jobs.storage.layout import MIXTURE, SCORES, shard_keys
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.shards import read_all_metadata
from ray_jobs.storage.store import Store

__all__ = ["loss_figures"]


def loss_figures(store: Store, plan: Plan, frozen: MatchingModel) -> list[LossFigure]:
    """One figure a mixture: over the losses that it was fitted on, or over all of them where it was taken."""
    identity = read_identity(store, MIXTURE)
    taken = identity is not None and "taken" in identity["settings"]
    figures = []
    for name, fit in sorted(frozen.fits.items()):
        whole = taken or name not in plan.posts
        about = "all splits" if whole else name
        if taken:
            about += ", under a mixture that was fitted elsewhere"
        shards = plan.shards if whole else plan.shards_of(name)
        counts = histogram_counts(read_all_metadata(store, shard_keys(SCORES, shards)))
        if counts.any():
            figures.append(make_loss_figure(name, about, counts, LossHistogram(frozen.triplet.margin), fit))
    return figures
