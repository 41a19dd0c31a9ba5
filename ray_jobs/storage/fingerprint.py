"""What a stage's output depends on, written beside it, so that two kinds of output never mix.

An identity is a plain tree: the stage's name and version, the settings it depends on, and the digests of its input. The
first driver to start a stage publishes it as `<folder>/identity.json`; everyone after must bring the same.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from amia.errors import IdentityError, RunError
from ray_jobs.storage.store import Store

__all__ = ["Identity", "check_or_write_identity", "difference", "digest", "read_identity"]

Identity = dict[str, Any]

ADVICE = (
    "Give the settings it was made with, or another --run, or remove {folder}/ and what stands on it to make it anew."
)


def digest(identity: Mapping[str, Any]) -> str:
    """SHA-256 of an identity's canonical JSON, 64 hex digits."""
    return hashlib.sha256(_canonical(identity)).hexdigest()


def read_identity(store: Store, folder: str) -> Identity | None:
    """The identity that `folder` was made with, or None where nobody has started it. Raises RunError on another's."""
    key = f"{folder}/identity.json"
    if not store.exists(key):
        return None
    try:
        identity: Identity = dict(json.loads(store.read(key)))
    except (ValueError, TypeError) as error:
        raise RunError(f"{key} in {store.address} was not written by amia: {error}") from error
    return identity


def check_or_write_identity(store: Store, folder: str, identity: Identity, *, advice: str = ADVICE) -> str:
    """Publish the identity of `folder`, or hold it against the one that stands there. Returns its digest.

    Raises IdentityError with every setting that differs when the folder was made with another one.
    """
    if not store.create(f"{folder}/identity.json", _canonical(identity)):
        standing = read_identity(store, folder) or {}
        changes = difference(standing, json.loads(_canonical(identity)))
        if changes:
            listed = "\n".join(f"  {line}" for line in changes)
            raise IdentityError(
                f"{folder}/ in {store.address} was made with other settings or input:\n{listed}\n"
                f"{advice.format(folder=folder)}"
            )
    return digest(identity)


def difference(standing: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """One line for each leaf that differs: `clip.micro_batch: 64 in the run, 32 now`."""
    left, right = dict(_leaves(standing)), dict(_leaves(asked))
    return [
        f"{name}: {_shown(left, name)} in the run, {_shown(right, name)} now"
        for name in sorted(left.keys() | right.keys())
        if left.get(name) != right.get(name) or (name in left) != (name in right)
    ]


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found += _leaves(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, value))
    return found


def _shown(leaves: Mapping[str, Any], name: str) -> str:
    return json.dumps(leaves[name], ensure_ascii=False) if name in leaves else "nothing"


def _canonical(identity: Mapping[str, Any]) -> bytes:
    return json.dumps(identity, sort_keys=True, ensure_ascii=False, indent=1).encode()
