"""Sources that are refused as a whole, and files in a corpus that contain code."""

import base64
import gzip
import json
import pickle
import struct
import subprocess
import sys
import tomllib
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packaging.requirements import Requirement

from amia.errors import CorpusError
from amia.readers import open_corpus
from tests.helpers.paths import ROOT
from tests.hostile.payload import Payload


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """File that exists once foreign code has run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "code has run"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "posts"
    folder.mkdir()
    return folder


def schema_with_pickle(name: str, marker: Path) -> pa.Schema:
    """Return a schema with an extension type whose metadata is a pickle."""
    metadata = {"ARROW:extension:name": name, "ARROW:extension:metadata": pickle.dumps(Payload(marker))}
    return pa.schema([pa.field("text", pa.string()), pa.field("image", pa.binary(), metadata=metadata)])


@pytest.mark.promise(31)
@pytest.mark.parametrize("kind", ["parquet", "arrow"])
@pytest.mark.parametrize(
    "name", ["arrow.py_extension_type", "ray.data.arrow_pickled_object", "ray.data.arrow_tensor", "arrow.opaque"]
)
def test_pickle_in_a_schema_is_never_loaded(source: Path, marker: Path, kind: str, name: str) -> None:
    import ray.data.extensions  # noqa: F401 - registers the types of Ray, as in the workers

    schema = schema_with_pickle(name, marker)
    table = pa.table([pa.array(["a"]), pa.array([b"x"])], schema=schema)
    if kind == "parquet":
        pq.write_table(table, source / "x.parquet")
    else:
        (source / "state.json").write_text('{"_data_files": [{"filename": "x.arrow"}]}')
        with pa.ipc.new_stream(source / "x.arrow", schema) as stream:
            stream.write_table(table)
    with pytest.raises(CorpusError, match="extension type"):
        list(open_corpus(source))
    assert not marker.exists()
    pickle.loads(schema.field("image").metadata[b"ARROW:extension:metadata"])  # noqa: S301 - shows that the payload works
    assert marker.exists()


@pytest.mark.promise(31)
@pytest.mark.parametrize(
    ("library", "vulnerable"),
    [
        ("ray", ["2.49.0", "2.53.0", "2.54.1"]),  # CVE-2026-41486: code in the metadata of a tensor's type
        ("pyarrow", ["0.14.0", "14.0.0"]),  # CVE-2023-47248: code in the metadata of any extension type
    ],
)
def test_vulnerable_versions_are_excluded(library: str, vulnerable: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (required,) = [item for item in map(Requirement, project["dependencies"]) if item.name == library]
    assert [version for version in vulnerable if version in required.specifier] == []
    pins = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if line[:1].isalpha()]
    (pinned,) = [item for item in pins if item.name == library]
    assert all(clause.version in required.specifier for clause in pinned.specifier)


@pytest.mark.promise(31)
def test_pickled_values_stay_bytes(source: Path, marker: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "image": [pickle.dumps(Payload(marker))]}), source / "x.parquet")
    (post,) = open_corpus(source)
    assert pickle.dumps(Payload(marker)) == post.image
    assert not marker.exists()


@pytest.mark.promise(33)
@pytest.mark.parametrize("address", ["folder", "hub"])
def test_loading_scripts_are_never_run(source: Path, marker: Path, address: str) -> None:
    script = f"open({str(marker)!r}, 'w')\n"
    for name in ("posts.py", "dataset.py", "__init__.py", "loading_script.py", "conftest.py", "sitecustomize.py"):
        (source / name).write_text(script)
    (source / "dataset_infos.json").write_text(json.dumps({"default": {"builder_name": "posts"}}))
    (source / "README.md").write_text("---\nconfigs:\n- config_name: default\n  data_files: '*.jsonl'\n---\n")
    (source / "posts.pkl").write_bytes(pickle.dumps(Payload(marker)))
    (source / "posts.jsonl").write_text('{"text": "a"}\n')
    if address == "folder":
        assert [post.text for post in open_corpus(source)] == ["a"]
    else:
        with pytest.raises(CorpusError, match=r"scripts are no longer supported, but found posts\.py"):
            list(open_corpus(f"hf:{source}"))
    assert not marker.exists()


@pytest.mark.promise(33)
def test_rejects_data_set_with_only_a_script(source: Path, marker: Path) -> None:
    (source / "posts.py").write_text(f"open({str(marker)!r}, 'w')\n")
    for address in (source, f"hf:{source}"):
        with pytest.raises(CorpusError):
            list(open_corpus(address))
    assert not marker.exists()


@pytest.mark.promise(34)
@pytest.mark.parametrize("path", ["../../secret", "/etc", "~", "a/../../secret"])
def test_listed_files_cannot_leave_the_folder(source: Path, path: str) -> None:
    (source.parent / "secret.jsonl").write_text('{"text": "secret"}\n')
    (source / "posts.jsonl").write_text('{"text": "a"}\n')
    (source / "state.json").write_text(json.dumps({"_data_files": [{"filename": f"{path}/secret.jsonl"}]}))
    with pytest.raises(CorpusError, match="but missing"):
        list(open_corpus(source))


def parquet(**columns: pa.Array) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


VALID = parquet(text=pa.array(["a", "b"]))


def footer(length: int) -> bytes:
    return VALID[:-8] + struct.pack("<I", length) + b"PAR1"


BROKEN: dict[str, tuple[str, bytes]] = {
    "empty": ("x.parquet", b""),
    "truncated": ("x.parquet", VALID[:-20]),
    "truncated in the middle": ("x.parquet", VALID[: len(VALID) // 2]),
    "no signature": ("x.parquet", VALID[4:]),
    "a footer of 4 GB": ("x.parquet", footer(2**32 - 1)),
    "an empty footer": ("x.parquet", footer(0)),
    "a footer of the whole file": ("x.parquet", footer(len(VALID) - 12)),
    "an encrypted footer": ("x.parquet", VALID[:-4] + b"PARE"),
    "a footer of zeros": ("x.parquet", b"PAR1" + bytes(4_000) + struct.pack("<I", 4_000) + b"PAR1"),
    "an endless footer": ("x.parquet", b"PAR1" + b"\x1c" * 99_999 + struct.pack("<I", 99_999) + b"PAR1"),
    "a schema that is not base64": ("x.parquet", VALID.replace(b"ARROW:schema\x18", b"ARROW:schema\x18\x7f", 1)),
    "no text column": ("x.parquet", parquet(label=pa.array(["a"]))),
    "html": ("x.parquet", b"<html>404</html>"),
    "a pickle": ("x.parquet", pickle.dumps(["a"])),
    "numbered tags": ("x.parquet", parquet(tokens=pa.array([["a"]]), tags=pa.array([[1]]))),
    "utf-16": ("x.jsonl", '{"text": "a"}\n'.encode("utf-16")),
    "utf-32": ("train.txt", "a\tO\n".encode("utf-32")),
    "not an archive": ("x.tar", b"<html>404</html>"),
    "an empty archive": ("x.tar", b""),
    "a truncated archive": ("x.tar", b"a.txt".ljust(512, b"\0")[:300]),
    "a compressed web page": ("x.tar.gz", gzip.compress(b"<html>404</html>")),
    "compressed junk": ("x.tar.gz", b"\x1f\x8b\x08" + b"\xff" * 90),
    "a truncated compressed archive": ("x.tar.gz", gzip.compress(bytes(range(256)) * 40)[:60]),
}


@pytest.mark.promise(35)
@pytest.mark.parametrize("name", BROKEN)
def test_unreadable_file_is_named(source: Path, name: str) -> None:
    file, content = BROKEN[name]
    (source / file).write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(CorpusError, match=file.replace(".", r"\.")):
            list(open_corpus(source))
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def structs(depth: int) -> bytes:
    """Return a Parquet footer, in Thrift's compact protocol, with columns nested `depth` times."""
    inner = b"\x48\x01a\x15\x02\x00"  # name a, one child
    count = depth + 1
    size = bytes([0xFC]) + _varint(count)
    leaf = b"\x15\x0c\x25\x02\x18\x04text\x00"  # an optional string with the name text
    return b"\x15\x02\x19" + size + inner * depth + leaf + b"\x16\x00\x19\x0c\x00"


def _varint(number: int) -> bytes:
    encoded = b""
    while number > 127:
        encoded += bytes([number & 127 | 128])
        number >>= 7
    return encoded + bytes([number])


def test_deeply_nested_columns(source: Path) -> None:
    # In a separate process, which a crash of the library would end.
    data = structs(200_000)
    (source / "x.parquet").write_bytes(b"PAR1" + data + struct.pack("<I", len(data)) + b"PAR1")
    code = (
        "import sys\nfrom amia.errors import CorpusError\nfrom amia.readers import open_corpus\n"
        "try: list(open_corpus(sys.argv[1]))\nexcept CorpusError as error: print('refused')\n"
    )
    process = subprocess.run([sys.executable, "-c", code, str(source)], capture_output=True, text=True, cwd=ROOT)
    assert (process.returncode, process.stdout) == (0, "refused\n"), process.stderr[-500:]


@pytest.mark.parametrize(("depth", "refused"), [(1, False), (60, False), (65, True)])
def test_schema_depth_has_a_limit(source: Path, depth: int, refused: bool) -> None:
    column = pa.array(["text"])
    for _ in range(depth):
        column = pa.StructArray.from_arrays([column], ["a"])
    pq.write_table(pa.table({"text": ["Oslo"], "nested": column}), source / "x.parquet")
    if refused:
        with pytest.raises(CorpusError, match="nested more than 64 levels"):
            list(open_corpus(source))
    else:
        assert [post.text for post in open_corpus(source)] == ["Oslo"]


@pytest.mark.promise(31)
def test_second_schema_is_checked_too(source: Path, marker: Path) -> None:
    dangerous = base64.b64encode(schema_with_pickle("arrow.py_extension_type", marker).serialize().to_pybytes())
    plain = pa.schema([("text", pa.string())])
    table = pa.table({"text": ["a"]}).cast(plain.with_metadata({"note": b"ARROW:schema\x18" + _varint(9) + b"x"}))
    pq.write_table(table.replace_schema_metadata({b"ARROW:schema": dangerous}), source / "x.parquet")
    with pytest.raises(CorpusError, match="extension type"):
        list(open_corpus(source))
    assert not marker.exists()
