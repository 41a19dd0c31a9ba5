"""`amia report`: one page about a run, `report.html`, from what the run has published. Starts no Ray.

Two looks: at the columns of every post, with memory for what is shown alone; then at the images of the chosen ones.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amia.errors import RunError
from amia.images import ImageSettings
from amia.matching.triplet import TripletSettings
from amia.report.page import render, sections_of
from amia.report.view_models import ReportContent
from ray_jobs.jobs.context import open_run
from ray_jobs.jobs.mixture import read_matching_model
from ray_jobs.jobs.score_variants import variant_of
from ray_jobs.reporting.accounting import account, failures, notices, quarantined
from ray_jobs.reporting.attribution import models_used
from ray_jobs.reporting.images import read_post_views
from ray_jobs.reporting.losses import loss_figures
from ray_jobs.reporting.model_comparison import chosen, compare, disagreements, pairs_of
from ray_jobs.reporting.scan import scan_arm
from ray_jobs.reporting.select import groups, places, strip
from ray_jobs.reporting.timing import stage_times
from ray_jobs.reporting.training import curves, experiments, trained
from ray_jobs.storage.arm import Arm, open_arm
from ray_jobs.storage.fingerprint import Identity
from ray_jobs.storage.layout import AUGMENTED, PREDICTIONS, REPORT_FILE
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store

__all__ = ["KEY", "ReportResult", "report"]

KEY = REPORT_FILE
DEFAULT_ARM = "adaptive"
WITHOUT_AUGMENTED = {"original", "text"}
"""Arms without augmented images: recognizers on the originals are compared with those on the default arm then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportResult:
    """What came out."""

    run: str
    key: str
    """Of the page in the run."""
    arm: str
    posts: int
    bytes: int
    sections: list[str]
    """What the page shows, by anchor."""


def report(run: str, arm: str | None = None) -> ReportResult:
    """Write the page of an arm (None: adaptive, or the first that is finished), in place of an earlier one.

    Raises RunError when no arm is finished, or something in the run was not written by amia.
    """
    store = Store(run)
    plan, posts = open_run(store)
    content = _content(_arm(store, arm), plan, posts, asked=arm)
    page = render(content).encode()
    store.replace(KEY, page)
    return ReportResult(
        run=store.address,
        key=KEY,
        arm=content.arm,
        posts=plan.total,
        bytes=len(page),
        sections=sections_of(content),
    )


def _content(arm: Arm, plan: Plan, posts: Identity, *, asked: str | None) -> ReportContent:
    store, manifest = arm.store, arm.manifest
    measure = variant_of(arm.name, TripletSettings(**manifest["settings"]["triplet"]))
    frozen = read_matching_model(store, measure.mixture) if manifest["identity"]["input"].get("scores") else None
    encoder = frozen.encoder["encoder"] if frozen else None
    looked, rejected = scan_arm(arm, plan.seed), quarantined(store)
    models = trained(store)
    other = DEFAULT_ARM if arm.name in WITHOUT_AUGMENTED else arm.name
    # Cases are shown with that arm's images, which may have been removed since the recognizers learned from them.
    pairs = pairs_of(models, other, set(store.list(PREDICTIONS))) if other in _finished(store) else []
    compared = [done for pair in pairs if (done := compare(store, plan, pair, plan.seed)) is not None]
    images = ImageSettings(**{**manifest["settings"]["image"], **posts["settings"]["image"]})
    pictures = read_post_views(arm, plan.types, images, places(looked))
    cases = [case.place for some in chosen(compared) for case in some]
    of_cases = read_post_views(open_arm(store, other), plan.types, images, cases) if cases else {}
    used = models_used(arm, encoder, models)
    said = notices(used)
    if asked is None and arm.name != DEFAULT_ARM:
        said.append(f"This is arm {arm.name}: no arm {DEFAULT_ARM} is finished in this run.")
    return ReportContent(
        run=store.address,
        arm=arm.name,
        notices=said,
        accounting=account(arm, plan, read=looked.splits, quarantined=rejected.count, models=used),
        losses=loss_figures(store, plan, measure, frozen) if frozen else (),
        thetas=looked.split_thetas(),
        groups=groups(looked, pictures),
        strip=strip(looked, pictures),
        failures=failures(looked, pictures, rejected),
        stages=stage_times(store),
        experiments=experiments(store),
        curves=curves(store, models),
        disagreements=disagreements(other, compared, of_cases),
        settings=dict(_leaves(manifest["settings"])),
        versions=manifest["versions"],
        identity=json.dumps(manifest["identity"], indent=2, sort_keys=True, ensure_ascii=False),
    )


def _arm(store: Store, asked: str | None) -> Arm:
    """The arm asked for, or the one to show where none was."""
    finished = _finished(store)
    name = asked or (DEFAULT_ARM if DEFAULT_ARM in finished else min(finished, default=DEFAULT_ARM))
    arm = open_arm(store, name)
    wanted = {"rows", "splits", "counts", "ratio", "files", "settings", "identity", "generator", "versions"}
    if missing := sorted(wanted - arm.manifest.keys()):
        raise RunError(f"augmented/{name}/manifest.json in {store.address} lacks {missing[0]!r}: not written by amia")
    return arm


def _finished(store: Store) -> list[str]:
    keys = store.list(AUGMENTED)
    return [key.split("/")[1] for key in keys if key.count("/") == 2 and key.endswith("/manifest.json")]


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found += _leaves(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, json.dumps(value, ensure_ascii=False)))
    return found
