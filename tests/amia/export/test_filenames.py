"""Ids as file names: whatever a corpus calls its posts, no two files are one, and none lies outside its folder."""

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
def test_ids_of_public_data_stay(post_id: str) -> None:
    assert to_filename(post_id) == post_id


@given(IDS)
def test_a_key_is_a_plain_file_name_everywhere(post_id: str) -> None:
    key = to_filename(post_id)
    assert key == to_filename(post_id)
    assert 0 < len(key.encode()) <= MAX_NAME_BYTES
    assert set(key) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
    assert not key.startswith("-")
    for path in (PurePosixPath(key + ".jpg"), PureWindowsPath(key + ".jpg")):
        assert (len(path.parts), path.stem, path.is_absolute()) == (1, key, False)
    assert not PureWindowsPath(key + ".jpg").is_reserved()
    assert webdataset.tariterators.base_plus_ext(f"{key}.jpg") == (key, "jpg")
    assert key == post_id or len(key.rpartition("--")[2]) == 32


@given(st.sets(IDS, min_size=2))
@example({"a", "A"})
@example({"a.b", "a_b", "a/b"})
@example({to_filename("a.b"), "a.b", to_filename("a.b").upper()})
def test_no_two_ids_share_a_file_on_a_disk_that_ignores_case(ids: set[str]) -> None:
    taken = find_collisions(pa.chunked_array([list(ids)], pa.string()))
    keys = {to_filename(each, taken).lower() for each in ids}
    assert len(keys) == len(ids)


@given(st.sets(IDS))
def test_clashing_is_what_a_plain_count_finds(ids: set[str]) -> None:
    def lower(text: str) -> str:
        return "".join(chr(ord(each) + 32) if "A" <= each <= "Z" else each for each in text)

    expected = {lower(each) for each in ids if any(lower(each) == lower(other) for other in ids - {each})}
    assert find_collisions(pa.chunked_array([list(ids)], pa.string())) == expected


def test_a_name_that_is_taken_is_not_given() -> None:
    assert to_filename("17_06_4705") == "17_06_4705"
    assert to_filename("17_06_4705", {"17_06_4705"}).startswith("17_06_4705--")
    assert to_filename("INF", {"inf"}) != "INF"
