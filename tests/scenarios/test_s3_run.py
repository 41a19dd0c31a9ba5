"""A whole run on an S3 that fails now and then: the bytes of a local one, and its credentials nowhere."""

import gzip
import io
import os
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import boto3
import pyarrow.parquet as pq
import pytest

from tests.helpers.drivers import DATA, contents, finish, start
from tests.helpers.encoders import save_tiny_encoders
from tests.helpers.faulty_s3 import FaultyS3, faulty_s3, seeded
from tests.helpers.paths import TWEETS

KEY, SECRET, TOKEN = "AKIAHUSHHUSHHUSHHUSH", "hush/QUIET+secretsecretsecretsecretsecret", "hushTOKENhushTOKENhush"


@pytest.fixture
def proxy(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """Five in a hundred requests go wrong, and the credentials are words that can be found again."""
    with faulty_s3(os.environ["AWS_ENDPOINT_URL"]) as one:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
        monkeypatch.setenv("AWS_ENDPOINT_URL", one.endpoint)
        one.schedule = seeded(3, 0.05, "503", "slow_down", "dropped", "lost", "half")
        yield one


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """Where the commands' own Rays keep their logs."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:  # sockets want a short path
        yield Path(folder)


def stored(behind: str, run: str) -> dict[str, bytes]:
    """Everything in the bucket below a run."""
    client = boto3.client("s3", endpoint_url=behind)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="amia-runs", Prefix=f"{run}/")
    keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
    return {key.removeprefix(f"{run}/"): client.get_object(Bucket="amia-runs", Key=key)["Body"].read() for key in keys}


def readable(key: str, data: bytes) -> bytes:
    """A file's words, those that compression hides included."""
    if key.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(data))
        return data + repr(table.drop_columns([n for n in table.column_names if "image" in n]).to_pylist()).encode()
    try:
        return gzip.decompress(data)
    except (OSError, zlib.error):
        return data


@pytest.mark.promise(38)
@pytest.mark.slow
def test_a_whole_run_on_s3_is_that_of_a_disk_and_keeps_its_credentials_to_itself(
    augmented: Path,
    bucket: str,
    corpus: Path,
    proxy: FaultyS3,
    ray_folder: Path,
    small_words: Sequence[str],
    tmp_path: Path,
) -> None:
    save_tiny_encoders(tmp_path / "encoders")
    encoders = [f"recognizer.{kind}.model={tmp_path / 'encoders' / kind}" for kind in ("text", "visual")]
    words = ("--run", f"{bucket}/run", "--config", "demo", *small_words)
    training = ("training.epochs=2", "training.batch=8", "training.threads=1", "workers.gpus=0", *encoders)
    said: list[str] = []
    for command in (
        ("ingest", str(corpus), *words, "max_failed=1"),
        ("augment", *words, "--accept-mixture", "--arm", "adaptive", "--arm", "original"),
        ("train", "--model", "bert-resnet-crf", "--name", "first", *words, *training),
        ("evaluate", "--model", "first", *words, "prediction.device=cpu", "pools.predict.gpus=0"),
        (
            "predict",
            "--model",
            "first",
            "--split",
            "validation",
            *words,
            "prediction.device=cpu",
            "pools.predict.gpus=0",
        ),
        ("ingest", str(TWEETS), "--run", f"{bucket}/tomorrow", *words[2:], "max_failed=1"),
        ("augment", "--run", f"{bucket}/tomorrow", "--mixture", f"{bucket}/run", *words[2:], "max_failed=1"),
        ("status", f"{bucket}/run"),
        ("report", f"{bucket}/run"),
    ):
        code, out, complained = finish(start(*command, RAY_TMPDIR=str(ray_folder), XDG_CACHE_HOME=str(tmp_path / "c")))
        assert (code, complained) == (0, ""), command
        said.append(out)
    assert len(proxy.faults()) > 20
    files = stored(proxy.behind, "run")
    assert stored(proxy.behind, "tomorrow")["mixture/mixture.json"] == files["mixture/mixture.json"]
    right = contents(augmented)
    assert {key: files[key] for key in files if key.partition("/")[0] in DATA} == right
    assert {"models/first/training.json", "models/first/model.safetensors", "report.html"} <= files.keys()
    assert not [
        key for key in files if key.startswith(("scratch/", "probe/", "models/first/ray", "models/first/check"))
    ]

    looked = {"terminal": "".join(said).encode(), **files}
    for path in [*ray_folder.rglob("*"), *(tmp_path / "c").rglob("*")]:
        if path.is_file() and not path.is_socket():
            looked[str(path)] = path.read_bytes()
    assert any("session_" in name for name in looked), "Ray's logs were not looked at"
    for name, data in looked.items():
        for secret in (SECRET, TOKEN, KEY):
            assert secret.encode() not in readable(name, data), f"a credential stands in {name}"
