"""Tests of reading the tables of an experiment, and of the layout of their columns."""

import json
from typing import Any

import pytest

from amia.errors import RunError
from amia.report.experiment_tables import ExperimentTables, parse_tables

TABLE = {
    "name": "table-1",
    "title": "Main",
    "head": ["method", "F1", "minus"],
    "over": ["", "tweets", "tweets"],
    "rows": [["umt", "74.1 ± 0.2", "+0.5"], ["maf", "73.8 ± 0.2", "–"]],
    "intervals": [[None, None, [0.5, -1.25, 1.0]], [None, None, None]],
    "notes": ["n", "of all"],
}
EXPERIMENT = {"name": "paper", "notice": None, "tables": [TABLE]}


def parse(tree: Any) -> ExperimentTables:
    return parse_tables(json.dumps(tree).encode(), "experiments/x/tables.json")


def test_parses_tables() -> None:
    experiment = parse({**EXPERIMENT, "notice": "demo weights", "grid": {"seeds": [0]}})
    assert (experiment.name, experiment.notice) == ("paper", "demo weights")
    assert experiment.tables[0].rows[0] == ["umt", "74.1 ± 0.2", "+0.5"]
    assert experiment.tables[0].intervals[0][2] == (0.5, -1.25, 1.0)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ([], "the file"),
        ({**EXPERIMENT, "tables": [{**TABLE, "rows": [["umt", 74.1]]}]}, "tables.0.rows.0.1"),
        ({**EXPERIMENT, "tables": [{**TABLE, "rows": [["umt"]]}]}, "'table-1': the number of cells in a row"),
        ({**EXPERIMENT, "tables": [{**TABLE, "over": ["tweets"]}]}, "'table-1': the number of cells in a row"),
        ({**EXPERIMENT, "tables": [{**TABLE, "intervals": [[None] * 3]}]}, "'table-1': the number of rows of cells"),
        (
            {**EXPERIMENT, "tables": [{**TABLE, "intervals": [[None, None, [0.5]], [None] * 3]}]},
            "tables.0.intervals.0.2",
        ),
        ({**EXPERIMENT, "tables": [{"name": "x"}]}, "tables.0.title"),
        ({"name": "paper", "tables": []}, "notice"),
        ({**EXPERIMENT, "name": None}, "name"),
    ],
)
def test_rejects_invalid_content(tree: Any, message: str) -> None:
    with pytest.raises(RunError, match=r"^experiments/x/tables.json holds no tables") as caught:
        parse(tree)
    assert message in str(caught.value)


def test_rejects_invalid_json() -> None:
    with pytest.raises(RunError, match=r"^experiments/x/tables\.json"):
        parse_tables(b"\xff{", "experiments/x/tables.json")


def test_text_and_interval_columns() -> None:
    (table,) = parse(EXPERIMENT).tables
    assert table.text_columns == [True, False, False]
    assert table.interval_columns == [False, False, True]
    assert table.max_abs_interval == 1.25
    empty = parse({**EXPERIMENT, "tables": [{**TABLE, "rows": [], "intervals": []}]}).tables[0]
    assert (empty.interval_columns, empty.max_abs_interval) == ([False] * 3, 0.0)


def test_column_groups_of_several_data_sets() -> None:
    assert parse(EXPERIMENT).tables[0].column_groups == []
    several = {**TABLE, "over": ["", "tweets", "others"]}
    groups = parse({**EXPERIMENT, "tables": [several]}).tables[0].column_groups
    assert groups == [("", 1), ("tweets", 1), ("others", 2)]


def test_shared_notes() -> None:
    tables = [TABLE, {**TABLE, "notes": ["m", "of all", "demo"]}]
    experiment = parse({**EXPERIMENT, "notice": "demo", "tables": tables})
    assert experiment.shared_notes == ["of all"]
    assert [experiment.own_notes(table) for table in experiment.tables] == [["n"], ["m"]]
