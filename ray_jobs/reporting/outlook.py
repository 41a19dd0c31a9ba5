"""The outlook of a run: whether augmentation is likely to help, from its scores and the map that ships with amia."""

from typing import Any

from amia.experiments.match_shares import sum_shares
from amia.experiments.outlook import FitInfo, Outlook, make_outlook
from amia.experiments.when_map import WhenMap
from amia.matching.model import MatchingModel
from ray_jobs.reporting.match_shares import read_match_shares
from ray_jobs.storage.fingerprint import read_identity
from ray_jobs.storage.layout import MIXTURE
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store

__all__ = ["read_outlook"]


def read_outlook(
    store: Store, plan: Plan, model: MatchingModel, settings: dict[str, Any], when: WhenMap | None
) -> Outlook | None:
    """Return the outlook on a map; None if no split has all of its scores. `settings`: those of an arm of the run."""
    shares = read_match_shares(store, plan, model)
    if not shares:
        return None
    identity = read_identity(store, MIXTURE) or {}
    reasons = [fit.rejection_reason for fit in model.fits.values() if fit.rejection_reason]
    fit = FitInfo(
        images=sum(shares[split].original.total for split in plan.fit_splits() if split in shares),
        min_images=int(settings["mixture"]["min_losses"]),
        rejection_reason=reasons[0] if reasons else None,
        is_borrowed="taken" in identity.get("settings", {}),
    )
    command = f"amia augment --run {store.address} --arm two-sided"
    return make_outlook(when, shares, sum_shares(shares.values()), fit, command)
