"""`PROMISES.md` names tests and benchmarks: each is there, and would run."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
PROMISES = [match.groups() for match in ROW.finditer((ROOT / "tests" / "PROMISES.md").read_text(encoding="utf-8"))]


@cache
def collected(file: str) -> dict[str, ast.FunctionDef]:
    """Functions that pytest would collect, by name."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test")}


def test_the_table_is_read() -> None:
    lines = [line for line in (ROOT / "tests" / "PROMISES.md").read_text(encoding="utf-8").splitlines() if "::" in line]
    assert len(PROMISES) == len(lines) > 15
    assert {int(number) for number, _, _ in PROMISES} == set(range(1, 27))


@pytest.mark.parametrize(("number", "promise", "held"), PROMISES, ids=[f"{n}-{p[:40]}" for n, p, _ in PROMISES])
def test_a_promise_is_held_by_what_is_there(number: str, promise: str, held: str) -> None:
    found = NAMED.findall(held)
    assert len(found) == held.count("`") // 2 > 0, "something is named that is neither a test nor a benchmark"
    for file, test in found:
        assert (ROOT / file).is_file(), file
        if not test:
            assert Path(file).parent.name == "benchmarks", f"{file}: which test?"
            continue
        assert test in collected(file), f"{file} has no test {test}"
        assert any(isinstance(node, ast.Assert) for node in ast.walk(collected(file)[test])) or _calls_a_check(
            collected(file)[test]
        ), f"{file}::{test} asserts nothing"


def _calls_a_check(test: ast.FunctionDef) -> bool:
    """Whether a test leaves the asserting to a helper or to `pytest.raises`."""
    calls = [node.func for node in ast.walk(test) if isinstance(node, ast.Call)]
    names = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
    return bool(names & {"raises", "same", "assert_close", "assert_allclose", "assert_array_equal"})
