"""A whole run on a faulty S3: the same bytes as a local run, and its credentials in no file."""

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

from tests.helpers.drivers import DATA, finish, read_files, start
from tests.helpers.encoders import save_tiny_encoders
from tests.helpers.faulty_s3 import FaultyS3, faulty_s3, seeded
from tests.helpers.paths import TWEETS

KEY, SECRET, TOKEN = "AKIAHUSHHUSHHUSHHUSH", "hush/QUIET+secretsecretsecretsecretsecret", "hushTOKENhushTOKENhush"


@pytest.fixture
def proxy(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """Five percent of the requests fail, and the credentials are words that can be searched for."""
    with faulty_s3(os.environ["AWS_ENDPOINT_URL"]) as proxy:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        proxy.schedule = seeded(3, 0.05, "503", "slow_down", "dropped", "lost", "half")
        yield proxy


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """Folder for the logs of the Rays that the commands start."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:  # paths of sockets must be short
        yield Path(folder)


def read_objects(endpoint: str, run: str) -> dict[str, bytes]:
    """Return all objects of a run."""
    client = boto3.client("s3", endpoint_url=endpoint)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="amia-runs", Prefix=f"{run}/")
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return {key.removeprefix(f"{run}/"): client.get_object(Bucket="amia-runs", Key=key)["Body"].read() for key in keys}


def decompress(key: str, data: bytes) -> bytes:
    """Return the text of a file, uncompressed."""
    if key.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(data))
        return (
            data
            + repr(table.drop_columns([name for name in table.column_names if "image" in name]).to_pylist()).encode()
        )
    try:
        return gzip.decompress(data)
    except (OSError, zlib.error):
        return data


@pytest.mark.promise(38)
@pytest.mark.slow
def test_run_on_s3_equals_local_run_and_hides_credentials(
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
    outputs: list[str] = []
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
        code, stdout, stderr = finish(start(*command, RAY_TMPDIR=str(ray_folder), XDG_CACHE_HOME=str(tmp_path / "c")))
        assert (code, stderr) == (0, ""), command
        outputs.append(stdout)
    assert len(proxy.faults()) > 20
    files = read_objects(proxy.backend, "run")
    assert read_objects(proxy.backend, "tomorrow")["mixture/mixture.json"] == files["mixture/mixture.json"]
    expected = read_files(augmented)
    assert {key: files[key] for key in files if key.partition("/")[0] in DATA} == expected
    assert {"models/first/training.json", "models/first/model.safetensors", "report.html"} <= files.keys()
    assert not [
        key for key in files if key.startswith(("scratch/", "probe/", "models/first/ray", "models/first/check"))
    ]

    texts = {"terminal": "".join(outputs).encode(), **files}
    for path in [*ray_folder.rglob("*"), *(tmp_path / "c").rglob("*")]:
        if path.is_file() and not path.is_socket():
            texts[str(path)] = path.read_bytes()
    assert any("session_" in name for name in texts), "the logs of Ray were not searched"
    for name, data in texts.items():
        for secret in (SECRET, TOKEN, KEY):
            assert secret.encode() not in decompress(name, data), f"{name} contains a credential"
