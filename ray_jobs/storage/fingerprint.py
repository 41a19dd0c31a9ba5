"""Identity of a folder: everything that its content depends on, stored with it so that two kinds never mix.

An identity is a tree of plain values: name and version of the stage, the settings that it depends on, and the digests
of its inputs. The first driver of a stage publishes it as `<folder>/identity.json`; every other driver must have the
same.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from amia.errors import IdentityError, RunError
from ray_jobs.storage.layout import identity_key
from ray_jobs.storage.store import Store

__all__ = ["Identity", "check_or_write_identity", "difference", "digest", "flatten", "read_identity"]

Identity = dict[str, Any]

ADVICE = "Use the settings it was made with, or another --run, or remove {folder}/ and all that depends on it."


def digest(identity: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an identity's canonical JSON as 64 hexadecimal digits."""
    return hashlib.sha256(_to_json(identity)).hexdigest()


def read_identity(store: Store, folder: str) -> Identity | None:
    """Return the identity of a folder, or None if it has none yet. Raises RunError if amia did not write it."""
    key = identity_key(folder)
    if (data := store.find(key)) is None:
        return None
    try:
        identity: Identity = dict(json.loads(data))
    except (ValueError, TypeError) as error:
        raise RunError(f"{key} in {store.address} was not written by amia: {error}") from error
    return identity


def check_or_write_identity(store: Store, folder: str, identity: Identity, *, advice: str = ADVICE) -> str:
    """Publish the identity of a folder, or compare it with the published one. Returns its digest.

    Raises IdentityError with every setting that differs if the folder has another identity.
    """
    existing = read_identity(store, folder)
    if existing is None and not store.create(identity_key(folder), _to_json(identity)):
        existing = read_identity(store, folder) or {}  # another driver was faster
    if existing is not None:
        changes = difference(existing, json.loads(_to_json(identity)))
        if changes:
            lines = "\n".join(f"  {line}" for line in changes)
            raise IdentityError(
                f"{folder}/ in {store.address} was made with other settings or input:\n{lines}\n"
                f"{advice.format(folder=folder)}"
            )
    return digest(identity)


def difference(existing: Mapping[str, Any], requested: Mapping[str, Any]) -> list[str]:
    """Return a line for each leaf that differs: `clip.micro_batch: 64 in the run, 32 now`."""
    old, new = dict(flatten(existing)), dict(flatten(requested))
    return [
        f"{name}: {_format_leaf(old, name)} in the run, {_format_leaf(new, name)} now"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name) or (name in old) != (name in new)
    ]


def flatten(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return the dotted name and the value of each leaf of a tree, in order."""
    leaves: list[tuple[str, Any]] = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            leaves += flatten(value, f"{prefix}{name}.")
        else:
            leaves.append((prefix + name, value))
    return leaves


def _format_leaf(leaves: Mapping[str, Any], name: str) -> str:
    return json.dumps(leaves[name], ensure_ascii=False) if name in leaves else "nothing"


def _to_json(identity: Mapping[str, Any]) -> bytes:
    return json.dumps(identity, sort_keys=True, ensure_ascii=False, indent=1).encode()
