"""A changed setting is refused by the stages that depend on it, with the difference, and by no other stage."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from amia.errors import IdentityError
from ray_jobs.jobs.augment import augment
from ray_jobs.jobs.evaluate import evaluate
from ray_jobs.jobs.ingest import ingest
from ray_jobs.jobs.train import train
from ray_jobs.settings.job import Settings
from ray_jobs.stages.embed import Embed
from ray_jobs.stages.fetch import Fetch
from ray_jobs.stages.mix import Mix
from ray_jobs.stages.predict import Predict
from ray_jobs.stages.score import Score
from ray_jobs.stages.synthesize import Synthesize
from tests.helpers.drivers import file_stamps

ARMS = ("adaptive", "original")


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    ("override", "folder", "difference"),
    [
        ("clip.micro_batch=32", "embeddings", "settings.clip.micro_batch: 64 in the run, 32 now"),
        ("pools.embed.threads=3", "embeddings", "settings.threads: "),
        ("triplet.bank=32", "mixture", "settings.bank: 4096 in the run, 32 now"),
        ("triplet.margin=0.2", "scores", "settings.margin: "),
        ("triplet.hardest_of=16", "scores", "settings.hardest_of: "),
        ("mixture.converged=true", "mixture", "settings.mixture.converged: false in the run, true now"),
        ("generator.steps=2", "synthesized", "settings.generator.steps: 1 in the run, 2 now"),
        ("generator.micro_batch=2", "synthesized", "settings.generator.micro_batch: "),
        ("generator.redraws=0", "synthesized", "settings.generator.redraws: "),
        ("seed=1", "synthesized", "settings.seed: 0 in the run, 1 now"),
        ("image.size=48", "synthesized", "settings.image.size: "),
        ("image.quality=50", "synthesized", "settings.image.quality: "),
        ("image.fit=stretch", "augmented/adaptive", "settings.image.fit: "),
    ],
)
def test_augment_refuses_changed_settings(
    augmented: Path, small: Callable[..., Settings], override: str, folder: str, difference: str
) -> None:
    before = file_stamps(augmented)
    with pytest.raises(IdentityError) as raised:
        augment(str(augmented), small(override), arms=ARMS, accept_mixture=True, quiet=True)
    assert str(raised.value).startswith(f"{folder}/ in {augmented} was made with other settings or input:\n")
    assert difference in str(raised.value)
    assert file_stamps(augmented) == before


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    "override",
    [
        "pools.synthesize.lease=1",
        "pools.mix.max=2",
        "max_failed=0.5",
        "wait_for_gpus_s=5",
        "bucket_mb=1",
        "training.epochs=3",
        "prediction.micro_batch=3",
        "image.max_side=5000",  # images that ingest accepted stay accepted
    ],
)
def test_augment_accepts_unrelated_changes(augmented: Path, small: Callable[..., Settings], override: str) -> None:
    before = file_stamps(augmented)
    augment(str(augmented), small(override), arms=ARMS, accept_mixture=True, quiet=True)
    assert file_stamps(augmented) == before


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    ("stage", "folder"), [(Embed, "embeddings"), (Score, "scores"), (Synthesize, "synthesized"), (Mix, "augmented/")]
)
def test_augment_refuses_another_stage_version(
    augmented: Path, small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, stage: type, folder: str
) -> None:
    monkeypatch.setattr(stage, "version", stage.version + 1)
    with pytest.raises(IdentityError, match=rf"^{folder}.*\n  version: {stage.version - 1} in the run, ") as raised:
        augment(str(augmented), small(), arms=ARMS, accept_mixture=True, quiet=True)
    assert str(raised.value).count(" in the run, ") == 1, "only the version has changed"


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("per_shard=8", "per_shard: 12 in the run, 8 now"),
        ("seed=1", "seed: 0 in the run, 1 now"),
        ("image.max_side=50", "settings.image.max_side: "),
    ],
)
def test_ingest_refuses_changed_settings(
    ingested: Path, corpus: Path, small: Callable[..., Settings], override: str, difference: str
) -> None:
    before = file_stamps(ingested)
    with pytest.raises(IdentityError, match=difference):
        ingest(str(corpus), str(ingested), small("max_failed=1", override), quiet=True)
    assert file_stamps(ingested) == before


def test_ingest_refuses_another_stage_version(
    ingested: Path, corpus: Path, small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fetch, "version", Fetch.version + 1)
    with pytest.raises(IdentityError, match=r"^posts/ in .*\n  version: "):
        ingest(str(corpus), str(ingested), small("max_failed=1"), quiet=True)


@pytest.mark.promise(7)
@pytest.mark.usefixtures("in_this_process")
def test_predictions_depend_on_model_arm_and_micro_batch(
    augmented: Path,
    copied: Callable[..., Path],
    small: Callable[..., Settings],
    tiny: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = copied(augmented)
    arguments = {"model": str(tiny), "arm": "original", "split": "test", "quiet": True}
    device = ("prediction.device=cpu", "pools.predict.gpus=0")
    first = evaluate(str(run), small(*device), **arguments)
    assert evaluate(str(run), small(*device, "pools.predict.lease=1", "generator.steps=3"), **arguments) == first
    with pytest.raises(IdentityError, match=r"^predictions/tiny/original/ in .*\n  settings\.micro_batch: 64 in the"):
        evaluate(str(run), small(*device, "prediction.micro_batch=3"), **arguments)
    monkeypatch.setattr(Predict, "version", Predict.version + 1)
    with pytest.raises(IdentityError, match=r"^predictions/tiny/original/ in .*\n  version: "):
        evaluate(str(run), small(*device), **arguments)


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("training.seed=7", "settings.training.seed: 0 in the run, 7 now"),
        ("training.epochs=5", "settings.training.epochs: "),
        ("recognizer.dropout=0.2", "settings.recognizer.dropout: "),
    ],
)
def test_train_refuses_changed_settings(
    augmented: Path,
    copied: Callable[..., Path],
    small: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    override: str,
    difference: str,
) -> None:
    run = copied(augmented)
    monkeypatch.setattr("ray_jobs.jobs.train.train_with_workers", lambda *_: None)  # stops after writing the identity
    overrides: Sequence[str] = ("training.epochs=2", "workers.gpus=0")
    with pytest.raises(Exception, match="is not finished"):
        train(str(run), small(*overrides), system="bilstm-crf", arm="original", name="one", quiet=True)
    with pytest.raises(IdentityError, match=difference):
        train(str(run), small(*overrides, override), system="bilstm-crf", arm="original", name="one", quiet=True)
