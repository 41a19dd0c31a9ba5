"""The command line: one message and an exit code for whatever is wrong, one JSON object for machines."""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from amia.demo import CLIP_DIR
from ray_jobs.storage.shards import read_metadata
from ray_jobs.storage.store import Store
from tests.helpers.paths import TWEETS

Amia = Callable[..., tuple[int, str, str]]


def one_message(complained: str) -> str:
    assert complained.startswith("error: ")
    assert "Traceback" not in complained
    return complained


def test_a_missing_folder(amia: Amia, tmp_path: Path) -> None:
    code, _, complained = amia("ingest", tmp_path / "nowhere", "--run", tmp_path / "run")
    assert code == 3
    assert "nowhere" in one_message(complained)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--config", "dmeo"], "did you mean 'demo'"),
        (["triplet.marginn=1"], "did you mean 'triplet.margin'"),
        (["triplet.margin=9"], "triplet.margin=9"),
        (["--arm", "adaptve", "--config", "demo"], "did you mean 'adaptive'"),
    ],
)
def test_unknown_names_and_values(amia: Amia, tmp_path: Path, words: list[str], said: str) -> None:
    code, _, complained = amia("augment", "--run", tmp_path / "run", *words)
    assert code == 2
    assert said in one_message(complained)


def test_a_run_without_posts(amia: Amia, tmp_path: Path) -> None:
    code, _, complained = amia("augment", "--run", tmp_path / "run", "--config", "demo")
    assert code == 8
    assert "amia ingest" in one_message(complained)


def test_other_settings_than_the_run_s_show_the_difference(
    amia: Amia, augmented: Path, small_words: Sequence[str]
) -> None:
    words = ("augment", "--run", augmented, "--config", "demo", "--accept-mixture", *small_words)
    code, _, complained = amia(*words, "triplet.margin=0.3")
    assert code == 6
    assert "margin" in one_message(complained)
    assert "0.1" in complained
    assert "0.3" in complained
    code, _, complained = amia(*words, "seed=5")
    assert code == 6
    assert "seed: 0 in the run, 5 now" in complained


def test_a_model_folder_without_weights(
    amia: Amia, ingested: Path, copied: Callable[..., Path], small_words: Sequence[str], tmp_path: Path
) -> None:
    shutil.copytree(CLIP_DIR, tmp_path / "clip")
    (tmp_path / "clip" / "model.safetensors").unlink()
    words = ("--config", "demo", *small_words, f"clip.model={tmp_path / 'clip'}")
    code, _, complained = amia("augment", "--run", copied(ingested), *words)
    assert code == 4
    assert "no *.safetensors" in one_message(complained)


def test_too_little_to_fit_and_no_shipped_mixture(
    amia: Amia, augmented: Path, copied: Callable[..., Path], small_words: Sequence[str]
) -> None:
    run = copied(augmented, leaving_out=["mixture", "scores", "augmented", "log"])
    code, _, complained = amia("augment", "--run", run, "--config", "demo", *small_words, "shipped_mixture=null")
    assert code == 5
    assert "--accept-mixture" in one_message(complained)


@pytest.mark.promise(16)
def test_too_many_failed_posts(amia: Amia, cluster: None, tmp_path: Path) -> None:
    words = ("ingest", TWEETS, "--run", tmp_path / "run", "--config", "demo")
    code, said, complained = amia(*words, "--json")
    assert code == 9
    assert "3 of 11 posts failed" in one_message(complained)
    assert json.loads(said)["counts"]["image=bad_image(empty)"] == 1
    assert amia(*words, "max_failed=0.5")[0] == 0


def test_status_of_runs_of_every_age(amia: Amia, augmented: Path, ingested: Path, tmp_path: Path) -> None:
    assert "nothing" in amia("status", tmp_path / "none")[1]
    assert json.loads(amia("status", ingested, "--json")[1])["stages"].keys() == {"posts"}
    code, said, complained = amia("status", augmented)
    assert (code, complained) == (0, "")
    assert "augmented/adaptive" in said
    assert "finished" in said
    told = json.loads(amia("status", augmented, "--json")[1])
    assert told["stages"]["synthesized"]["posts"] == told["posts"] == 96


def test_a_dry_run_starts_nothing(amia: Amia, ingested: Path, small_words: Sequence[str]) -> None:
    code, said, complained = amia("augment", "--run", ingested, "--config", "demo", "--dry-run", *small_words)
    assert (code, complained) == (0, "")
    for stage in ("embeddings", "scores", "synthesized", "augmented/adaptive"):
        assert stage in said
    assert "…" not in said
    assert not (ingested / "embeddings").exists()


def test_doctor_looks_and_writes_nothing(amia: Amia) -> None:
    code, said, complained = amia("doctor", TWEETS)
    assert (code, complained) == (0, "")
    assert "11" in said
    assert json.loads(amia("doctor", TWEETS, "--json")[1])


def test_help_lists_every_setting_of_a_command(amia: Amia) -> None:
    _, said, _ = amia("augment", "--help")
    for name in ("generator.micro_batch = ", "pools.synthesize.gpus = 1.0", "wait_for_gpus_s = none"):
        assert name in said


def test_a_full_disk_is_one_message_and_leaves_nothing_half_published(
    amia: Amia, tmp_path: Path, cluster: None
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        code, _, complained = amia("ingest", TWEETS, "--run", disk / "run", "--config", "demo", "max_failed=1")
        assert code == 8
        assert "The disk is full" in one_message(complained)
        for shard in (disk / "run").glob("posts/*.parquet"):
            assert read_metadata(Store(disk / "run"), f"posts/{shard.name}").rows  # whole, or not there
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        code, said, _ = amia("ingest", TWEETS, "--run", disk / "run", "--config", "demo", "max_failed=1")
        assert code == 0
        assert "11 posts" in said
    finally:
        subprocess.run(["umount", disk], check=True)
