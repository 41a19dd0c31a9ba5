"""Figures of the losses of a run, from the histograms in the footers of `scores/`."""

from amia.matching.histogram import LossHistogram
from amia.matching.model import MatchingModel
from amia.report.loss_figure import LossFigure, make_loss_figure
from ray_jobs.stages.score import histogram_counts
from ray_jobs.storage.facts import ShardFacts
from ray_jobs.storage.fingerprint import read_identity
from ray_jobs.storage.layout import MIXTURE, SCORES
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store

__all__ = ["read_loss_figures"]


def read_loss_figures(store: Store, plan: Plan, model: MatchingModel) -> list[LossFigure]:
    """Return one figure per mixture: of the losses that it was fitted to, or of all losses if it was imported."""
    identity = read_identity(store, MIXTURE)
    is_imported = identity is not None and "taken" in identity["settings"]
    facts = ShardFacts(store, plan)
    figures = []
    for name, fit in sorted(model.fits.items()):
        all_splits = is_imported or name not in plan.posts
        about = "all splits" if all_splits else name
        if is_imported:
            about += ", with a mixture fitted on other posts"
        shards = plan.shards if all_splits else plan.shards_of(name)
        counts = histogram_counts(facts.metadata(SCORES, shards))
        if counts.any():
            figures.append(make_loss_figure(name, about, counts, LossHistogram(model.triplet.margin), fit))
    return figures
