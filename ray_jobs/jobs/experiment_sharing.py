"""What the data sets of a map share: corpora that differ only in their images have equal texts and synthesized images.

Nothing that depends on these alone is computed twice.
"""

from collections.abc import Iterable, Mapping

from ray_jobs.jobs.context import RunContext
from ray_jobs.jobs.experiment_cells import Cell, CellKey, cell_key
from ray_jobs.storage.arm import COLUMNS, Arm
from ray_jobs.storage.layout import REMOVED_IMAGES_FILE, SYNTHESIZED, arm_folder
from ray_jobs.storage.removed_images import read_removed_images
from ray_jobs.storage.shards import content_sha256, read_shard

__all__ = ["share_cells", "take_over_synthesized"]


def share_cells(cells: Mapping[CellKey, Cell]) -> dict[CellKey, Cell]:
    """Replace cells of different data sets whose recognizers read the same by one of them: by a finished one, if any.

    A recognizer reads words, labels and images. The rows of two arms may differ in other columns, such as theta.
    """
    inputs: dict[str, dict[str, str]] = {}
    groups: dict[str, list[Cell]] = {}
    keys: dict[CellKey, str] = {}
    for position, cell in cells.items():
        arm = cell.training.arm
        address = f"{arm.store.address}/{arm_folder(arm.name)}"
        if address not in inputs:
            inputs[address] = _digest_inputs(arm)
        identity = {name: value for name, value in cell.training.identity.items() if name != "stage"}
        identity |= {"types": cell.training.types, "input": {"files": inputs[address]}}
        keys[position] = cell_key(cell.job, identity, cell.split)
        groups.setdefault(keys[position], []).append(cell)
    chosen = {
        key: next((cell for cell in group if not cell.missing_evaluations()), group[0]) for key, group in groups.items()
    }
    return {position: chosen[key] for position, key in keys.items()}


def take_over_synthesized(job: RunContext, others: Iterable[RunContext]) -> None:
    """Link the synthesized images of other runs with the same posts into a run, as far as it lacks them.

    They depend on texts, generator, size and seed alone. The identity is linked first: `augment` compares it with the
    settings of this run.
    """
    for other in others:
        plans = job.plan, other.plan  # shards from which posts were removed have rows of their own
        same_posts = other.plan.digest == job.plan.digest and not any(plan.removal for plan in plans)
        if same_posts and read_removed_images(job.store) is None:
            published = job.store.list(SYNTHESIZED)
            for key in sorted(other.store.list(SYNTHESIZED)):
                if key not in published and key != REMOVED_IMAGES_FILE:
                    job.store.link_from(other.store, key)


def _digest_inputs(arm: Arm) -> dict[str, str]:
    """Return a digest of what a recognizer reads, by file of the arm."""
    folder = arm_folder(arm.name)
    return {name: content_sha256(read_shard(arm.store, f"{folder}/{name}", COLUMNS)) for name in arm.content}
