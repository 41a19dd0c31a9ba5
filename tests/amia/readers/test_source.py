"""Sources in an object store: every format reads as from a folder, by ranges, and changes are noticed."""

import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from webdataset import TarWriter

from amia.doctor import scan_corpus
from amia.errors import CorpusError, ImageError, StoreError
from amia.images import ImageSettings, fetch_image
from amia.posts import RawPost
from amia.readers import open_corpus
from amia.utils.object_store import open_remote
from amia.utils.store_reader import StoreReader
from tests.helpers.buckets import upload
from tests.helpers.faulty_s3 import FaultyS3, faulty_s3
from tests.helpers.paths import TWEETS

LINES = [{"id": str(number), "text": f"post {number}"} for number in range(40)]


@pytest.fixture
def address(bucket: str, tmp_path: Path) -> str:
    return f"{bucket}/{tmp_path.name}/corpus"


def write_text(folder: Path, name: str, compress: Callable[[bytes], bytes] = bytes) -> None:
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(compress("".join(json.dumps(line) + "\n" for line in LINES).encode()))


def zstandard(data: bytes) -> bytes:
    compressed: bytes = pa.Codec("zstd").compress(data, asbytes=True)
    return compressed


def write_parquet(folder: Path, jpeg: bytes) -> None:
    (folder / "data").mkdir(parents=True)
    table = pa.Table.from_pylist([{**line, "image": jpeg} for line in LINES])
    pq.write_table(table, folder / "data" / "test-00000-of-00001.parquet", row_group_size=7)


def write_tars(folder: Path, jpeg: bytes) -> None:
    for split, name in (("train", "0.tar"), ("dev", "1.tar.gz")):
        (folder / split).mkdir(parents=True)
        with TarWriter(str(folder / split / name)) as tar:
            for line in LINES:
                tar.write({"__key__": f"{split}{line['id']}", "jpg": jpeg, "txt": line["text"]})


def write_hf_disk(folder: Path, jpeg: bytes) -> None:
    datasets.disable_progress_bars()
    columns = {"id": [line["id"] for line in LINES], "text": [line["text"] for line in LINES], "image": [jpeg] * 40}
    posts = datasets.Dataset.from_dict(columns)
    datasets.DatasetDict({"train": posts, "test": posts}).save_to_disk(folder, num_shards={"train": 2, "test": 1})


FORMATS: dict[str, Callable[[Path, bytes], object]] = {
    "conll": lambda folder, _: shutil.copytree(TWEETS, folder),
    "jsonl": lambda folder, _: write_text(folder, "posts.jsonl"),
    "jsonl.gz": lambda folder, _: write_text(folder, "posts.jsonl.gz", gzip.compress),
    "jsonl.zst": lambda folder, _: write_text(folder, "a/test.jsonl.zst", lambda data: zstandard(data) * 2),
    "parquet": write_parquet,
    "webdataset": write_tars,
    "hf_disk": write_hf_disk,
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_read_as_from_a_folder(tmp_path: Path, address: str, jpeg: bytes, name: str) -> None:
    FORMATS[name](tmp_path / "corpus", jpeg)
    local, stored = open_corpus(tmp_path / "corpus"), open_corpus(upload(tmp_path / "corpus", address))
    rows = list(local)
    assert len(rows) >= 11
    assert list(stored) == rows
    assert (stored.kind, stored.bytes) == (local.kind, local.bytes)
    assert [file.name for file in stored.files] == [file.name for file in local.files]
    assert (stored.image_root is None) == (local.image_root is None)


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.jsonl.zst"])
def test_damaged_compressed_text_is_named(tmp_path: Path, name: str) -> None:
    compress = gzip.compress if name.endswith("gz") else zstandard
    for content in (compress(b'{"text": "a"}\n' * 99)[:-9], compress(b"")[:4] + b"\xff" * 40):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CorpusError, match=r"x\.jsonl\..*damaged or truncated"):
            list(open_corpus(tmp_path))


def test_single_file_and_missing_address(tmp_path: Path, address: str) -> None:
    write_text(tmp_path / "corpus", "posts.jsonl")
    upload(tmp_path / "corpus", address)
    corpus = open_corpus(f"{address}/posts.jsonl")
    assert [file.name for file in corpus.files] == ["posts.jsonl"]
    assert [str(file) for file in corpus.files] == [f"{address}/posts.jsonl"]
    for missing in (f"{address}/nothing", f"{address}2"):
        with pytest.raises(CorpusError, match="no such file or folder"):
            open_corpus(missing)
    with pytest.raises(CorpusError, match=r"images s3://.*nothing there"):
        open_corpus(address, f"{address}/images")
    with pytest.raises(CorpusError, match="does not read HTTP"):
        open_corpus("https://example.org/posts.jsonl")
    with pytest.raises(StoreError, match="must not contain credentials"):
        open_corpus("s3://key:secret@bucket/posts")


def test_several_formats_are_refused(tmp_path: Path, address: str) -> None:
    write_text(tmp_path / "corpus", "b.jsonl")
    (tmp_path / "corpus" / "train.txt").touch()
    with pytest.raises(CorpusError, match=r"train\.txt \(conll\), b\.jsonl \(jsonl\)"):
        open_corpus(upload(tmp_path / "corpus", address))


def test_change_during_reading_is_noticed(tmp_path: Path, address: str) -> None:
    write_text(tmp_path / "corpus", "posts.jsonl")
    corpus = open_corpus(upload(tmp_path / "corpus", address))
    obstore.put(open_remote(address), "posts.jsonl", b'{"text": "other"}\n' * 100)
    with pytest.raises(StoreError, match=r"posts\.jsonl in s3://.* was changed while it was being read"):
        list(corpus)


@pytest.fixture
def proxy(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    with faulty_s3(os.environ["AWS_ENDPOINT_URL"]) as s3:
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
        yield s3


def test_parquet_columns_that_no_post_has_are_not_fetched(tmp_path: Path, address: str, proxy: FaultyS3) -> None:
    (tmp_path / "corpus").mkdir()
    table = pa.table({"text": ["a"] * 1000, "other": [bytes([n % 256]) * 2000 for n in range(1000)]})
    pq.write_table(table, tmp_path / "corpus" / "x.parquet", compression="none", use_dictionary=False)
    upload(tmp_path / "corpus", address)
    assert sum(isinstance(row, RawPost) for row in open_corpus(address)) == 1000
    paths = [path for method, path, _ in proxy.requests if method == "GET" and path.endswith("x.parquet")]
    assert 3 <= len(paths) <= 12


class TestImages:
    """Images by key, by URL below the prefix, and nothing else."""

    @pytest.fixture
    def root(self, tmp_path: Path, bucket: str) -> StoreReader:
        store = open_remote(f"{bucket}/{tmp_path.name}")
        for key in ("images/train/1.jpg", "images2/secret.jpg", "secret.jpg"):
            obstore.put(store, key, b"bytes")
        return StoreReader(f"{bucket}/{tmp_path.name}/images")

    @pytest.mark.parametrize("path", ["train/1.jpg", "./train//1.jpg", "{root}/train/1.jpg"])
    def test_reads_inside_the_prefix(self, root: StoreReader, path: str) -> None:
        assert fetch_image(root, path.format(root=root.address), ImageSettings(max_bytes=5)) == b"bytes"

    @pytest.mark.parametrize(
        ("path", "reason"),
        [
            ("../secret.jpg", "outside_root"),
            ("{root}/../secret.jpg", "outside_root"),
            ("{root}2/secret.jpg", "outside_root"),
            ("s3://other-bucket/1.jpg", "outside_root"),
            ("gs://amia-runs/1.jpg", "outside_root"),
            ("file:///etc/passwd", "outside_root"),
            ("/etc/passwd", "outside_root"),
            ("..\\secret.jpg", "outside_root"),
            ("2.jpg", "missing"),
            ("train", "missing"),
            ("a\0b.jpg", "missing"),
            ("\ud800.jpg", "missing"),
            ("x" * 5000, "missing"),
            ("train/%2e%2e/1.jpg", "missing"),
            (".", "not_a_file"),
            ("HTTPS://example.org/1.jpg", "http"),
        ],
    )
    def test_failure_reasons(self, root: StoreReader, path: str, reason: str) -> None:
        with pytest.raises(ImageError, match=f"^{reason}") as caught:
            fetch_image(root, path.format(root=root.address), ImageSettings())
        assert caught.value.reason == reason

    def test_size_is_checked_before_the_content_is_fetched(self, root: StoreReader) -> None:
        with pytest.raises(ImageError, match="too_large"):
            fetch_image(root, "train/1.jpg", ImageSettings(max_bytes=4))

    def test_links_name_img2dataset(self, root: StoreReader) -> None:
        for folder in (root, Path(), None):
            with pytest.raises(ImageError, match=r"http: .*img2dataset"):
                fetch_image(folder, "http://example.org/1.jpg", ImageSettings())


def test_doctor_scans_a_bucket(address: str) -> None:
    upload(TWEETS, address)
    local, stored = (scan_corpus(open_corpus(source), ImageSettings()).to_json() for source in (TWEETS, address))
    assert stored.pop("source") == address
    local.pop("source")
    assert stored == local
