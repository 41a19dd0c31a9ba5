"""An experiment's tables: read as they are written, refused by name where they are anything else."""

import json
from typing import Any

import pytest

from amia.errors import RunError
from amia.report.experiment_tables import read_tables

TABLE = {
    "name": "table-1",
    "title": "Main",
    "head": ["method", "F1", "minus"],
    "over": ["", "tweets", "tweets"],
    "rows": [["umt", "74.1 ± 0.2", "+0.5"], ["maf", "73.8 ± 0.2", "–"]],
    "intervals": [[None, None, [0.5, -1.25, 1.0]], [None, None, None]],
    "notes": ["n", "of all"],
}
WHOLE = {"name": "paper", "notice": None, "tables": [TABLE]}


def read(tree: Any) -> Any:
    return read_tables(json.dumps(tree).encode(), "experiments/x/tables.json")


def test_what_was_written_is_read() -> None:
    experiment = read({**WHOLE, "notice": "demo weights", "grid": {"seeds": [0]}})
    assert (experiment.name, experiment.notice) == ("paper", "demo weights")
    assert experiment.tables[0].rows[0] == ["umt", "74.1 ± 0.2", "+0.5"]
    assert experiment.tables[0].intervals[0][2] == (0.5, -1.25, 1.0)


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ([], "the whole"),
        ({**WHOLE, "tables": [{**TABLE, "rows": [["umt", 74.1]]}]}, "tables.0.rows.0.1"),
        ({**WHOLE, "tables": [{**TABLE, "rows": [["umt"]]}]}, "'table-1': a row has another number of cells"),
        ({**WHOLE, "tables": [{**TABLE, "over": ["tweets"]}]}, "'table-1': a row has another number of cells"),
        ({**WHOLE, "tables": [{**TABLE, "intervals": [[None] * 3]}]}, "'table-1': there are not as many rows"),
        ({**WHOLE, "tables": [{**TABLE, "intervals": [[None, None, [0.5]], [None] * 3]}]}, "tables.0.intervals.0.2"),
        ({**WHOLE, "tables": [{"name": "x"}]}, "tables.0.title"),
        ({"name": "paper", "tables": []}, "notice"),
        ({**WHOLE, "name": None}, "name"),
    ],
)
def test_another_shape_is_refused_by_name(tree: Any, said: str) -> None:
    with pytest.raises(RunError, match=r"^experiments/x/tables.json holds no tables") as caught:
        read(tree)
    assert said in str(caught.value)


def test_columns_are_words_or_numbers_and_drawn_where_any_row_has_an_interval() -> None:
    (table,) = read(WHOLE).tables
    assert table.words == [True, False, False]
    assert table.drawn == [False, False, True]
    assert table.reach == 1.25
    empty = read({**WHOLE, "tables": [{**TABLE, "rows": [], "intervals": []}]}).tables[0]
    assert (empty.drawn, empty.reach) == ([False] * 3, 0.0)


def test_data_sets_stand_over_their_columns_where_there_are_several() -> None:
    assert read(WHOLE).tables[0].parties == []
    several = {**TABLE, "over": ["", "tweets", "others"]}
    assert read({**WHOLE, "tables": [several]}).tables[0].parties == [("", 1), ("tweets", 1), ("others", 2)]


def test_what_several_tables_say_is_said_once() -> None:
    experiment = read({**WHOLE, "notice": "demo", "tables": [TABLE, {**TABLE, "notes": ["m", "of all", "demo"]}]})
    assert experiment.shared == ["of all"]
    assert [experiment.own(table) for table in experiment.tables] == [["n"], ["m"]]


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(RunError, match=r"^experiments/x/tables\.json"):
        read_tables(b"\xff{", "experiments/x/tables.json")
