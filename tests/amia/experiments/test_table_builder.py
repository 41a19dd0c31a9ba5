"""Tests of whole tables: their cells, CSV records and footnotes."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amia.errors import SettingsError
from amia.experiments.formatting import COMPARISON_COLUMN, MISSING
from amia.experiments.results import CellResult
from amia.experiments.run_specs import TABLES, RunSpec
from amia.experiments.score_grid import ScoreGrid
from amia.experiments.table import Table
from amia.experiments.table_builder import build_tables
from tests.helpers.simulated_results import POSTS, TWITTER_2015, dataset_info, make_cell, make_cells

OTHER_DATA = dataset_info(posts={"train": 400, "test": POSTS})
"""A data set that is not in the paper."""


def build(results: list[CellResult], *names: str, **overrides: object) -> dict[str, Table]:
    defaults: dict[str, object] = {
        "recognizers": ["umt"],
        "text_systems": ["bert-crf"],
        "seeds": [0, 1],
        "data": {"tweets": OTHER_DATA},
        "resamples": 99,
    }
    tables = build_tables(names or TABLES, results, **defaults | overrides)  # type: ignore[arg-type]  # mixed types
    return {table.name: table for table in tables}


def get_row(table: Table, *labels: str) -> dict[str, str]:
    rows = [row for row in table.rows if set(labels) <= set(row)]
    assert len(rows) == 1
    return dict(zip(column_names(table), rows[0], strict=True))


def column_names(table: Table) -> list[str]:
    """Return the names of the columns, including their data set."""
    return [f"{over} {name}".strip() for over, name in zip(table.over, table.head, strict=True)]


def value_cells(table: Table) -> set[str]:
    """Return all cells except labels."""
    return {cell for cells in table.rows for cell, over in zip(cells, table.over, strict=True) if over}


def small_cells(arm: str, recognizer: str, *seeds: list[list[int]]) -> list[CellResult]:
    """Return one cell per seed on four posts with one entity each; the last post has no image."""
    has_image = np.arange(4) < 3
    return [
        make_cell(counts, recognizer=recognizer, arm=arm, seed=seed, has_image=has_image)
        for seed, counts in enumerate(seeds)
    ]


CORRECT, WRONG, MISSED = [1, 1, 1], [0, 1, 1], [0, 0, 1]
SMALL = [
    *small_cells("text", "bert-crf", [CORRECT, CORRECT, WRONG, WRONG], [CORRECT, CORRECT, CORRECT, MISSED]),
    *small_cells("original", "umt", [WRONG] * 4, [WRONG] * 4),
    *small_cells("adaptive", "umt", [CORRECT] * 4),
]
ALL_CELLS = make_cells(["umt", "maf"], ["bert-crf"], [0, 1], TABLES)


EXPECTED_MARKDOWN = """\
## Table 1: text only, original images, augmented images

| Input                  | Recognizer | P             | R             | F1               | F1 with image | adaptive − row [95 % CI], p (Holm)      |
|------------------------|------------|---------------|---------------|------------------|---------------|-----------------------------------------|
| text                   | bert-crf   | 75.00 ± 35.36 | 62.50 ± 17.68 | 67.86 ± 25.25    | 83.33 ± 23.57 | –                                       |
| text + original image  | umt        | 0.00 ± 0.00   | 0.00 ± 0.00   | 0.00 ± 0.00      | 0.00 ± 0.00   | +100.00 [+100.00, +100.00], p = 0.020 * |
| text + augmented image | umt        | 100.00 ± –    | 100.00 ± –    | 100.00 ± – (n=1) | 100.00 ± –    | –                                       |
| text + two-sided image | umt        | –             | –             | –                | –             | –                                       |

- tweets: 4 labeled test posts, of which 3 with a valid image.
- P, R, F1: micro-averaged over the entities of the test posts, in percent. An entity is correct if its first word, last word and type are. Mean ± standard deviation (n - 1) over 2 seeds, or n seeds in cells with n=. –: no result, or no gold entity.
- F1 with image: F1 on the test posts with a valid image.
- adaptive − row: difference of mean F1 in percentage points, its 95 % confidence interval and two-sided p, from a paired bootstrap over test posts (99 resamples). p is adjusted for multiple comparisons (Holm), the interval is not. *: p < 0.05. The bootstrap accounts for the choice of test posts only; ± shows the variation between trainings; k/n seeds counts the seeds in which adaptive scores higher.
- Holm's adjustment covers the 1 comparison of this table.
- Made with demo weights.
"""  # noqa: E501


def test_markdown_of_a_small_table():
    """Computed by hand: F1 of bert-crf is 1/2 and 6/7; adaptive is always right, original never: p = 2 / (99 + 1)."""
    assert build(SMALL, "table1", notice="Made with demo weights.")["table1"].markdown() == EXPECTED_MARKDOWN


def test_cells_are_formatted_csv_values():
    results = make_cells(["umt", "maf"], ["bert", "bert-crf"], [0, 1], TABLES, improvement=0.2)
    tables = build(results, recognizers=["umt", "maf"], text_systems=["bert", "bert-crf"])
    for name in TABLES:
        table = tables[name]
        lines = list(csv.DictReader(io.StringIO(table.csv())))
        assert len(lines) == len(table.rows)
        for line, cells, intervals in zip(lines, table.rows, table.intervals, strict=True):
            row = dict(zip(column_names(table), cells, strict=True))
            for column, field in (
                ("P", "precision"),
                ("R", "recall"),
                ("F1", "f1"),
                ("F1 with image", "with_image_f1"),
            ):
                if f"tweets {column}" in row:
                    mean, std = float(line[f"{field}_mean"]), float(line[f"{field}_sd"])
                    assert row[f"tweets {column}"] == f"{mean:.2f} ± {std:.2f}"
            comparison, interval = row[f"tweets {COMPARISON_COLUMN}"], intervals[-1]
            assert not any(intervals[:-1])
            if comparison == MISSING:
                assert interval is None
                assert line["adaptive_minus_this"] == line["p"] == ""
                continue
            assert comparison.startswith(
                f"{float(line['adaptive_minus_this']):+.2f} [{float(line['low']):+.2f}, {float(line['high']):+.2f}], "
            )
            assert interval == tuple(float(line[column]) for column in ("adaptive_minus_this", "low", "high"))
            assert float(line["p"]) <= float(line["p_holm"])
            assert (" *" in comparison) == (float(line["p_holm"]) < 0.05)
            assert comparison.endswith(f", higher in {line['ahead']}/{line['of_seeds']} seeds")
        assert [dict(zip(lines[0], map(str, record.values()), strict=True)) for record in table.records] == [
            {key: value or "None" for key, value in line.items()} for line in lines
        ]


def test_csv_has_full_precision():
    result = make_cell([[1, 2, 3], [1, 1, 1]], recognizer="bert-crf", arm="text")
    (line, *_) = csv.DictReader(io.StringIO(build([result], "table1")["table1"].csv()))
    assert float(line["precision_mean"]) == 100 * (2 / 3)
    assert (line["seeds"], line["posts"], line["precision_sd"]) == ("1", "2", "")


@settings(max_examples=25)
@given(results=st.lists(st.sampled_from(ALL_CELLS), unique_by=id, max_size=30))
def test_numbers_only_where_there_are_results(results):
    runs = {(result.recognizer, result.arm, result.swapped) for result in results}
    tables = build(results, recognizers=["umt", "maf"], resamples=19)
    for name in TABLES:
        for record, cells in zip(tables[name].records, tables[name].rows, strict=True):
            row = dict(zip(column_names(tables[name]), cells, strict=True))
            has_result = (record["recognizer"], record["arm"], record["swapped"]) in runs
            assert (record["seeds"] != 0) == has_result
            assert (row["tweets F1"] != MISSING) == has_result
            has_comparison = (
                has_result
                and (record["recognizer"], "adaptive", False) in runs
                and (record["arm"], record["swapped"]) != ("adaptive", False)
                and record["recognizer"] != "bert-crf"
            )
            assert (row.get(f"tweets {COMPARISON_COLUMN}", MISSING) != MISSING) == has_comparison
            if not has_result:
                assert {cell for column, cell in row.items() if column.startswith("tweets")} == {MISSING}


def test_tables_without_results():
    tables = build([], data={"tweets": OTHER_DATA, "others": OTHER_DATA})
    assert list(tables) == [*TABLES, "claims"]
    for table in tables.values():
        assert value_cells(table) == {MISSING}
        assert table.markdown().count("|\n") == len(table.rows) + 2
        json.dumps(table.to_json(), allow_nan=False)
    assert "tweets: no results." in tables["table1"].notes


def test_number_of_seeds_if_some_are_missing():
    results = [result for result in ALL_CELLS if (result.arm, result.seed) != ("noise", 1)]
    controls = build(results, "controls")["controls"]
    assert get_row(controls, "noise")["tweets F1"].endswith("± – (n=1)")
    assert "n=" not in get_row(controls, "none, text only")["tweets F1"]
    assert not any("With one seed" in note for note in controls.notes)


def test_one_seed_has_no_std_and_a_warning():
    table = build([result for result in ALL_CELLS if result.seed == 0], "table2", seeds=[0])["table2"]
    assert get_row(table, "umt", "theta = 0.5")["tweets F1"].endswith("± –")
    assert any("With one seed, two trained models are compared, not two methods." in note for note in table.notes)


def test_posts_without_images():
    without_images = [
        replace(result, has_image=np.zeros(POSTS, bool), theta=np.full(POSTS, np.nan)) for result in ALL_CELLS
    ]
    tables = build(without_images)
    assert value_cells(tables["table3"]) == {MISSING}
    assert get_row(tables["table1"], "bert-crf")["tweets F1 with image"] == MISSING
    assert get_row(tables["table1"], "bert-crf")["tweets F1"] != MISSING


def test_posts_without_entities():
    without_entities = [replace(result, counts=np.zeros((POSTS, 3), np.int64)) for result in ALL_CELLS]
    for name, table in build(without_entities).items():
        if name != "claims":
            assert all(record["f1_mean"] is None and record["p"] is None for record in table.records)
        assert value_cells(table) == {MISSING}


def test_no_column_of_posts_with_image_if_all_have_one():
    with_images = [replace(result, has_image=np.ones(POSTS, bool), theta=np.full(POSTS, 0.7)) for result in ALL_CELLS]
    table = build(with_images, "table1")["table1"]
    assert "F1" in table.head
    assert "F1 with image" not in table.head


def test_table_3_splits_posts_by_theta():
    table = build(ALL_CELLS, "table3")["table3"]
    sizes = {part: int(ALL_CELLS[0].mask(part).sum()) for part in ("matched", "mismatched")}
    assert {(record["part"], record["posts"]) for record in table.records} == set(sizes.items())
    assert f"{sizes['mismatched']:,} mismatched (with an image and theta <= 0.5)" in table.notes[0]
    assert "F1 with image" not in table.head
    (original,) = [
        result
        for result in ALL_CELLS
        if (result.recognizer, result.arm, result.seed) == ("umt", "original", 0) and not result.swapped
    ]
    alone = build([original], "table3")["table3"]
    assert get_row(alone, "matched", "original")["tweets F1"].startswith(f"{100 * original.score('matched').f1:.2f}")


def test_scores_of_the_paper():
    data = {"big": dataset_info(posts=TWITTER_2015), "small": dataset_info(), "own": OTHER_DATA}
    tables = build([], data=data, text_systems=["bilstm-crf", "bert-crf"], recognizers=["umt", "maf"])
    bilstm = get_row(tables["table1"], "bilstm-crf")
    assert (bilstm["big F1 (paper)"], bilstm["small F1 (paper)"]) == ("64.42 ‡", "76.31 ‡")
    assert "own F1 (paper)" not in bilstm
    assert get_row(tables["table2"], "maf", "cosine similarity as theta")["big F1 (paper)"] == "73.28 †"
    notes = "\n".join(tables["table2"].notes)
    assert "† big, maf, cosine similarity as theta: inconsistent in the paper: its P and R give an F1 of 74.27" in notes
    assert "‡" not in notes
    assert any(note.startswith("‡ Copied by the paper") for note in tables["table1"].notes)
    assert not any("(paper)" in column for column in tables["controls"].head)
    (line,) = [
        line
        for line in csv.DictReader(io.StringIO(tables["table2"].csv()))
        if (line["data"], line["recognizer"], line["arm"]) == ("big", "maf", "cosine")
    ]
    assert [line[f"paper_{name}"] for name in ("precision", "recall", "f1")] == ["73.31", "75.25", "73.28"]
    assert (line["f1_mean"], line["seeds"]) == ("", "0")


def test_holm_covers_all_data_sets_and_recognizers():
    others = [replace(result, data="others") for result in ALL_CELLS]
    data = {"tweets": OTHER_DATA, "others": OTHER_DATA}
    table = build([*ALL_CELLS, *others], "table2", data=data, recognizers=["umt", "maf"])["table2"]
    assert sum(record["p"] is not None for record in table.records) == 28
    assert any("covers the 28 comparisons of this table" in note for note in table.notes)
    assert all(record["p_holm"] is None or record["p_holm"] >= record["p"] for record in table.records)


def test_warns_of_too_few_resamples():
    too_few = build(ALL_CELLS, "table2", recognizers=["umt", "maf"])["table2"]
    assert any("at least 560 are required" in note for note in too_few.notes)
    enough = build(ALL_CELLS, "table2", recognizers=["umt", "maf"], resamples=560)["table2"]
    assert not any("are required" in note for note in enough.notes)


def test_special_characters_and_other_data_sets():
    name = 'tweets|of "May"\n<b>'
    results = [replace(result, data=name) for result in ALL_CELLS] + ALL_CELLS
    table = build(results, "table1", data={name: OTHER_DATA})["table1"]
    assert (table.over[2], table.head[2]) == (name, "P")
    several = build(ALL_CELLS, "table1", data={name: OTHER_DATA, "tweets": OTHER_DATA})["table1"]
    assert '| tweets\\|of "May" <b> P' in several.markdown()
    assert next(csv.DictReader(io.StringIO(table.csv())))["data"] == name
    assert {record["data"] for record in table.records} == {name}


def test_order_of_tables():
    assert list(build(ALL_CELLS, "controls", "table1", "controls")) == ["controls", "table1", "claims"]
    assert list(build(ALL_CELLS, "table1", recognizers=[])) == ["table1"]
    data = {"tweets": OTHER_DATA}
    assert build_tables([], ALL_CELLS, recognizers=["umt"], text_systems=[], seeds=[0], data=data) == []


def test_rejects_unknown_table():
    with pytest.raises(SettingsError, match="did you mean 'controls'"):
        build(ALL_CELLS, "control")


def test_order_of_results_does_not_matter():
    assert build(ALL_CELLS) == build(ALL_CELLS[::-1])


def test_swapped_images_have_their_own_rows():
    grid = ScoreGrid(ALL_CELLS, [0, 1], 9)
    table = build(ALL_CELLS, "controls")["controls"]
    for arm in ("adaptive", "original"):
        swapped = grid.score("tweets", RunSpec("umt", arm, swapped=True))
        assert swapped is not None
        f1 = get_row(table, f"{arm}, swapped at evaluation")["tweets F1"]
        assert f1.startswith(f"{swapped.f1.mean:.2f} ")
        assert f1 != get_row(table, arm)["tweets F1"]
