"""A small fuzzing run, and checks that the fuzzer detects failures."""

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
FAILURES = ("another error", "died", "memory", "no reason", "success")


def run_module(*command: str) -> list[dict[str, Any]]:
    """Return the JSON lines of a module, run in a process without threads, unlike that of the tests."""
    arguments = [sys.executable, "-m", *command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in process.stdout.splitlines()]


@pytest.mark.promise(21)
def test_inputs_end_in_a_status_or_an_error_of_amia() -> None:
    results = run_module("tests.hostile.fuzz", str(INPUTS))
    assert [result["kind"] for result in results] == list(KINDS)
    assert sum(result["inputs"] for result in results) == INPUTS
    assert [failure for result in results for failure in result["failures"]] == []
    assert all(sum(result["statuses"].values()) > 0 for result in results)
    assert len({status for result in results for status in result["statuses"]}) > 5


@pytest.fixture(scope="module")
def results_by_kind() -> dict[str, dict[str, Any]]:
    return {result["kind"]: result for result in run_module("tests.hostile.test_fuzz")}


@pytest.mark.parametrize(
    ("kind", "message"),
    {
        "another error": "another error 0: ValueError('a bug')",
        "died": "died 0: exited with -6",
        "memory": "memory 0: took ",
        "no reason": "no reason 0: AssertionError('no reason')",
    }.items(),
)
def test_failures_are_reported(results_by_kind: dict[str, dict[str, Any]], kind: str, message: str) -> None:
    (failure,) = results_by_kind[kind]["failures"]
    assert failure.startswith(message)


def test_success_is_not_a_failure(results_by_kind: dict[str, dict[str, Any]]) -> None:
    assert results_by_kind["success"]["failures"] == []
    assert results_by_kind["success"]["statuses"] == {"ok": 1}


def fail_as_written(source: Path) -> Counter[str]:
    """Fail in the way that the file of the input names."""
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
    for name in FAILURES:
        KINDS[name] = Kind(
            lambda seed, count, name=name: iter([lambda source: (source / "how").write_text(name)]), fail_as_written
        )
    for result in fuzz(len(FAILURES), seed=0):
        print(json.dumps(vars(result)))


if __name__ == "__main__":
    main()
