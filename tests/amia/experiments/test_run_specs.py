"""What each table needs, known without anything heavy."""

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
    ]


def test_table_2_and_3_take_no_text_system():
    assert run_specs("table2", ["maf"], ["bert"]) == [RunSpec("maf", arm) for arm in MIXING]
    assert len(MIXING) == 7
    assert [need.arm for need in run_specs("table3", ["maf"], ["bert"])] == ["original", "synthesized", "adaptive"]


@pytest.mark.parametrize(("own", "other"), [("expected", "adaptive-batch"), ("batch", "adaptive-expected")])
def test_controls_take_the_other_negatives_and_exchanged_images(own, other):
    assert run_specs("controls", ["umt"], ["bert"], own) == [
        *(RunSpec("umt", arm) for arm in ("adaptive", "original", "text", "random", "noise", "constant", "shuffled")),
        RunSpec("umt", other),
        RunSpec("umt", "adaptive", swapped=True),
        RunSpec("umt", "original", swapped=True),
    ]


@pytest.mark.parametrize("table", TABLES)
def test_nothing_is_needed_twice_and_nothing_of_nobody(table):
    wanted = run_specs(table, ["umt", "maf"], ["bert", "bert-crf"])
    assert len(wanted) == len(set(wanted)) > 0
    assert run_specs(table, [], []) == []


def test_an_unknown_table_is_refused_with_the_nearest():
    with pytest.raises(SettingsError, match="'tabel2' is unknown; did you mean 'table2'"):
        run_specs("tabel2", [], [])


def test_planning_loads_nothing_heavy():
    code = "import sys, amia.experiments.table_builder\nprint(*sys.modules)"
    root = ROOT
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root).stdout
    loaded = set(said.split())
    assert "amia.experiments.run_specs" in loaded
    assert not loaded & {"torch", "transformers", "diffusers", "sklearn", "scipy", "pyarrow", "PIL"}
