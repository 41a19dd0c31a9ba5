"""Compare the contents of two runs, row by row: `python -m tests.benchmarks.compare_runs RUN_A RUN_B`.

Compares the rows of every shard (not the footers), the fitted mixture, the scores of every evaluation, the predictions
in CoNLL format and the weights of every model. Prints one line per folder, and exits with 1 if anything differs. Use it
after a change of the code that must not change results.
"""

import hashlib
import json
import sys
from pathlib import Path

import pyarrow.parquet as pq

IGNORED = {"model", "identity", "input", "predictions", "recogniser", "recognizer", "seconds"}
"""Keys of an evaluation that are names and not scores."""


def shard_digest(path: Path) -> str:
    """Return the SHA-256 of a shard's rows as Python values, column by column."""
    table = pq.read_table(path)
    digest = hashlib.sha256()
    for name in sorted(table.column_names):
        digest.update(name.encode() + b"\0" + repr(table[name].to_pylist()).encode())
    return digest.hexdigest()


def digests(run: Path) -> dict[str, str]:
    """Return the digests of a run's results by file."""
    digest_of = {str(path.relative_to(run)): shard_digest(path) for path in sorted(run.rglob("*.parquet"))}
    for path in sorted(run.glob("mixture*/mixture.json")):
        digest_of[str(path.relative_to(run))] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(run.rglob("*.conll")):
        digest_of[str(path.relative_to(run))] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted((run / "evaluations").rglob("*.json")):
        text = path.read_text().replace("unlabelled", "unlabeled")
        scores = {key: value for key, value in json.loads(text).items() if key not in IGNORED}
        text = json.dumps(scores, sort_keys=True)
        digest_of[str(path.relative_to(run))] = hashlib.sha256(text.encode()).hexdigest()
    for path in sorted(run.glob("models/*/model.safetensors")):
        digest_of[str(path.relative_to(run))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return digest_of


def main(first: Path, second: Path) -> int:
    """Print the differences by folder, and return the exit code."""
    left, right = digests(first), digests(second)
    folders: dict[str, list[str]] = {}
    for name in sorted(left.keys() | right.keys()):
        folders.setdefault(str(Path(name).parent), []).append(name)
    num_different = 0
    for folder, names in folders.items():
        different = [name for name in names if left.get(name) != right.get(name)]
        num_different += len(different)
        print(f"{folder}: {len(names)} files, {len(different)} differ {different[:3] if different else ''}".rstrip())
    print("equal" if not num_different else f"{num_different} files differ")
    return int(num_different > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
