"""Compare the contents of two runs, row by row: `python tests/benchmarks/compare_runs.py RUN_A RUN_B`.

Compares the rows of every shard (footers left out), the fitted mixture, the scores of every evaluation and the words of
every prediction. Prints one line a folder and exits with 1 if anything differs. Use it before and after a refactoring
that must not change results.
"""

import hashlib
import json
import sys
from pathlib import Path

import pyarrow.parquet as pq

IGNORED = {"model", "identity", "input", "predictions", "recogniser", "recognizer", "seconds"}
"""Keys of an evaluation that name things instead of measuring them."""


def shard_digest(path: Path) -> str:
    """SHA-256 of a shard's rows as Python values, column by column."""
    table = pq.read_table(path)
    digest = hashlib.sha256()
    for name in sorted(table.column_names):
        digest.update(name.encode() + b"\0" + repr(table[name].to_pylist()).encode())
    return digest.hexdigest()


def digests(run: Path) -> dict[str, str]:
    """Digest by file of what a run holds."""
    found = {str(path.relative_to(run)): shard_digest(path) for path in sorted(run.rglob("*.parquet"))}
    for path in sorted(run.glob("mixture*/mixture.json")):
        found[str(path.relative_to(run))] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(run.rglob("*.conll")):
        found[str(path.relative_to(run))] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted((run / "evaluations").rglob("*.json")):
        text = path.read_text().replace("unlabelled", "unlabeled")
        scores = {key: value for key, value in json.loads(text).items() if key not in IGNORED}
        text = json.dumps(scores, sort_keys=True)
        found[str(path.relative_to(run))] = hashlib.sha256(text.encode()).hexdigest()
    for path in sorted(run.glob("models/*/model.safetensors")):
        found[str(path.relative_to(run))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def main(first: Path, second: Path) -> int:
    """Print what differs, by folder; return the exit code."""
    left, right = digests(first), digests(second)
    folders: dict[str, list[str]] = {}
    for name in sorted(left.keys() | right.keys()):
        folders.setdefault(str(Path(name).parent), []).append(name)
    different = 0
    for folder, names in folders.items():
        wrong = [name for name in names if left.get(name) != right.get(name)]
        different += len(wrong)
        print(f"{folder}: {len(names)} files, {len(wrong)} differ {wrong[:3] if wrong else ''}".rstrip())
    print("equal" if not different else f"{different} files differ")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
