"""A slice of `bench_fuzz.py`: whatever goes in, amia answers; and whoever does not answer is found out."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.paths import ROOT
from tests.hostile.fuzz import KINDS, Kind, fuzz

INPUTS = 70
FALLS = ("another error", "died", "memory", "no reason", "well")


def told(*command: str) -> list[dict[str, Any]]:
    """Lines of a process that runs no threads, unlike the tests' own."""
    run = [sys.executable, "-m", *command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.promise(21)
def test_seventy_inputs_each_end_in_a_status_or_an_error_of_amia() -> None:
    results = told("tests.hostile.fuzz", str(INPUTS))
    assert [result["kind"] for result in results] == list(KINDS)
    assert sum(result["inputs"] for result in results) == INPUTS
    assert [fall for result in results for fall in result["falls"]] == []
    assert all(sum(result["statuses"].values()) > 0 for result in results)
    assert len({status for result in results for status in result["statuses"]}) > 5


@pytest.fixture(scope="module")
def fallen() -> dict[str, dict[str, Any]]:
    return {result["kind"]: result for result in told("tests.hostile.test_fuzz")}


@pytest.mark.parametrize(
    ("kind", "said"),
    {
        "another error": "another error 0: ValueError('a bug')",
        "died": "died 0: broke off with -6",
        "memory": "memory 0: took ",
        "no reason": "no reason 0: AssertionError('no reason')",
    }.items(),
)
def test_what_falls_is_told(fallen: dict[str, dict[str, Any]], kind: str, said: str) -> None:
    (fall,) = fallen[kind]["falls"]
    assert fall.startswith(said)


def test_what_does_well_is_not(fallen: dict[str, dict[str, Any]]) -> None:
    assert fallen["well"]["falls"] == []
    assert fallen["well"]["statuses"] == {"ok": 1}


def falling(source: Path) -> Counter[str]:
    """Reads the one file there as it says."""
    match (source / "how").read_text():
        case "another error":
            raise ValueError("a bug")
        case "died":
            os.abort()
        case "memory":
            assert b"x" * 950_000_000
        case "no reason":
            raise AssertionError("no reason")
    return Counter(["ok"])


def main() -> None:
    KINDS.clear()
    for name in FALLS:
        KINDS[name] = Kind(
            lambda seed, count, name=name: iter([lambda source: (source / "how").write_text(name)]), falling
        )
    for result in fuzz(len(FALLS), seed=0):
        print(json.dumps(vars(result)))


if __name__ == "__main__":
    main()
