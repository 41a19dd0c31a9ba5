"""An experiment's tables: read as they are written, refused by name where they are anything else."""

import json
from typing import Any

import pytest

from amia.errors import RunError
from amia.report.tables import read_tables

TABLE = {"name": "table-1", "title": "Main", "head": ["method", "F1"], "rows": [["umt", "74.1 ± 0.2"]], "notes": ["n"]}
WHOLE = {"name": "paper", "notice": None, "tables": [TABLE]}


def read(tree: Any) -> Any:
    return read_tables(json.dumps(tree).encode(), "experiments/x/tables.json")


def test_what_was_written_is_read() -> None:
    experiment = read({**WHOLE, "notice": "demo weights", "grid": {"seeds": [0]}})
    assert (experiment.name, experiment.notice) == ("paper", "demo weights")
    assert experiment.tables[0].rows == [["umt", "74.1 ± 0.2"]]


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ([], "the whole"),
        ({**WHOLE, "tables": [{**TABLE, "rows": [["umt", 74.1]]}]}, "tables.0.rows.0.1"),
        ({**WHOLE, "tables": [{**TABLE, "rows": [["umt"]]}]}, "'table-1': a row has another number of cells"),
        ({**WHOLE, "tables": [{"name": "x"}]}, "tables.0.title"),
        ({"name": "paper", "tables": []}, "notice"),
        ({**WHOLE, "name": None}, "name"),
    ],
)
def test_another_shape_is_refused_by_name(tree: Any, said: str) -> None:
    with pytest.raises(RunError, match=r"^experiments/x/tables.json holds no tables") as caught:
        read(tree)
    assert said in str(caught.value)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(RunError, match=r"^experiments/x/tables\.json"):
        read_tables(b"\xff{", "experiments/x/tables.json")
