"""`amia predict --text`: one text, alone, with an image, or augmented like the posts of a run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from amia import mner

Amia = Callable[..., tuple[int, str, str]]


def read_rows(folder: Path) -> list[dict[str, Any]]:
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def test_predicts_one_text(amia: Amia, tiny: Path, tmp_path: Path, augmented: Path) -> None:
    text = "RT @orla:  Blue skies over [Kyoto] tonight"
    code, output, errors = amia("predict", "--model", tiny, "--text", text, "--json")
    assert (code, errors) == (0, "")
    tree = json.loads(output)
    assert tree["entities"]
    assert all(text[entity["start"] : entity["end"]] == entity["text"] for entity in tree["entities"])
    assert not tree["looked"]
    assert "theta" not in tree
    image = tmp_path / "x.jpg"
    image.write_bytes(read_rows(augmented / "augmented" / "original")[0]["image"]["bytes"])
    code, output, _ = amia("predict", "--model", tiny, "--text", text, "--image", image)
    assert code == 0
    lines = [" ".join(line.split(maxsplit=3)) for line in output.splitlines()]
    entities = mner.load(tiny).predict(text, image)
    assert lines == [
        f"{entity.type} {entity.start}-{entity.end} {entity.score:.3f} {entity.text}" for entity in entities
    ]


def test_augments_like_the_run(amia: Amia, augmented: Path, tmp_path: Path, tiny: Path) -> None:
    post = next(row for row in read_rows(augmented / "posts") if row["image_status"] == "ok" and row["split"] == "test")
    row = next(row for row in read_rows(augmented / "augmented" / "adaptive") if row["id"] == post["id"])
    (tmp_path / "x.jpg").write_bytes(post["image"]["bytes"])
    command = ("predict", "--model", tiny, "--augment", augmented, "--text", post["text"], "--json")
    code, output, errors = amia(*command, "--image", tmp_path / "x.jpg")
    assert (code, errors) == (0, "")
    tree = json.loads(output)
    assert tree["theta"] == pytest.approx(row["theta"], abs=1e-3)
    assert tree["ratio"] == pytest.approx(tree["theta"])
    assert tree["theta_synthesized"] is None
    assert tree["cosine"] == pytest.approx(row["cosine"], abs=1e-3)
    assert (tree["image_status"], tree["synthesis_status"], tree["looked"]) == ("ok", "ok", True)
    tree = json.loads(amia(*command)[1])
    assert (tree["theta"], tree["ratio"], tree["image_status"], tree["looked"]) == (0, 0, "no_image", True)
    assert "theta" in amia(*command[:-1])[1]


def test_scores_the_synthesized_image_in_an_arm_that_needs_it(
    amia: Amia, controls: Path, tmp_path: Path, tiny: Path
) -> None:
    rows = {row["id"]: row for row in read_rows(controls / "augmented" / "two-sided")}
    posts = (row for row in read_rows(controls / "posts") if row["image_status"] == "ok" and row["split"] == "test")
    post = next(row for row in posts if 0.01 < rows[row["id"]]["theta"] < 0.99)
    (tmp_path / "x.jpg").write_bytes(post["image"]["bytes"])
    command = ("predict", "--model", tiny, "--augment", controls, "--text", post["text"])
    command = (*command, "--image", tmp_path / "x.jpg", "--arm", "two-sided")
    tree = json.loads(amia(*command, "--json")[1])
    # The image is synthesized from another seed, since the text has no id: its theta may differ.
    theta, theta_v = tree["theta"], tree["theta_synthesized"]
    assert theta == pytest.approx(rows[post["id"]]["theta"], abs=1e-3)
    assert tree["ratio"] == pytest.approx(theta / (theta + (1 - theta) * theta_v))
    assert f"of the synthesized image {theta_v:.3f}, {tree['ratio']:.3f} of the original" in amia(*command)[1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--text", "x", "--image", "no/such.jpg"], 3, "missing: no/such.jpg"),
        (["--text", " "], 3, "no text"),
        (["--text", "x", "--run", "r"], 2, "either --text or --run"),
        ([], 2, "either --text or --run"),
        (["--run", "r", "--image", "x.jpg"], 2, "require --text"),
        (["--text", "x", "--model", "no/such/model"], 4, "no recognizer 'no/such/model'"),
        (["--text", "x", "--augment", "no/such/run"], 8, "no finished arm"),
        (["--text", "x", "prediction.device=gpu"], 2, "'gpu' is unknown"),
    ],
)
def test_reports_user_errors(amia: Amia, tiny: Path, arguments: list[str], code: int, message: str) -> None:
    exit_code, _, errors = amia("predict", "--model", tiny, *arguments)
    assert exit_code == code
    assert errors.startswith("error: ")
    assert message in errors
    assert "Traceback" not in errors
