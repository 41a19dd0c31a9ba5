"""Bytes and footer of a shard, and the hash of its content."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amia.errors import RunError
from ray_jobs.storage.schemas import IMAGE
from ray_jobs.storage.shards import (
    ShardMetadata,
    content_sha256,
    encode,
    read_all_metadata,
    read_metadata,
    read_shard,
    total_counts,
)
from ray_jobs.storage.store import Store

TABLE = pa.table(
    {
        "id": ["a", "b", "c"],
        "tokens": pa.array([["x", ""], None, []], pa.list_(pa.string())),
        "image": pa.array([{"bytes": b"\xff\xd8", "path": None}, None, {"bytes": None, "path": "c.jpg"}], IMAGE),
        "theta": pa.array([0.25, None, 1.0], pa.float32()),
    }
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "run")


def test_round_trip(store: Store) -> None:
    data, metadata = encode(
        TABLE, stage="posts", identity="abc", counts={"image=ok": 1, "image=no_image": 2}, extra={"range": [0, 1]}
    )
    store.create("posts/a.parquet", data)
    table = read_shard(store, "posts/a.parquet")
    assert table.replace_schema_metadata(None).equals(TABLE)
    assert read_metadata(store, "posts/a.parquet") == metadata
    assert metadata == ShardMetadata(
        stage="posts",
        rows=3,
        sha256=content_sha256(TABLE),
        identity="abc",
        counts={"image=no_image": 2, "image=ok": 1},
        extra={"range": [0, 1]},
    )


def test_reads_single_columns(store: Store) -> None:
    store.create("posts/a.parquet", encode(TABLE, stage="posts", identity="x")[0])
    assert read_shard(store, "posts/a.parquet", ["theta", "id"]).equals(TABLE.select(["theta", "id"]))


def test_equal_rows_give_equal_bytes() -> None:
    assert encode(TABLE, stage="s", identity="i")[0] == encode(TABLE, stage="s", identity="i")[0]


def test_hash_ignores_the_memory_layout() -> None:
    chunked = pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1, 1), TABLE.slice(2)])
    assert chunked["id"].num_chunks == 3
    assert content_sha256(chunked) == content_sha256(TABLE)
    # The buffer's content under a null is undefined.
    first, second = (
        pa.Array.from_buffers(pa.float32(), 2, [pa.py_buffer(b"\x01"), pa.py_buffer(np.float32(values).tobytes())])
        for values in ([1, 7], [1, 9])
    )
    assert content_sha256(pa.table({"x": first})) == content_sha256(pa.table({"x": second}))


@pytest.mark.parametrize(
    "other",
    [
        TABLE.slice(0, 2),
        TABLE.take([1, 0, 2]),
        TABLE.set_column(3, "theta", pa.array([0.5, None, 1.0], pa.float32())),
        TABLE.rename_columns(["id", "words", "image", "theta"]),
        TABLE.set_column(1, "tokens", pa.array([["x"], None, []], pa.list_(pa.string()))),
        TABLE.set_column(2, "image", pa.array([{"bytes": b"\xff", "path": None}, None, None], IMAGE)),
    ],
)
def test_hash_depends_on_every_value(other: pa.Table) -> None:
    assert content_sha256(other) != content_sha256(TABLE)


def test_hash_is_equal_in_another_process() -> None:
    code = (
        "import pyarrow as pa; from ray_jobs.storage.shards import content_sha256;"
        "print(content_sha256(pa.table({'id': ['ü', None], 'x': [b'1', b'2']})))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert output == content_sha256(pa.table({"id": ["ü", None], "x": [b"1", b"2"]}))


def test_counts_of_many_shards(store: Store) -> None:
    for number in range(40):
        data, _ = encode(TABLE, stage="posts", identity="x", counts={"image=ok": number, "image=no_image": 1})
        store.create(f"posts/{number}.parquet", data)
    shards = read_all_metadata(store, [f"posts/{number}.parquet" for number in range(40)])
    assert [metadata.counts["image=ok"] for metadata in shards] == list(range(40)), "not in the order of the keys"
    assert total_counts(shards) == {"image=ok": 780, "image=no_image": 40}


def test_foreign_files_are_refused(store: Store, tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "foreign.parquet")
    store.create("posts/foreign.parquet", (tmp_path / "foreign.parquet").read_bytes())
    store.create("posts/text.parquet", b"hello")
    data, _ = encode(TABLE, stage="posts", identity="x")
    store.create("posts/cut.parquet", data[: len(data) // 2])
    for name in ("foreign", "text", "cut"):
        with pytest.raises(RunError, match=rf"posts/{name}\.parquet in .*not a shard written by amia"):
            read_metadata(store, f"posts/{name}.parquet")
    for name in ("text", "cut"):
        with pytest.raises(RunError, match=rf"posts/{name}\.parquet in .*not a readable Parquet file"):
            read_shard(store, f"posts/{name}.parquet")


def test_other_footer_is_refused(store: Store, tmp_path: Path) -> None:
    table = TABLE.replace_schema_metadata({b"amia": json.dumps({"rows": 3}).encode()})
    pq.write_table(table, tmp_path / "old.parquet")
    store.create("posts/old.parquet", (tmp_path / "old.parquet").read_bytes())
    with pytest.raises(RunError, match=r"posts/old\.parquet"):
        read_metadata(store, "posts/old.parquet")


def test_arrow_extension_types_are_refused(store: Store, tmp_path: Path) -> None:
    tensor = pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.float32(), [2]),
        pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2)),
    )
    pq.write_table(pa.table({"x": tensor}), tmp_path / "ext.parquet")
    store.create("posts/ext.parquet", (tmp_path / "ext.parquet").read_bytes())
    with pytest.raises(RunError, match=r"posts/ext\.parquet in .*extension type"):
        read_shard(store, "posts/ext.parquet")
