"""Names of the files and folders of a run.

    plan.json, quarantine/*.jsonl                   how posts are grouped into shards; rows that are not posts
    index/<name>/*.bin                              hashes of the posts, for runs that come after this one
    posts/<shard>.parquet                           also embeddings/, scores/, synthesized/, synthesized_scores/
    mixture/                                        the fitted mixture and its bank
    augmented/<arm>/<shard>.parquet                 with manifest.json and README.md once the arm is complete
    models/<name>/                                  a trained recognizer, with training.json once it is complete
    predictions/<model>/<arm>/<shard>.parquet       evaluations/<model>/<arm>-<split>.json
    cells/*.json, experiments/<name>/tables.json    results and tables of experiments
    report.html                                     the report
    facts/<folder>/*.parquet                        the footers of all shards of a folder in one table
    removals/0001.json                              which posts were removed, and from which shards
    log/                                            times, hosts, errors and heartbeats of executions
    scratch/, probe/, retry/                        temporary files

Every folder that depends on settings also holds identity.json.
"""

from collections.abc import Iterable

__all__ = [
    "AUGMENTED",
    "CELLS",
    "CHECKPOINTS",
    "CURVES",
    "EMBEDDINGS",
    "EVALUATIONS",
    "EXPERIMENTS",
    "FACTS",
    "FOLDERS",
    "INDEX",
    "LOG",
    "MIXTURE",
    "MODELS",
    "PLAN_FILE",
    "POSTS",
    "PREDICTIONS",
    "PROBE",
    "QUARANTINE",
    "RAY_TRAIN",
    "REMOVALS",
    "REMOVED_IMAGES_FILE",
    "REPORT_FILE",
    "RETRY",
    "RETRY_DIR",
    "SCORES",
    "SCRATCH",
    "SYNTHESIZED",
    "SYNTHESIZED_SCORES",
    "TRAINING_FILE",
    "arm_folder",
    "identity_key",
    "manifest_key",
    "model_folder",
    "predictions_folder",
    "readme_key",
    "shard_key",
    "shard_keys",
]

POSTS = "posts"
EMBEDDINGS = "embeddings"
SCORES = "scores"
MIXTURE = "mixture"
SYNTHESIZED = "synthesized"
SYNTHESIZED_SCORES = "synthesized_scores"
AUGMENTED = "augmented"
MODELS = "models"
PREDICTIONS = "predictions"
EVALUATIONS = "evaluations"
CELLS = "cells"
EXPERIMENTS = "experiments"
QUARANTINE = "quarantine"
FACTS = "facts"
LOG = "log"
SCRATCH = "scratch"
INDEX = "index"
PROBE = "probe"
REMOVALS = "removals"
RETRY = "retry"
RETRY_DIR = f"{RETRY}/{SYNTHESIZED}"
"""Previous shards of synthesized images of which a retried run generates some images again."""

REMOVED_IMAGES_FILE = f"{SYNTHESIZED}/removed.json"
"""Record of synthesized images that were removed on purpose once all arms were mixed."""

FOLDERS = (
    *(POSTS, QUARANTINE, INDEX, EMBEDDINGS, SCORES, MIXTURE, SYNTHESIZED, SYNTHESIZED_SCORES, AUGMENTED),
    *(MODELS, PREDICTIONS, EVALUATIONS, CELLS, EXPERIMENTS, REMOVALS, RETRY, FACTS, LOG, PROBE, SCRATCH),
)
"""All folders that amia creates in a run."""

PLAN_FILE = "plan.json"
REPORT_FILE = "report.html"

CHECKPOINTS = "checkpoints"
"""Folder of a model under training: its state by epoch."""
CURVES = "tensorboard"
"""Folder of a model: one event file per epoch."""
RAY_TRAIN = "ray"
"""Folder of a model under training: the state of Ray Train."""
TRAINING_FILE = "training.json"
"""File of a model that `amia train` publishes last: a model without it is incomplete."""


def shard_key(folder: str, shard: str) -> str:
    """Return the key of a shard in a folder of the run."""
    return f"{folder}/{shard}.parquet"


def shard_keys(folder: str, shards: Iterable[str]) -> list[str]:
    """Return the keys of several shards in a folder of the run."""
    return [shard_key(folder, shard) for shard in shards]


def identity_key(folder: str) -> str:
    """Return the key of the identity of a folder."""
    return f"{folder}/identity.json"


def manifest_key(folder: str) -> str:
    """Return the key of the manifest of an arm's folder, which is published last."""
    return f"{folder}/manifest.json"


def readme_key(folder: str) -> str:
    """Return the key of the data set card of an arm's folder."""
    return f"{folder}/README.md"


def arm_folder(arm: str) -> str:
    """Return the folder of an arm's augmented posts."""
    return f"{AUGMENTED}/{arm}"


def model_folder(name: str) -> str:
    """Return the folder of a recognizer that was trained in the run."""
    return f"{MODELS}/{name}"


def predictions_folder(model: str, arm: str) -> str:
    """Return the folder of a recognizer's predictions for the posts of an arm."""
    return f"{PREDICTIONS}/{model}/{arm}"
