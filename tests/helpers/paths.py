"""Folders that tests read."""

from pathlib import Path

__all__ = ["ROOT", "TWEETS"]

ROOT = Path(__file__).parents[2]
"""Root of the repository."""
TWEETS = ROOT / "tests" / "fixtures" / "tweets"
"""A small hand-written corpus."""
