"""Every promise of `PROMISES.md` is held by a test that is marked with its number."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.helpers.paths import ROOT

ROW = re.compile(r"^\| (\d+) \| (.+) \|$", re.MULTILINE)
PROMISES = {
    int(number): text for number, text in ROW.findall((ROOT / "tests" / "PROMISES.md").read_text(encoding="utf-8"))
}


def marked_tests() -> Iterator[tuple[str, ast.FunctionDef, list[int]]]:
    """Test functions that carry `@pytest.mark.promise(...)`, with their file and the numbers."""
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.promise":
                    yield str(file.relative_to(ROOT)), node, [ast.literal_eval(number) for number in mark.args]


MARKED = list(marked_tests())


def test_the_table_and_the_marks_hold_the_same_numbers() -> None:
    assert len(PROMISES) > 30
    assert sorted(PROMISES) == list(range(1, len(PROMISES) + 1))
    assert {number for _, _, numbers in MARKED for number in numbers} == set(PROMISES)


@pytest.mark.parametrize("number", PROMISES)
def test_benchmarks_named_by_a_promise_exist(number: int) -> None:
    for file in re.findall(r"`(tests/[\w/]+\.py)`", PROMISES[number]):
        assert (ROOT / file).is_file(), file


def test_every_marked_test_checks_something() -> None:
    idle = [
        f"{file}::{node.name}"
        for file, node, _ in MARKED
        if not any(isinstance(inner, ast.Assert) for inner in ast.walk(node)) and not _calls_a_check(node)
    ]
    assert idle == []


def _calls_a_check(test: ast.FunctionDef) -> bool:
    """Whether a test leaves its assertions to a helper or to `pytest.raises`."""
    calls = [node.func for node in ast.walk(test) if isinstance(node, ast.Call)]
    names = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
    return bool(names & {"raises", "same", "assert_close", "assert_allclose", "assert_array_equal"})
