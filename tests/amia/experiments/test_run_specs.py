"""Tests of the runs that each table requires, and that planning them imports no heavy library."""

import subprocess
import sys

import pytest

from amia.errors import SettingsError
from amia.experiments.run_specs import MIXING, TABLES, RunSpec, run_specs
from tests.helpers.paths import ROOT


def test_table_1():
    assert run_specs("table1", ["umt", "maf"], ["bert-crf"]) == [
        RunSpec("bert-crf", "text"),
        RunSpec("umt", "original"),
        RunSpec("maf", "original"),
        RunSpec("umt", "adaptive"),
        RunSpec("maf", "adaptive"),
        RunSpec("umt", "two-sided"),
        RunSpec("maf", "two-sided"),
    ]


def test_tables_2_and_3_have_no_text_systems():
    assert run_specs("table2", ["maf"], ["bert"]) == [RunSpec("maf", arm) for arm in MIXING]
    assert len(MIXING) == 8
    arms = [run.arm for run in run_specs("table3", ["maf"], ["bert"])]
    assert arms == ["original", "synthesized", "adaptive", "two-sided"]


def test_controls_include_swapped_images():
    assert run_specs("controls", ["umt"], ["bert"]) == [
        *(RunSpec("umt", arm) for arm in ("adaptive", "two-sided", "original", "text", "random", "noise")),
        *(RunSpec("umt", arm) for arm in ("constant", "shuffled", "two-sided-shuffled")),
        RunSpec("umt", "adaptive", swapped=True),
        RunSpec("umt", "original", swapped=True),
    ]


@pytest.mark.parametrize("table", TABLES)
def test_runs_are_unique(table):
    runs = run_specs(table, ["umt", "maf"], ["bert", "bert-crf"])
    assert len(runs) == len(set(runs)) > 0
    assert run_specs(table, [], []) == []


def test_unknown_table_suggests_the_nearest():
    with pytest.raises(SettingsError, match="'tabel2' is unknown; did you mean 'table2'"):
        run_specs("tabel2", [], [])


def test_planning_imports_nothing_heavy():
    code = "import sys, amia.experiments.table_builder\nprint(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    modules = set(output.split())
    assert "amia.experiments.run_specs" in modules
    assert not modules & {"torch", "transformers", "diffusers", "sklearn", "scipy", "pyarrow", "PIL"}
