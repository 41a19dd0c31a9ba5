"""Printing of text that rich would interpret."""

import io

import pytest

from ray_jobs.cli.console import print_lines
from ray_jobs.runtime.console import console


def test_markup_and_emoji_are_printed_literally(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    monkeypatch.setattr(console, "_file", output)
    print_lines(["/runs/[bold]x[/bold]/:tada:"])
    assert output.getvalue() == "/runs/[bold]x[/bold]/:tada:\n"
