"""Each setting belongs to the stages that depend on it: changed, their folders refuse it, and say the difference."""

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
    ("word", "folder", "difference"),
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
def test_augment_refuses_what_was_made_otherwise_and_touches_nothing(
    augmented: Path, small: Callable[..., Settings], word: str, folder: str, difference: str
) -> None:
    before = file_stamps(augmented)
    with pytest.raises(IdentityError) as raised:
        augment(str(augmented), small(word), arms=ARMS, accept_mixture=True, quiet=True)
    assert str(raised.value).startswith(f"{folder}/ in {augmented} was made with other settings or input:\n")
    assert difference in str(raised.value)
    assert file_stamps(augmented) == before


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    "word",
    [
        "pools.synthesize.lease=1",
        "pools.mix.max=2",
        "max_failed=0.5",
        "wait_for_gpus_s=5",
        "bucket_mb=1",
        "training.epochs=3",
        "prediction.micro_batch=3",
        "image.max_side=5000",  # what ingest let in stays in
    ],
)
def test_augment_takes_a_change_that_it_does_not_depend_on(
    augmented: Path, small: Callable[..., Settings], word: str
) -> None:
    before = file_stamps(augmented)
    augment(str(augmented), small(word), arms=ARMS, accept_mixture=True, quiet=True)
    assert file_stamps(augmented) == before


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    ("stage", "folder"), [(Embed, "embeddings"), (Score, "scores"), (Synthesize, "synthesized"), (Mix, "augmented/")]
)
def test_output_of_another_version_of_the_code_is_refused(
    augmented: Path, small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, stage: type, folder: str
) -> None:
    monkeypatch.setattr(stage, "version", stage.version + 1)
    with pytest.raises(IdentityError, match=rf"^{folder}.*\n  version: {stage.version - 1} in the run, ") as raised:
        augment(str(augmented), small(), arms=ARMS, accept_mixture=True, quiet=True)
    assert str(raised.value).count(" in the run, ") == 1, "one thing changed, and one is shown"


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("per_shard=8", "per_shard: 12 in the run, 8 now"),
        ("seed=1", "seed: 0 in the run, 1 now"),
        ("image.max_side=50", "settings.image.max_side: "),
    ],
)
def test_ingest_refuses_another_cut(
    ingested: Path, corpus: Path, small: Callable[..., Settings], word: str, said: str
) -> None:
    before = file_stamps(ingested)
    with pytest.raises(IdentityError, match=said):
        ingest(str(corpus), str(ingested), small("max_failed=1", word), quiet=True)
    assert file_stamps(ingested) == before


def test_ingest_refuses_posts_of_another_version(
    ingested: Path, corpus: Path, small: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fetch, "version", Fetch.version + 1)
    with pytest.raises(IdentityError, match=r"^posts/ in .*\n  version: "):
        ingest(str(corpus), str(ingested), small("max_failed=1"), quiet=True)


@pytest.mark.promise(7)
def test_predictions_depend_on_model_arm_and_micro_batch_alone(
    augmented: Path,
    copied: Callable[..., Path],
    small: Callable[..., Settings],
    tiny: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = copied(augmented)
    about = {"model": str(tiny), "arm": "original", "split": "test", "quiet": True}
    device = ("prediction.device=cpu", "pools.predict.gpus=0")
    first = evaluate(str(run), small(*device), **about)
    assert evaluate(str(run), small(*device, "pools.predict.lease=1", "generator.steps=3"), **about) == first
    with pytest.raises(IdentityError, match=r"^predictions/tiny/original/ in .*\n  settings\.micro_batch: 64 in the"):
        evaluate(str(run), small(*device, "prediction.micro_batch=3"), **about)
    monkeypatch.setattr(Predict, "version", Predict.version + 1)
    with pytest.raises(IdentityError, match=r"^predictions/tiny/original/ in .*\n  version: "):
        evaluate(str(run), small(*device), **about)


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("training.seed=7", "settings.training.seed: 0 in the run, 7 now"),
        ("training.epochs=5", "settings.training.epochs: "),
        ("recognizer.dropout=0.2", "settings.recognizer.dropout: "),
    ],
)
def test_training_refuses_a_model_that_was_begun_otherwise(
    augmented: Path,
    copied: Callable[..., Path],
    small: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    word: str,
    said: str,
) -> None:
    run = copied(augmented)
    monkeypatch.setattr("ray_jobs.jobs.train.train_with_workers", lambda *_: None)  # claimed, and broken off
    words: Sequence[str] = ("training.epochs=2", "workers.gpus=0")
    with pytest.raises(Exception, match="goes on where it stopped"):
        train(str(run), small(*words), system="bilstm-crf", arm="original", name="one", quiet=True)
    with pytest.raises(IdentityError, match=said):
        train(str(run), small(*words, word), system="bilstm-crf", arm="original", name="one", quiet=True)
