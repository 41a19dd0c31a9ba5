"""The store on disk and on S3: create-if-absent, ranges, listings, and errors of the storage."""

import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from obstore.store import LocalStore

from amia.errors import StoreError
from ray_jobs.storage.shards import encode, read_metadata, read_shard
from ray_jobs.storage.store import Store


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "disk":
        return Store(tmp_path / "run")
    return Store(f"{request.getfixturevalue('bucket')}/{tmp_path.name}")


def test_first_create_wins(store: Store) -> None:
    assert store.create("posts/a.parquet", b"first")
    assert not store.create("posts/a.parquet", b"second")
    assert store.read("posts/a.parquet") == b"first"


def test_exists(store: Store) -> None:
    assert not store.exists("posts/a.parquet")
    store.create("posts/a.parquet", b"")
    assert store.exists("posts/a.parquet")
    assert not store.exists("posts")


def test_replace_overwrites(store: Store) -> None:
    for content in (b"first", b"second"):
        store.replace("report.html", content)
        assert store.read("report.html") == content
    assert store.list_sizes("") == {"report.html": 6}


def test_list_sizes_of_one_folder(store: Store) -> None:
    for key, data in {"posts/a": b"1", "posts/deep/b": b"22", "posts2/c": b"333"}.items():
        store.create(key, data)
    assert store.list_sizes("posts") == {"posts/a": 1, "posts/deep/b": 2}
    assert store.list_sizes("nowhere") == {}


def test_open_returns_a_seekable_file(store: Store) -> None:
    store.create("a", bytes(range(100)))
    with store.open("a") as file:
        assert file.readable()
        assert file.seekable()
        file.seek(-10, os.SEEK_END)
        assert file.read(4) == bytes(range(90, 94))
        assert file.tell() == 94
        assert file.read() == bytes(range(94, 100))
        assert file.read(1) == b""
        file.seek(3)
        file.seek(2, os.SEEK_CUR)
        assert file.read(1) == b"\x05"


def test_delete_removes_one_folder(store: Store) -> None:
    for number in range(5):
        store.create(f"scratch/x/{number}", b"1")
    store.create("scratchy", b"1")
    store.delete("scratch")
    assert store.list_sizes("") == {"scratchy": 1}
    store.delete("scratch")  # nothing left to remove


def test_probe_leaves_nothing(store: Store) -> None:
    store.probe()
    assert store.list_sizes("") == {}


def test_shard_round_trip(store: Store) -> None:
    data, metadata = encode(pa.table({"id": ["a"], "n": [1]}), stage="posts", identity="x")
    store.create("posts/a.parquet", data)
    assert read_metadata(store, "posts/a.parquet") == metadata
    assert read_shard(store, "posts/a.parquet", ["n"]).to_pydict() == {"n": [1]}


def test_missing_key_is_named(store: Store) -> None:
    store.create("other", b"1")
    for method in (store.read, store.open):
        with pytest.raises(StoreError, match=r"posts/a\.parquet could not be .*" + store.address.replace("//", ".*")):
            method("posts/a.parquet")


def test_pickles_as_its_address(store: Store) -> None:
    store.create("a", b"1")
    assert pickle.loads(pickle.dumps(store)).read("a") == b"1"  # noqa: S301  # bytes of this test


def test_missing_bucket_is_an_error(bucket: str) -> None:
    with pytest.raises(StoreError, match="posts/a could not be written to s3://no-such-bucket"):
        Store("s3://no-such-bucket/run").create("posts/a", b"1")
    with pytest.raises(StoreError, match="could not be listed"):
        Store("s3://no-such-bucket/run").list_sizes("posts")


@pytest.mark.simulated("store")
@pytest.mark.promise(4)
def test_probe_refuses_overwriting_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = obstore.put
    monkeypatch.setattr(obstore, "put", lambda objects, key, data, mode: put(objects, key, data, mode="overwrite"))
    with pytest.raises(StoreError, match=r"lets a second writer replace a published file.*conditional writes"):
        Store(tmp_path / "run").probe()
    assert not list(tmp_path.glob("run/**/*.*"))


@pytest.mark.simulated("store")
@pytest.mark.promise(4)
def test_probe_refuses_storage_that_reports_and_overwrites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Overwriting(Store):
        def create(self, key: str, data: bytes) -> bool:
            is_created = super().create(key, data)
            obstore.put(self._objects, key, data, mode="overwrite")
            return is_created

    with pytest.raises(StoreError, match="replace a published file"):
        Overwriting(tmp_path / "run").probe()


def test_reading_a_missing_run_creates_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "typo")
    assert not store.exists("plan.json")
    assert store.list_sizes("posts") == {}
    with pytest.raises(StoreError, match="no such folder"):
        store.read("plan.json")
    with pytest.raises(StoreError, match="no such folder"):
        store.open("plan.json")
    assert not (tmp_path / "typo").exists()


def test_addresses_are_normalized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Store("run").address == Store(f"file://{tmp_path}/run").address == str(tmp_path / "run")
    assert Store("run").folder == tmp_path / "run"
    assert Store("s3://bucket/run").folder is None


@pytest.mark.parametrize("address", ["s4://bucket/run", "s3://"])
def test_unknown_address_is_an_error(address: str) -> None:
    with pytest.raises(StoreError, match=address):
        Store(address).probe()


def test_file_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(StoreError, match=r"notes\.txt cannot be opened: it is a file"):
        Store(tmp_path / "notes.txt").probe()


def test_read_metadata_fetches_only_the_footer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "run")
    rows = [{"bytes": os.urandom(100_000), "path": None} for _ in range(20)]
    data, metadata = encode(pa.table({"image": rows}), stage="posts", identity="x")
    store.create("posts/a.parquet", data)
    lengths: list[int] = []
    get_range = obstore.get_range

    def counting_get_range(objects: LocalStore, key: str, *, start: int, end: int) -> object:
        lengths.append(end - start)
        return get_range(objects, key, start=start, end=end)

    monkeypatch.setattr(obstore, "get_range", counting_get_range)
    assert read_metadata(store, "posts/a.parquet") == metadata
    assert len(data) > 2_000_000
    assert sum(lengths) <= 65_536 + 8
    assert pq.read_metadata(pa.BufferReader(data)).num_rows == 20


@pytest.mark.promise(8)
def test_full_disk_publishes_nothing_partially(small_disk: Callable[[str], Path]) -> None:
    store = Store(small_disk("size=1m") / "run")
    assert store.create("posts/a", b"a" * 600_000)
    with pytest.raises(StoreError, match=r"posts/b could not be written.*make room and start the same command again"):
        store.create("posts/b", b"b" * 600_000)
    assert store.list_sizes("") == {"posts/a": 600_000}
    assert not store.exists("posts/b")
    assert store.create("posts/c", b"c" * 300_000), "the space of the failed attempt was not freed"


@pytest.mark.simulated("disk")
def test_full_disk_error_gives_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(obstore, "put", raise_full)
    with pytest.raises(StoreError, match=r"posts/b could not be written.*The disk is full: make room"):
        Store(tmp_path / "run").create("posts/b", b"b")


def test_read_only_disk_is_refused_by_probe(small_disk: Callable[[str], Path]) -> None:
    disk = small_disk("size=1m,ro")
    with pytest.raises(StoreError, match=rf"{disk}"):
        Store(disk / "run").probe()


@pytest.mark.promise(8)
def test_read_only_folder_is_refused_by_probe() -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # its parent folders are accessible to all users
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root ignores permissions
    try:
        for run in (folder, folder / "run"):
            with pytest.raises(StoreError, match=rf"{run}.*Permission denied.*Choose a --run"):
                Store(run).probe()
    finally:
        os.seteuid(user)
        folder.rmdir()
