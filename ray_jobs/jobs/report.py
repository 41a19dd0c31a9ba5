"""`amia report`: write one HTML page about a run, `report.html`, from published files. Does not start Ray.

The run is read in two passes. The first reads columns of all posts and keeps only what the page shows; the second reads
the images of the posts that were selected.
"""

import json
from dataclasses import dataclass

from amia.errors import RunError
from amia.experiments.when_map import read_shipped_map
from amia.images import ImageSettings
from amia.mixing.arms import needs_synthesis
from amia.report.page import render_page, section_names
from amia.report.view_models import ReportContent
from ray_jobs.jobs.context import open_run
from ray_jobs.jobs.mixture import read_matching_model
from ray_jobs.reporting.accounting import account_posts, demo_notices, list_failures, read_quarantine
from ray_jobs.reporting.images import group_posts, read_post_views, select_preview
from ray_jobs.reporting.losses import read_loss_figures
from ray_jobs.reporting.model_comparison import build_disagreements, compare_models, find_model_pairs, select_examples
from ray_jobs.reporting.models import list_attributions, read_curves, read_experiments, read_models
from ray_jobs.reporting.outlook import read_outlook
from ray_jobs.reporting.scan import scan_arm
from ray_jobs.reporting.timing import read_stage_times
from ray_jobs.storage.arm import Arm, open_arm
from ray_jobs.storage.combined import open_store
from ray_jobs.storage.fingerprint import Identity, flatten
from ray_jobs.storage.layout import AUGMENTED, PREDICTIONS, REPORT_FILE, arm_folder, manifest_key
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.removed_images import read_removed_images, removed_images_advice
from ray_jobs.storage.store import Store

__all__ = ["ReportResult", "report"]

DEFAULT_ARM = "adaptive"
ARMS_WITHOUT_AUGMENTED_IMAGES = {"original", "text"}
"""On the page of such an arm, recognizers trained on the originals are compared with those of the default arm."""
REQUIRED_KEYS = {"rows", "splits", "counts", "ratio", "files", "settings", "identity", "generator", "versions"}
"""Keys of an arm's manifest that the page shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportResult:
    """Result of `report`."""

    run: str
    key: str
    """Key of the page in the run."""
    arm: str
    posts: int
    bytes: int
    sections: list[str]
    """Anchors of the sections of the page."""
    outlook: str | None
    """Whether augmentation is likely to help, in one sentence; None without scores."""


def report(run: str, arm: str | None = None, *, with_earlier: bool = False) -> ReportResult:
    """Write the page of an arm, replacing an earlier page. Default: adaptive, else the first finished arm.

    `with_earlier`: show the posts of the runs that this one comes after, too. Raises RunError if no arm is finished, or
    if a file of the run was not written by amia.
    """
    store = open_store(run, with_earlier=with_earlier)
    plan, posts = open_run(store)
    content = _build_content(_open_arm(store, arm), plan, posts, is_default=arm is None)
    page = render_page(content).encode()
    store.replace(REPORT_FILE, page)
    return ReportResult(
        run=store.address,
        key=REPORT_FILE,
        arm=content.arm,
        posts=plan.total,
        bytes=len(page),
        sections=section_names(content),
        outlook=content.outlook.summary if content.outlook else None,
    )


def _build_content(arm: Arm, plan: Plan, posts: Identity, *, is_default: bool) -> ReportContent:
    """Collect the content of the page. `is_default`: no arm was requested by name."""
    store, manifest = arm.store, arm.manifest
    model = read_matching_model(store) if manifest["identity"]["input"].get("scores") else None
    encoder = model.encoder["encoder"] if model else None
    when = read_shipped_map()
    scan, rejected = scan_arm(arm, plan.seed), read_quarantine(store)
    recognizers = read_models(store)
    compared_arm = DEFAULT_ARM if arm.name in ARMS_WITHOUT_AUGMENTED_IMAGES else arm.name
    # The examples show the images of that arm, which may have been removed after the recognizers were trained.
    is_finished = compared_arm in _finished_arms(store)
    pairs = find_model_pairs(recognizers, compared_arm, set(store.list(PREDICTIONS))) if is_finished else []
    comparisons = [result for pair in pairs if (result := compare_models(store, plan, pair, plan.seed)) is not None]
    images = ImageSettings(**{**manifest["settings"]["image"], **posts["settings"]["image"]})
    views = read_post_views(arm, plan.types, images, scan.selected_posts())
    examples = [compared.post for posts in select_examples(comparisons) for compared in posts]
    example_views = read_post_views(open_arm(store, compared_arm), plan.types, images, examples) if examples else {}
    models = list_attributions(arm, encoder, recognizers)
    page_notices = demo_notices(models)
    if is_default and arm.name != DEFAULT_ARM:
        page_notices.append(f"This page shows arm {arm.name}: arm {DEFAULT_ARM} is not finished in this run.")
    if needs_synthesis(arm.name) and read_removed_images(store) is not None:
        page_notices.append(
            "The synthesized images alone were removed once all arms were mixed, so this page shows none. "
            f"{removed_images_advice(store, arm.name)} makes the same ones again."
        )
    return ReportContent(
        run=store.address,
        arm=arm.name,
        notices=page_notices,
        accounting=account_posts(arm, plan, read=scan.splits, quarantined=rejected.count, models=models),
        losses=read_loss_figures(store, plan, model) if model else (),
        thetas=scan.thetas.histograms(),
        thetas_synthesized=scan.thetas_synthesized.histograms(),
        outlook=read_outlook(store, plan, model, manifest["settings"], when) if model else None,
        map=when,
        groups=group_posts(scan, views),
        preview=select_preview(scan, views),
        failures=list_failures(scan, views, rejected),
        stages=read_stage_times(store),
        experiments=read_experiments(store),
        curves=read_curves(store, recognizers),
        disagreements=build_disagreements(compared_arm, comparisons, example_views),
        settings={name: json.dumps(value, ensure_ascii=False) for name, value in flatten(manifest["settings"])},
        versions=manifest["versions"],
        identity=json.dumps(manifest["identity"], indent=2, sort_keys=True, ensure_ascii=False),
    )


def _open_arm(store: Store, name: str | None) -> Arm:
    """Open the arm, or the default one for None. Raises RunError if its manifest was not written by amia."""
    if name is None:
        finished = _finished_arms(store)
        name = DEFAULT_ARM if DEFAULT_ARM in finished else min(finished, default=DEFAULT_ARM)
    arm = open_arm(store, name)
    if missing := sorted(REQUIRED_KEYS - arm.manifest.keys()):
        manifest = manifest_key(arm_folder(name))
        raise RunError(f"{manifest} in {store.address} lacks {missing[0]!r}: it was not written by amia")
    return arm


def _finished_arms(store: Store) -> list[str]:
    keys = store.list(AUGMENTED)
    return [key.split("/")[1] for key in keys if key.count("/") == 2 and key.endswith("/manifest.json")]
