"""The metrics of amia, as Prometheus sees them."""

import ast

from tests.helpers.paths import ROOT

__all__ = ["exposed_metrics"]

SUFFIXES = {"Counter": ("_total",), "Gauge": ("",), "Histogram": ("_bucket", "_sum", "_count")}
"""What Ray appends to the name of a metric, by its class."""


def exposed_metrics() -> set[str]:
    """Return the names of all series that a run of amia exports, from the calls that create its metrics."""
    return {
        f"ray_{node.args[0].value}{suffix}"
        for file in (ROOT / "ray_jobs").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SUFFIXES
        if node.args and isinstance(node.args[0], ast.Constant) and str(node.args[0].value).startswith("amia_")
        for suffix in SUFFIXES[node.func.id]
    }
