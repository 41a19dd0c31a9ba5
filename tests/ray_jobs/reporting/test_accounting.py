"""Tests of reading and grouping rejected rows."""

import json
from pathlib import Path

from ray_jobs.reporting.accounting import read_quarantine
from ray_jobs.storage.store import Store


def test_quarantine_is_grouped_by_reason(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    reasons = [f"{n} tokens but {n + 1} tags" for n in range(50)] + [f"odd {chr(97 + n)}" for n in range(26)]
    rows = [{"where": f"a.txt:{n}", "id": None, "reason": reason} for n, reason in enumerate(reasons)]
    store.create("quarantine/00000.jsonl", "".join(json.dumps(row) + "\n" for row in rows[:40]).encode())
    store.create("quarantine/00001.jsonl", "".join(json.dumps(row) + "\n" for row in rows[40:]).encode())
    rejected = read_quarantine(store)
    assert rejected.count == 76
    count, examples = rejected.reasons["… tokens but … tags"]
    assert count == 50
    assert [example.location for example in examples] == [f"a.txt:{n}" for n in range(4)]
    assert sum(count for count, _ in rejected.reasons.values()) == 76
    assert len(rejected.reasons) == 21
    assert rejected.reasons["other reasons"][0] == 7
