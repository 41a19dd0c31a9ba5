"""Files that lie next to the code on a user's machine and must never be uploaded to a cluster."""

from collections.abc import Iterable
from pathlib import Path

__all__ = ["private_files", "write_private_files"]

NAMES = (
    *(".env", ".env.local", ".git/config", ".venv/bin/python", ".aws/credentials", "key.pem", "id_rsa", "token", "x"),
    *("posts/train.txt", "posts/images/1.jpg", "corpus.jsonl", "exported/adaptive/train.txt", "models/umt/a.json"),
    *("augmented/adaptive/a.parquet", "runs/mine/posts/a.parquet", "my-cluster/rayjob.yaml", "build/a.py"),
    *("amia/.env", "amia/key.pem", "ray_jobs/.env.local", "ray_jobs/__pycache__/a.pyc", "cluster/id_ed25519"),
    *("cluster/aws/.env", "cluster/server.key", "tests/a.py", "docs/a.md"),
)


def write_private_files(folder: Path) -> None:
    """Write the files, next to whatever is in the folder."""
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("private")


def private_files(names: Iterable[str]) -> set[str]:
    """Return which of these names are those of private files."""
    return set(NAMES) & set(names)
