"""Whole tables: what they show of results, and that they show nothing else."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amia.errors import SettingsError
from amia.experiments.formatting import NOTHING
from amia.experiments.results import CellResult
from amia.experiments.run_specs import TABLES, RunSpec
from amia.experiments.score_grid import ScoreGrid
from amia.experiments.table import Table
from amia.experiments.table_builder import build_tables
from tests.helpers.simulated_results import POSTS, TWITTER_2015, cell, facts, grid_of_cells

OWN = facts(posts={"train": 400, "test": POSTS})
"""A data set that is not the paper's."""


def build(results: list[CellResult], *names: str, **other: object) -> dict[str, Table]:
    usual: dict[str, object] = {
        "recognizers": ["umt"],
        "text_systems": ["bert-crf"],
        "seeds": [0, 1],
        "data": {"tweets": OWN},
        "resamples": 99,
    }
    return {table.name: table for table in build_tables(names or TABLES, results, **usual | other)}  # type: ignore[arg-type]  # as told


def row(table: Table, *labels: str) -> dict[str, str]:
    found = [each for each in table.rows if set(labels) <= set(each)]
    assert len(found) == 1
    return dict(zip(columns(table), found[0], strict=True))


def columns(table: Table) -> list[str]:
    """Names of the columns, with their data set."""
    return [f"{over} {name}".strip() for over, name in zip(table.over, table.head, strict=True)]


def numbers(table: Table) -> set[str]:
    """What stands in the columns of data sets."""
    return {cell for cells in table.rows for cell, over in zip(cells, table.over, strict=True) if over}


def few(arm: str, recognizer: str, *seeds: list[list[int]], posts: int = 4) -> list[CellResult]:
    """Four posts with an entity each, the last one without an image."""
    has_image = np.arange(posts) < 3
    return [
        cell(counts, recognizer=recognizer, arm=arm, seed=seed, has_image=has_image)
        for seed, counts in enumerate(seeds)
    ]


RIGHT, WRONG, MISSED = [1, 1, 1], [0, 1, 1], [0, 0, 1]
SMALL = [
    *few("text", "bert-crf", [RIGHT, RIGHT, WRONG, WRONG], [RIGHT, RIGHT, RIGHT, MISSED]),
    *few("original", "umt", [WRONG] * 4, [WRONG] * 4),
    *few("adaptive", "umt", [RIGHT] * 4),
]


GOLDEN = """\
## Table 1: text alone, original images, augmented images

| Input                  | Recognizer | P             | R             | F1               | F1 with image | adaptive minus this                     |
|------------------------|------------|---------------|---------------|------------------|---------------|-----------------------------------------|
| text                   | bert-crf   | 75.00 ± 35.36 | 62.50 ± 17.68 | 67.86 ± 25.25    | 83.33 ± 23.57 | –                                       |
| text + original image  | umt        | 0.00 ± 0.00   | 0.00 ± 0.00   | 0.00 ± 0.00      | 0.00 ± 0.00   | +100.00 [+100.00, +100.00], p = 0.020 * |
| text + augmented image | umt        | 100.00 ± –    | 100.00 ± –    | 100.00 ± – (n=1) | 100.00 ± –    | –                                       |

- tweets: 4 test posts with gold labels, 3 of them with an image that could be read.
- P, R, F1: percent, micro-averaged over the entities of the test posts; right is what agrees in first word, last word and type. Mean ± standard deviation (n - 1) over 2 seeds, or n where a cell says n=. –: no run produced it, or there is no entity to find.
- F1 with image: on the test posts that came with one.
- adaptive minus this: difference of mean F1 in points, its 95 % interval and two-sided p by paired bootstrap over test posts (99 resamples); the interval is that of one comparison, p is adjusted by Holm; * p < 0.05. The bootstrap speaks of other posts of the same kind; how much trainings differ stands in ±, and k/n seeds are those with which adaptive is higher.
- p of this table is adjusted over its 1 comparison.
- Made with demo weights.
"""  # noqa: E501 - as it is written


def test_a_small_table_in_markdown():
    """By hand: bert-crf has F1 of 1/2 and 6/7; adaptive is right everywhere, original nowhere, so p is 2 / (99 + 1)."""
    assert build(SMALL, "table1", notice="Made with demo weights.")["table1"].markdown() == GOLDEN


def test_the_csv_holds_what_the_cells_of_the_table_were_written_from():
    results = grid_of_cells(["umt", "maf"], ["bert", "bert-crf"], [0, 1], TABLES, better=0.2)
    tables = build(results, recognizers=["umt", "maf"], text_systems=["bert", "bert-crf"])
    for name in TABLES:
        table = tables[name]
        read = list(csv.DictReader(io.StringIO(table.csv())))
        assert len(read) == len(table.rows)
        for line, cells, drawn in zip(read, table.rows, table.intervals, strict=True):
            shown = dict(zip(columns(table), cells, strict=True))
            for column, field in (
                ("P", "precision"),
                ("R", "recall"),
                ("F1", "f1"),
                ("F1 with image", "with_image_f1"),
            ):
                if f"tweets {column}" in shown:
                    mean, deviation = float(line[f"{field}_mean"]), float(line[f"{field}_sd"])
                    assert shown[f"tweets {column}"] == f"{mean:.2f} ± {deviation:.2f}"
            told, interval = shown["tweets adaptive minus this"], drawn[-1]
            assert not any(drawn[:-1])
            if told == NOTHING:
                assert interval is None
                assert line["adaptive_minus_this"] == line["p"] == ""
                continue
            assert told.startswith(
                f"{float(line['adaptive_minus_this']):+.2f} [{float(line['low']):+.2f}, {float(line['high']):+.2f}], "
            )
            assert interval == tuple(float(line[name]) for name in ("adaptive_minus_this", "low", "high"))
            assert float(line["p"]) <= float(line["p_holm"])
            assert (" *" in told) == (float(line["p_holm"]) < 0.05)
            assert told.endswith(f", {line['ahead']}/{line['of_seeds']} seeds")
        assert [dict(zip(read[0], map(str, record.values()), strict=True)) for record in table.records] == [
            {key: value or "None" for key, value in line.items()} for line in read
        ]


def test_the_csv_is_of_full_precision():
    result = cell([[1, 2, 3], [1, 1, 1]], recognizer="bert-crf", arm="text")
    (line, *_) = csv.DictReader(io.StringIO(build([result], "table1")["table1"].csv()))
    assert float(line["precision_mean"]) == 100 * (2 / 3)
    assert (line["seeds"], line["posts"], line["precision_sd"]) == ("1", "2", "")


WHOLE = grid_of_cells(["umt", "maf"], ["bert-crf"], [0, 1], TABLES)


@settings(max_examples=25)
@given(kept=st.lists(st.sampled_from(WHOLE), unique_by=id, max_size=30))
def test_no_number_without_a_run(kept):
    ran = {(one.recognizer, one.arm, one.swapped) for one in kept}
    tables = build(kept, recognizers=["umt", "maf"], resamples=19)
    for name in TABLES:
        for record, cells in zip(tables[name].records, tables[name].rows, strict=True):
            shown = dict(zip(columns(tables[name]), cells, strict=True))
            there = (record["recognizer"], record["arm"], record["swapped"]) in ran
            assert (record["seeds"] != 0) == there
            assert (shown["tweets F1"] != NOTHING) == there
            both = there and (record["recognizer"], "adaptive", False) in ran
            compared = both and (record["arm"], record["swapped"]) != ("adaptive", False) and record["arm"] is not None
            compared = compared and record["recognizer"] != "bert-crf"
            assert (shown.get("tweets adaptive minus this", NOTHING) != NOTHING) == compared
            if not there:
                numbers = [value for key, value in shown.items() if key.startswith("tweets")]
                assert set(numbers) == {NOTHING}


def test_without_any_result_every_table_is_there_and_empty():
    tables = build([], data={"tweets": OWN, "others": OWN})
    assert list(tables) == [*TABLES, "claims"]
    for table in tables.values():
        assert numbers(table) == {NOTHING}
        assert table.markdown().count("|\n") == len(table.rows) + 2
        json.dumps(table.to_json(), allow_nan=False)
    assert "tweets: no cell was run." in tables["table1"].notes


def test_fewer_seeds_than_asked_are_said_in_the_cell():
    results = [one for one in WHOLE if (one.arm, one.seed) != ("noise", 1)]
    controls = build(results, "controls")["controls"]
    assert row(controls, "noise")["tweets F1"].endswith("± – (n=1)")
    assert "n=" not in row(controls, "none, text only")["tweets F1"]
    assert not any("With one seed" in note for note in controls.notes)


def test_one_seed_has_no_deviation_and_compares_trainings_not_methods():
    table = build([one for one in WHOLE if one.seed == 0], "table2", seeds=[0])["table2"]
    assert row(table, "umt", "theta = 0.5")["tweets F1"].endswith("± –")
    assert any("With one seed, two trained recognizers are compared, not two methods." in note for note in table.notes)


def test_no_images_means_no_halves_and_no_score_where_there_is_an_image():
    blind = [replace(one, has_image=np.zeros(POSTS, bool), theta=np.full(POSTS, np.nan)) for one in WHOLE]
    tables = build(blind)
    assert numbers(tables["table3"]) == {NOTHING}
    assert row(tables["table1"], "bert-crf")["tweets F1 with image"] == NOTHING
    assert row(tables["table1"], "bert-crf")["tweets F1"] != NOTHING


def test_no_entities_means_no_scores():
    nothing = [replace(one, counts=np.zeros((POSTS, 3), np.int64)) for one in WHOLE]
    for name, table in build(nothing).items():
        if name != "claims":
            assert all(record["f1_mean"] is None and record["p"] is None for record in table.records)
        assert numbers(table) == {NOTHING}


def test_where_every_post_has_an_image_f1_with_image_is_not_said_twice():
    seen = [replace(one, has_image=np.ones(POSTS, bool), theta=np.full(POSTS, 0.7)) for one in WHOLE]
    table = build(seen, "table1")["table1"]
    assert "F1" in table.head
    assert "F1 with image" not in table.head


def test_table_3_parts_the_posts_by_theta():
    table = build(WHOLE, "table3")["table3"]
    told = WHOLE[0]
    sizes = {part: int(told.mask(part).sum()) for part in ("matched", "mismatched")}
    assert {(record["part"], record["posts"]) for record in table.records} == set(sizes.items())
    assert f"{sizes['mismatched']:,} of them mismatched (with an image and theta <= 0.5)" in table.notes[0]
    assert "F1 with image" not in table.head
    (original,) = [
        one for one in WHOLE if (one.recognizer, one.arm, one.seed) == ("umt", "original", 0) and not one.swapped
    ]
    alone = build([original], "table3")["table3"]
    assert row(alone, "matched", "original")["tweets F1"].startswith(f"{100 * original.score('matched').f1:.2f}")


def test_the_papers_figures_stand_where_data_and_models_are_the_papers():
    data = {"big": facts(posts=TWITTER_2015), "small": facts(), "own": OWN}
    tables = build([], data=data, text_systems=["bilstm-crf", "bert-crf"], recognizers=["umt", "maf"])
    first = row(tables["table1"], "bilstm-crf")
    assert (first["big F1 of the paper"], first["small F1 of the paper"]) == ("64.42 ‡", "76.31 ‡")
    assert "own F1 of the paper" not in first
    assert row(tables["table2"], "maf", "cosine similarity as theta")["big F1 of the paper"] == "73.28 †"
    notes = "\n".join(tables["table2"].notes)
    assert (
        "† big, maf, cosine similarity as theta: the paper contradicts itself; F1 of the P and R beside it is 74.27"
        in notes
    )
    assert "‡" not in notes
    assert any(note.startswith("‡ The paper copied this") for note in tables["table1"].notes)
    assert not any("of the paper" in column for column in tables["controls"].head)
    (line,) = [
        line
        for line in csv.DictReader(io.StringIO(tables["table2"].csv()))
        if (line["data"], line["recognizer"], line["arm"]) == ("big", "maf", "cosine")
    ]
    assert [line[f"paper_{name}"] for name in ("precision", "recall", "f1")] == ["73.31", "75.25", "73.28"]
    assert (line["f1_mean"], line["seeds"]) == ("", "0")


def test_controls_show_the_other_negatives_of_each_data_set():
    batch = [
        replace(one, data="others", arm="adaptive-expected" if one.arm == "adaptive-batch" else one.arm)
        for one in WHOLE
    ]
    data = {"tweets": OWN, "others": replace(OWN, negatives="batch")}
    table = build([*WHOLE, *batch], "controls", data=data)["controls"]
    of_batch, of_expected = (
        row(table, "adaptive, negatives of a batch"),
        row(table, "adaptive, expected hardest negatives"),
    )
    assert of_batch["tweets F1"] == of_expected["others F1"] != NOTHING
    assert of_batch["others F1"] == of_expected["tweets F1"] == NOTHING
    only = build(WHOLE, "controls")["controls"]
    assert not any("adaptive, expected hardest negatives" in cells for cells in only.rows)


def test_holm_goes_over_all_data_sets_and_recognizers_of_the_table():
    others = [replace(one, data="others") for one in WHOLE]
    data = {"tweets": OWN, "others": OWN}
    table = build([*WHOLE, *others], "table2", data=data, recognizers=["umt", "maf"])["table2"]
    assert sum(record["p"] is not None for record in table.records) == 24
    assert any("p of this table is adjusted over its 24 comparisons" in note for note in table.notes)
    assert all(record["p_holm"] is None or record["p_holm"] >= record["p"] for record in table.records)


def test_too_few_resamples_for_the_family_are_said():
    assert any(
        "takes 480 or more" in note for note in build(WHOLE, "table2", recognizers=["umt", "maf"])["table2"].notes
    )
    enough = build(WHOLE, "table2", recognizers=["umt", "maf"], resamples=480)["table2"]
    assert not any("or more" in note for note in enough.notes)


def test_results_of_others_and_names_as_they_are():
    odd = 'tweets|of "May"\n<b>'
    table = build([replace(one, data=odd) for one in WHOLE] + WHOLE, "table1", data={odd: OWN})["table1"]
    assert (table.over[2], table.head[2]) == (odd, "P")
    several = build(WHOLE, "table1", data={odd: OWN, "tweets": OWN})["table1"]
    assert '| tweets\\|of "May" <b> P' in several.markdown()
    assert next(csv.DictReader(io.StringIO(table.csv())))["data"] == odd
    assert {record["data"] for record in table.records} == {odd}


def test_tables_come_in_the_order_asked_each_once_and_text_alone_is_enough():
    assert list(build(WHOLE, "controls", "table1", "controls")) == ["controls", "table1", "claims"]
    assert list(build(WHOLE, "table1", recognizers=[])) == ["table1"]
    assert build_tables([], WHOLE, recognizers=["umt"], text_systems=[], seeds=[0], data={"tweets": OWN}) == []


def test_an_unknown_table_is_refused():
    with pytest.raises(SettingsError, match="did you mean 'controls'"):
        build(WHOLE, "control")


def test_the_same_results_make_the_same_tables_in_any_order():
    assert build(WHOLE) == build(WHOLE[::-1])


def test_exchanged_images_are_cells_of_their_own():
    grid = ScoreGrid(WHOLE, [0, 1], 9)
    table = build(WHOLE, "controls")["controls"]
    for arm in ("adaptive", "original"):
        exchanged = grid.score("tweets", RunSpec("umt", arm, swapped=True))
        assert exchanged is not None
        shown = row(table, f"{arm}, images exchanged at evaluation")["tweets F1"]
        assert shown.startswith(f"{exchanged.f1.mean:.2f} ")
        assert shown != row(table, arm)["tweets F1"]
