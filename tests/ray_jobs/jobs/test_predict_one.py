"""`amia predict --text`: one new text, alone, with an image, or measured as a run measures its posts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from amia import mner

Amia = Callable[..., tuple[int, str, str]]


def rows(folder: Path) -> list[dict[str, Any]]:
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def test_the_entities_of_one_text(amia: Amia, tiny: Path, tmp_path: Path, augmented: Path) -> None:
    text = "RT @orla:  Blue skies over [Kyoto] tonight"
    code, said, complained = amia("predict", "--model", tiny, "--text", text, "--json")
    assert (code, complained) == (0, "")
    told = json.loads(said)
    assert told["entities"]
    assert [text[each["start"] : each["end"]] for each in told["entities"]] == [e["text"] for e in told["entities"]]
    assert not told["looked"]
    assert "theta" not in told
    image = tmp_path / "x.jpg"
    image.write_bytes(rows(augmented / "augmented" / "original")[0]["image"]["bytes"])
    code, said, _ = amia("predict", "--model", tiny, "--text", text, "--image", image)
    assert code == 0
    found = columns(said)
    expected = mner.load(tiny).predict(text, image)
    assert found == [f"{each.type} {each.start}-{each.end} {each.score:.3f} {each.text}" for each in expected]


def columns(said: str) -> list[str]:
    return [" ".join(line.split(maxsplit=3)) for line in said.splitlines()]


def test_a_new_post_is_measured_as_the_run_measured_its_own(
    amia: Amia, augmented: Path, tmp_path: Path, tiny: Path
) -> None:
    post = next(row for row in rows(augmented / "posts") if row["image_status"] == "ok" and row["split"] == "test")
    row = next(row for row in rows(augmented / "augmented" / "adaptive") if row["id"] == post["id"])
    (tmp_path / "x.jpg").write_bytes(post["image"]["bytes"])
    words = ("predict", "--model", tiny, "--augment", augmented, "--text", post["text"], "--json")
    code, said, complained = amia(*words, "--image", tmp_path / "x.jpg")
    assert (code, complained) == (0, "")
    told = json.loads(said)
    assert told["theta"] == pytest.approx(row["theta"], abs=1e-3)
    assert told["ratio"] == pytest.approx(told["theta"])
    assert told["cosine"] == pytest.approx(row["cosine"], abs=1e-3)
    assert (told["image_status"], told["synthesis_status"], told["looked"]) == ("ok", "ok", True)
    told = json.loads(amia(*words)[1])
    assert (told["theta"], told["ratio"], told["image_status"], told["looked"]) == (0, 0, "no_image", True)
    assert "theta" in amia(*words[:-1])[1]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--text", "x", "--image", "no/such.jpg"], 3, "missing: no/such.jpg"),
        (["--text", " "], 3, "no text"),
        (["--text", "x", "--run", "r"], 2, "either --text, or --run"),
        ([], 2, "either --text, or --run"),
        (["--run", "r", "--image", "x.jpg"], 2, "belong to --text"),
        (["--text", "x", "--model", "no/such/model"], 4, "no recognizer 'no/such/model'"),
        (["--text", "x", "--augment", "no/such/run"], 8, "no finished arm"),
        (["--text", "x", "prediction.device=gpu"], 2, "'gpu' is unknown"),
    ],
)
def test_what_a_person_gets_wrong(amia: Amia, tiny: Path, words: list[str], code: int, said: str) -> None:
    left, _, complained = amia("predict", "--model", tiny, *words)
    assert left == code
    assert complained.startswith("error: ")
    assert said in complained
    assert "Traceback" not in complained
