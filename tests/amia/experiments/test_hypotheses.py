"""Tests of hypotheses: verdicts on systems that differ by construction, or do not."""

import csv
import io

import numpy as np
import pytest

from amia.experiments.hypotheses import hypotheses_of
from amia.experiments.results import CellResult
from amia.experiments.run_specs import TABLES, RunSpec, run_specs
from amia.experiments.table import Table
from amia.experiments.table_builder import build_tables
from tests.helpers.simulated_results import dataset_info, make_cell, make_cells

DATA = {"tweets": dataset_info(posts={"test": 5})}
ADAPTIVE_BEST = "adaptive images outperform original images"
FIXED = "adaptive images outperform every fixed ratio"
PARTS = "matched posts are easier than mismatched posts on all images"


def build_hypotheses(results: list[CellResult], *names: str, **overrides: object) -> Table:
    defaults: dict[str, object] = {"recognizers": ["umt"], "text_systems": ["bert-crf"], "seeds": [0], "data": DATA}
    options = defaults | {"resamples": 999} | overrides
    return build_tables(names or TABLES, results, **options)[-1]  # type: ignore[arg-type]  # mixed types


def verdicts(table: Table) -> dict[str, str]:
    return {cells[1]: cells[2] for cells in table.rows}


def cell_with_accuracy(arm: str, accuracy: float, **overrides: object) -> CellResult:
    """Correct on the first `accuracy` of 100 posts with one entity each."""
    return make_cell([[int(index < 100 * accuracy), 1, 1] for index in range(100)], arm=arm, **overrides)


def test_verdicts():
    for original, verdict in (
        (0.5, "supported (+30.00, p = 0.002)"),
        (0.8, "inconclusive (+0.00, p = 1.000)"),
    ):
        results = [cell_with_accuracy("adaptive", 0.8), cell_with_accuracy("original", original)]
        assert verdicts(build_hypotheses(results, "table1"))[ADAPTIVE_BEST] == verdict
    results = [cell_with_accuracy("adaptive", 0.5), cell_with_accuracy("original", 0.8)]
    by_statement = verdicts(build_hypotheses(results, "table1"))
    assert by_statement[ADAPTIVE_BEST] == "not supported (-30.00, p = 0.002)"
    assert by_statement["original images outperform every text-only system"] == "–"


def test_counts_seeds_with_the_expected_sign():
    results = [
        cell_with_accuracy(arm, accuracy, seed=seed)
        for seed in (0, 1)
        for arm, accuracy in (("adaptive", 0.8), ("original", 0.5))
    ]
    results += [cell_with_accuracy("adaptive", 0.6, seed=2), cell_with_accuracy("original", 0.7, seed=2)]
    table = build_hypotheses(results, "table1", seeds=[0, 1, 2])
    assert verdicts(table)[ADAPTIVE_BEST].endswith("higher in 2/3 seeds)")


def test_shows_the_weakest_of_several_comparisons():
    accuracies = {"fixed-0.7": 0.5, "fixed-0.5": 0.8, "fixed-0.3": 0.4}
    fixed = [cell_with_accuracy(arm, accuracy) for arm, accuracy in accuracies.items()]
    table = build_hypotheses([cell_with_accuracy("adaptive", 0.9), *fixed], "table2")
    assert verdicts(table)[FIXED].startswith("supported (fixed-0.5: +10.00, p = 0.00")
    table = build_hypotheses([cell_with_accuracy("adaptive", 0.8), *fixed], "table2")
    assert verdicts(table)[FIXED] == "inconclusive (fixed-0.5: +0.00, p = 1.000)"
    table = build_hypotheses([cell_with_accuracy("adaptive", 0.45), *fixed], "table2")
    assert verdicts(table)[FIXED].startswith("not supported (fixed-0.5: -35.00, p")
    table = build_hypotheses([cell_with_accuracy("adaptive", 0.9), *fixed[:2]], "table2")
    assert verdicts(table)[FIXED] == "–", "one comparison is missing"


def test_compares_matched_and_mismatched_posts():
    theta = np.where(np.arange(100) < 60, 0.9, 0.1)
    results = [cell_with_accuracy(arm, 0.6, theta=theta) for arm in ("original", "synthesized", "adaptive")]
    table = build_hypotheses(results, "table3")
    assert verdicts(table)[PARTS].startswith("supported (original: +100.00, p = 0.0")
    # Table 3 does not make these comparisons: one per kind of image, and one on mismatched posts.
    assert any("comparisons that are in no table (4 here)" in note for note in table.notes)
    (record,) = [record for record in table.records if record["claim"] == PARTS]
    assert record["p_holm"] == pytest.approx(4 * 2 / 1000)


def test_reuses_p_values_of_the_tables():
    results = make_cells(["umt"], ["bert-crf"], [0, 1], TABLES, improvement=0.1)
    tables = build_tables(
        TABLES, results, recognizers=["umt"], text_systems=["bert-crf"], seeds=[0, 1], data=DATA, resamples=999
    )
    by_name = {table.name: table for table in tables}
    in_tables = {
        (record["arm"], record["part"], record["swapped"]): record
        for name in ("controls", "table3", "table2", "table1")
        for record in by_name[name].records
        if record["p"] is not None
    }
    by_statement = {record["claim"]: record for record in by_name["claims"].records}
    for statement, key in {
        ADAPTIVE_BEST: ("original", "all", False),
        "adaptive images outperform cosine similarity as the ratio": ("cosine", "all", False),
        "adaptive images outperform noise": ("noise", "all", False),
        "swapping adaptive images between posts at evaluation lowers F1": ("adaptive", "all", True),
    }.items():
        columns = ("difference", "low", "high", "p", "p_holm", "ahead", "of_seeds")
        assert [by_statement[statement][name] for name in columns] == [
            in_tables[key][name] for name in ("adaptive_minus_this", *columns[1:])
        ]
    swapped = by_statement["swapping original images between posts at evaluation lowers F1"]
    assert swapped["difference"] != in_tables["original", "all", True]["adaptive_minus_this"], "original vs itself"


@pytest.mark.parametrize("table", TABLES)
def test_hypotheses_use_only_runs_of_their_tables(table):
    hypotheses = hypotheses_of("umt", ["bert", "bert-crf"], [table])
    runs = set(run_specs(table, ["umt"], ["bert", "bert-crf"]))
    assert hypotheses
    for hypothesis in hypotheses:
        for first, second in hypothesis.pairs.values():
            assert {first.run, second.run} <= runs
            assert first != second
    assert len({hypothesis.statement for hypothesis in hypotheses}) == len(hypotheses)


def test_hypotheses_cover_all_runs():
    hypotheses = hypotheses_of("umt", ["bert"], TABLES)
    pairs = [pair for hypothesis in hypotheses for pair in hypothesis.pairs.values()]
    compared = {subset.run for pair in pairs for subset in pair}
    runs = {run for table in TABLES for run in run_specs(table, ["umt"], ["bert"])}
    assert runs <= compared
    assert runs - {second.run for _, second in pairs} == {RunSpec("umt", "two-sided")}
    assert len(hypotheses_of("umt", [], TABLES)) == len(hypotheses) - 1


def test_columns_and_csv_of_several_data_sets_and_recognizers():
    recognizers = ["umt", "maf"]
    results = make_cells(recognizers, ["bert-crf"], [0], TABLES, improvement=0.2)
    data = {"tweets": DATA["tweets"], "none": DATA["tweets"]}
    table = build_hypotheses(results, recognizers=recognizers, data=data, notice="Demo.")
    assert table.over[2:] == ["tweets", "tweets", "none", "none"]
    assert table.head[2:] == ["umt", "maf", "umt", "maf"]
    assert "| tweets umt" in table.markdown()
    assert table.notes[-1] == "Demo."
    lines = list(csv.DictReader(io.StringIO(table.csv())))
    assert len(lines) == 4 * len(table.rows)
    for index, cells in enumerate(table.rows):
        for line, cell in zip(lines[4 * index :], cells[2:], strict=False):
            assert line["claim"] == cells[1]
            assert cell.startswith(line["verdict"] or "–")
            assert (line["p_holm"] == "") == (line["data"] == "none")
        for line, interval in zip(lines[4 * index :], table.intervals[index][2:], strict=False):
            numbers = [float(line[name]) for name in ("difference", "low", "high") if line[name]]
            assert numbers == list(interval or ())
