"""Ids as file names: unique and within the folder for any ids."""

from pathlib import PurePosixPath, PureWindowsPath

import pyarrow as pa
import pytest
import webdataset.tariterators
from hypothesis import example, given
from hypothesis import strategies as st

from amia.export.filenames import MAX_NAME_BYTES, find_collisions, to_filename

IDS = st.one_of(
    st.text(min_size=1).filter(lambda text: text.isprintable() or "\n" in text or "\0" in text),
    st.from_regex(r"[A-Za-z0-9_./\\-]{1,120}", fullmatch=True),
    st.sampled_from(
        ["con", "CON", "nul.txt", ".", "..", "../x", "a/b", "a.b", "x" * 80, "x" * 81, "é", "e\u0301", "-r"]
    ),
).filter(lambda text: text.encode(errors="ignore").decode() == text)


@pytest.mark.parametrize("post_id", ["123456789", "O_1926", "17_06_12483", "16_05_15_484", "train_1", "a-1", "x" * 80])
def test_keeps_ids_of_public_data(post_id: str) -> None:
    assert to_filename(post_id) == post_id


@given(IDS)
def test_name_is_valid_everywhere(post_id: str) -> None:
    name = to_filename(post_id)
    assert name == to_filename(post_id)
    assert 0 < len(name.encode()) <= MAX_NAME_BYTES
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
    assert not name.startswith("-")
    for path in (PurePosixPath(name + ".jpg"), PureWindowsPath(name + ".jpg")):
        assert (len(path.parts), path.stem, path.is_absolute()) == (1, name, False)
    assert not PureWindowsPath(name + ".jpg").is_reserved()
    assert webdataset.tariterators.base_plus_ext(f"{name}.jpg") == (name, "jpg")
    assert name == post_id or len(name.rpartition("--")[2]) == 32


@given(st.sets(IDS, min_size=2))
@example({"a", "A"})
@example({"a.b", "a_b", "a/b"})
@example({to_filename("a.b"), "a.b", to_filename("a.b").upper()})
def test_names_are_unique_ignoring_case(ids: set[str]) -> None:
    taken = find_collisions(pa.chunked_array([list(ids)], pa.string()))
    names = {to_filename(post_id, taken).lower() for post_id in ids}
    assert len(names) == len(ids)


@given(st.sets(IDS))
def test_find_collisions_against_loop(ids: set[str]) -> None:
    def lower(text: str) -> str:
        return "".join(chr(ord(letter) + 32) if "A" <= letter <= "Z" else letter for letter in text)

    expected = {lower(post_id) for post_id in ids if any(lower(post_id) == lower(other) for other in ids - {post_id})}
    assert find_collisions(pa.chunked_array([list(ids)], pa.string())) == expected


def test_does_not_return_taken_name() -> None:
    assert to_filename("17_06_4705") == "17_06_4705"
    assert to_filename("17_06_4705", {"17_06_4705"}).startswith("17_06_4705--")
    assert to_filename("INF", {"inf"}) != "INF"
