"""The command line: an error is one message and an exit code, and --json prints one JSON object."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from amia.demo import CLIP_DIR
from ray_jobs.storage.shards import read_metadata
from ray_jobs.storage.store import Store
from tests.helpers.paths import TWEETS

pytestmark = pytest.mark.usefixtures("local_stages")

Amia = Callable[..., tuple[int, str, str]]


def one_message(stderr: str) -> str:
    assert stderr.startswith("error: ")
    assert "Traceback" not in stderr
    return stderr


def test_missing_corpus(amia: Amia, tmp_path: Path) -> None:
    code, _, stderr = amia("ingest", tmp_path / "nowhere", "--run", tmp_path / "run")
    assert code == 3
    assert "nowhere" in one_message(stderr)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config", "dmeo"], "did you mean 'demo'"),
        (["triplet.marginn=1"], "did you mean 'triplet.margin'"),
        (["triplet.margin=9"], "triplet.margin=9"),
        (["--arm", "adaptve", "--config", "demo"], "did you mean 'adaptive'"),
    ],
)
def test_unknown_names_and_values(amia: Amia, tmp_path: Path, words: list[str], message: str) -> None:
    code, _, stderr = amia("augment", "--run", tmp_path / "run", *words)
    assert code == 2
    assert message in one_message(stderr)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--model", "umt", "recogniser.text.model=bert"], "'recogniser', did you mean 'recognizer'?"),
        (["train", "--model", "umt", "recogniser.dropout=0.1"], "'recogniser', did you mean 'recognizer'?"),
        (["experiment", "recognisers=[umt]"], "'recognisers', did you mean 'recognizers'?"),
        (["experiment", "recogniser.dropout=0.1"], "'recogniser', did you mean 'recognizer'?"),
    ],
)
def test_renamed_settings_are_refused(amia: Amia, tmp_path: Path, words: list[str], message: str) -> None:
    code, _, stderr = amia(*words, "--run", tmp_path / "run")
    assert code == 2
    assert message in one_message(stderr)


@pytest.mark.parametrize(
    ("command", "text", "message"),
    [
        ("train", "recogniser: {dropout: 0.1}", "did you mean 'recognizer'?"),
        ("experiment", "recognisers: [umt]", "did you mean 'recognizers'?"),
        ("experiment", "settings: {recogniser: {dropout: 0.1}}", "did you mean 'recognizer'?"),
    ],
)
def test_renamed_settings_in_files(amia: Amia, tmp_path: Path, command: str, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    model = ["--model", "umt"] if command == "train" else []
    code, _, stderr = amia(command, *model, "--config", tmp_path / "mine.yaml", "--run", tmp_path / "run")
    assert code == 2
    assert message in one_message(stderr)


def test_unknown_option(amia: Amia, tmp_path: Path) -> None:
    code, _, stderr = amia("augment", "--run", tmp_path / "run", "--accept-mixtur")
    assert code == 2
    assert re.search(r"No such option:? '?--accept-mixtur\b", stderr)
    assert "--accept-mixture" in stderr


def test_run_without_posts(amia: Amia, tmp_path: Path) -> None:
    code, _, stderr = amia("augment", "--run", tmp_path / "run", "--config", "demo")
    assert code == 8
    assert "amia ingest" in one_message(stderr)


def test_changed_settings_show_the_difference(amia: Amia, augmented: Path, small_words: Sequence[str]) -> None:
    words = ("augment", "--run", augmented, "--config", "demo", "--accept-mixture", *small_words)
    code, _, stderr = amia(*words, "triplet.margin=0.3")
    assert code == 6
    assert "margin" in one_message(stderr)
    assert "0.1" in stderr
    assert "0.3" in stderr
    code, _, stderr = amia(*words, "seed=5")
    assert code == 6
    assert "seed: 0 in the run, 5 now" in stderr


def test_model_folder_without_weights(
    amia: Amia, ingested: Path, copied: Callable[..., Path], small_words: Sequence[str], tmp_path: Path
) -> None:
    shutil.copytree(CLIP_DIR, tmp_path / "clip")
    (tmp_path / "clip" / "model.safetensors").unlink()
    words = ("--config", "demo", *small_words, f"clip.model={tmp_path / 'clip'}")
    code, _, stderr = amia("augment", "--run", copied(ingested), *words)
    assert code == 4
    assert "no *.safetensors" in one_message(stderr)


def test_too_few_losses_without_shipped_mixture(
    amia: Amia, augmented: Path, copied: Callable[..., Path], small_words: Sequence[str]
) -> None:
    run = copied(augmented, leaving_out=["mixture", "scores", "augmented", "log"])
    code, _, stderr = amia("augment", "--run", run, "--config", "demo", *small_words, "shipped_mixture=null")
    assert code == 5
    assert "--accept-mixture" in one_message(stderr)


@pytest.mark.promise(16)
def test_too_many_failed_posts(amia: Amia, cluster: None, tmp_path: Path) -> None:
    words = ("ingest", TWEETS, "--run", tmp_path / "run", "--config", "demo")
    code, stdout, stderr = amia(*words, "--json")
    assert code == 9
    assert "3 of 11 posts failed" in one_message(stderr)
    assert json.loads(stdout)["counts"]["image=bad_image(empty)"] == 1
    assert amia(*words, "max_failed=0.5")[0] == 0


def test_status_of_new_ingested_and_finished_runs(amia: Amia, augmented: Path, ingested: Path, tmp_path: Path) -> None:
    assert "nothing" in amia("status", tmp_path / "none")[1]
    assert json.loads(amia("status", ingested, "--json")[1])["stages"].keys() == {"posts"}
    code, stdout, stderr = amia("status", augmented)
    assert (code, stderr) == (0, "")
    assert "augmented/adaptive" in stdout
    assert "finished" in stdout
    report = json.loads(amia("status", augmented, "--json")[1])
    assert report["stages"]["synthesized"]["posts"] == report["posts"] == 96


def test_dry_run_starts_nothing(amia: Amia, ingested: Path, small_words: Sequence[str]) -> None:
    code, stdout, stderr = amia("augment", "--run", ingested, "--config", "demo", "--dry-run", *small_words)
    assert (code, stderr) == (0, "")
    for stage in ("embeddings", "scores", "synthesized", "augmented/adaptive"):
        assert stage in stdout
    assert "…" not in stdout
    assert not (ingested / "embeddings").exists()


def test_doctor_prints_text_or_json(amia: Amia) -> None:
    code, stdout, stderr = amia("doctor", TWEETS)
    assert (code, stderr) == (0, "")
    assert "11" in stdout
    assert json.loads(amia("doctor", TWEETS, "--json")[1])


def test_help_lists_all_settings(amia: Amia) -> None:
    _, stdout, _ = amia("augment", "--help")
    for name in ("generator.micro_batch = ", "pools.synthesize.gpus = 1.0", "wait_for_gpus_s = none"):
        assert name in stdout


def test_full_disk(amia: Amia, tmp_path: Path, cluster: None) -> None:
    """A full disk gives one message and leaves no partial shard; with more space the same command resumes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        code, _, stderr = amia("ingest", TWEETS, "--run", disk / "run", "--config", "demo", "max_failed=1")
        assert code == 8
        assert "The disk is full" in one_message(stderr)
        for shard in (disk / "run").glob("posts/*.parquet"):
            assert read_metadata(Store(disk / "run"), f"posts/{shard.name}").rows  # complete, or absent
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        code, stdout, _ = amia("ingest", TWEETS, "--run", disk / "run", "--config", "demo", "max_failed=1")
        assert code == 0
        assert "11 posts" in stdout
    finally:
        subprocess.run(["umount", disk], check=True)
