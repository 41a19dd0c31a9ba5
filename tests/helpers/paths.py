"""Folders that tests read from."""

from pathlib import Path

__all__ = ["ROOT", "TWEETS"]

ROOT = Path(__file__).parents[2]
"""The repository."""
TWEETS = ROOT / "tests" / "fixtures" / "tweets"
"""A small hand-written corpus."""
