"""What the tables say about the claims: verdicts on systems that were made to differ, or not to."""

import csv
import io

import numpy as np
import pytest

from amia.experiments.hypotheses import hypotheses_of
from amia.experiments.results import CellResult
from amia.experiments.run_specs import TABLES, RunSpec, run_specs
from amia.experiments.table import Table
from amia.experiments.table_builder import build_tables
from tests.helpers.simulated_results import cell, facts, grid_of_cells

DATA = {"tweets": facts(posts={"test": 5})}
BETTER = "adaptive images are better than original ones"
FIXED = "adaptive images are better than any fixed ratio"
HALVES = "matched posts are easier than mismatched ones, whatever the images"


def claims(results: list[CellResult], *names: str, **other: object) -> Table:
    usual: dict[str, object] = {"recognizers": ["umt"], "text_systems": ["bert-crf"], "seeds": [0], "data": DATA}
    return build_tables(names or TABLES, results, **usual | {"resamples": 999} | other)[-1]  # type: ignore[arg-type]  # a test's words


def verdicts(table: Table) -> dict[str, str]:
    return {cells[1]: cells[2] for cells in table.rows}


def right_on(arm: str, share: float, **other: object) -> CellResult:
    """Right on the first so many of 100 posts with an entity each."""
    return cell([[int(place < 100 * share), 1, 1] for place in range(100)], arm=arm, **other)


def test_a_claim_holds_does_not_hold_or_cannot_be_told():
    for original, verdict in ((0.5, "holds (+30.00, p = 0.002)"), (0.8, "cannot be told (+0.00, p = 1.000)")):
        told = verdicts(claims([right_on("adaptive", 0.8), right_on("original", original)], "table1"))
        assert told[BETTER] == verdict
    told = verdicts(claims([right_on("adaptive", 0.5), right_on("original", 0.8)], "table1"))
    assert told[BETTER] == "does not hold (-30.00, p = 0.002)"
    assert told["original images are better than every text system"] == "–"


def test_the_seeds_that_have_it_as_claimed_are_said():
    results = [
        right_on(arm, share, seed=seed) for seed in (0, 1) for arm, share in (("adaptive", 0.8), ("original", 0.5))
    ]
    told = claims(
        [*results, right_on("adaptive", 0.6, seed=2), right_on("original", 0.7, seed=2)], "table1", seeds=[0, 1, 2]
    )
    assert verdicts(told)[BETTER].endswith("2/3 seeds)")


def test_several_comparisons_hold_together_and_the_weakest_is_shown():
    shares = {"fixed-0.7": 0.5, "fixed-0.5": 0.8, "fixed-0.3": 0.4}
    fixed = [right_on(arm, share) for arm, share in shares.items()]
    told = claims([right_on("adaptive", 0.9), *fixed], "table2")
    assert verdicts(told)[FIXED].startswith("holds (fixed-0.5: +10.00, p = 0.00")
    told = claims([right_on("adaptive", 0.8), *fixed], "table2")
    assert verdicts(told)[FIXED] == "cannot be told (fixed-0.5: +0.00, p = 1.000)"
    told = claims([right_on("adaptive", 0.45), *fixed], "table2")
    assert verdicts(told)[FIXED].startswith("does not hold (fixed-0.5: -35.00, p")
    told = claims([right_on("adaptive", 0.9), *fixed[:2]], "table2")
    assert verdicts(told)[FIXED] == "–", "one comparison is missing"


def test_the_halves_of_the_posts_are_compared():
    theta = np.where(np.arange(100) < 60, 0.9, 0.1)
    results = [right_on(arm, 0.6, theta=theta) for arm in ("original", "synthesized", "adaptive")]
    told = claims(results, "table3")
    assert verdicts(told)[HALVES].startswith("holds (original: +100.00, p = 0.0")
    # Table 3 does not make this comparison, so the claims' own family is all: three halves, and one on the mismatched.
    assert any("comparisons that no table makes (4 here)" in note for note in told.notes)
    (record,) = [record for record in told.records if record["claim"] == HALVES]
    assert record["p_holm"] == pytest.approx(4 * 2 / 1000)


def test_p_is_that_of_the_table_which_makes_the_comparison():
    results = grid_of_cells(["umt"], ["bert-crf"], [0, 1], TABLES, better=0.1)
    tables = build_tables(
        TABLES, results, recognizers=["umt"], text_systems=["bert-crf"], seeds=[0, 1], data=DATA, resamples=999
    )
    by_name = {table.name: table for table in tables}
    made = {
        (record["arm"], record["part"], record["swapped"]): record
        for name in ("controls", "table3", "table2", "table1")
        for record in by_name[name].records
        if record["p"] is not None
    }
    told = {record["claim"]: record for record in by_name["claims"].records}
    for claim, key in {
        BETTER: ("original", "all", False),
        "adaptive images are better than cosine similarity as the ratio": ("cosine", "all", False),
        "adaptive images are better than noise": ("noise", "all", False),
        "exchanging adaptive images among posts at evaluation makes it worse": ("adaptive", "all", True),
    }.items():
        assert [told[claim][name] for name in ("difference", "low", "high", "p", "p_holm", "ahead", "of_seeds")] == [
            made[key][name] for name in ("adaptive_minus_this", "low", "high", "p", "p_holm", "ahead", "of_seeds")
        ]
    exchanged = told["exchanging original images among posts at evaluation makes it worse"]
    assert exchanged["difference"] != made["original", "all", True]["adaptive_minus_this"], "original with itself"


@pytest.mark.parametrize("table", TABLES)
def test_claims_are_about_the_tables_asked_for(table):
    asked = hypotheses_of("umt", ["bert", "bert-crf"], [table])
    needed = set(run_specs(table, ["umt"], ["bert", "bert-crf"]))
    assert asked
    for claim in asked:
        for first, second in claim.sides.values():
            assert {first.need, second.need} <= needed
            assert first != second
    assert len({claim.sentence for claim in asked}) == len(asked)


def test_every_image_of_the_paper_is_compared_and_text_only_where_there_is_a_text_system():
    everything = hypotheses_of("umt", ["bert"], TABLES)
    arms = {second.need for claim in everything for _, second in claim.sides.values()}
    asked = {need for table in TABLES for need in run_specs(table, ["umt"], ["bert"])}
    assert asked - arms == {RunSpec("umt", "adaptive-batch")}
    assert len(hypotheses_of("umt", [], TABLES)) == len(everything) - 1


def test_a_column_for_each_data_set_and_recognizer_and_the_same_in_csv():
    recognizers = ["umt", "maf"]
    results = grid_of_cells(recognizers, ["bert-crf"], [0], TABLES, better=0.2)
    table = claims(
        results, recognizers=recognizers, data={"tweets": DATA["tweets"], "none": DATA["tweets"]}, notice="Demo."
    )
    assert table.over[2:] == ["tweets", "tweets", "none", "none"]
    assert table.head[2:] == ["umt", "maf", "umt", "maf"]
    assert "| tweets umt" in table.markdown()
    assert table.notes[-1] == "Demo."
    read = list(csv.DictReader(io.StringIO(table.csv())))
    assert len(read) == 4 * len(table.rows)
    for place, cells in enumerate(table.rows):
        for line, shown in zip(read[4 * place :], cells[2:], strict=False):
            assert line["claim"] == cells[1]
            assert shown.startswith(line["verdict"] or "–")
            assert (line["p_holm"] == "") == (line["data"] == "none")
        for line, interval in zip(read[4 * place :], table.intervals[place][2:], strict=False):
            numbers = [float(line[name]) for name in ("difference", "low", "high") if line[name]]
            assert numbers == list(interval or ())
