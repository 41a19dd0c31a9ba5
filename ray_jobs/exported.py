"""What the driver of `amia export` does when every shard is there: joins the parts, and says what the export holds."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from amia.errors import RunError, StoreError
from amia.export.pictures import placeholders
from amia.export.readme import readme
from amia.export.summary import ArmSummary, Summary
from amia.export.umt import text_file
from ray_jobs.stages.export import CONTROL, PARTS, keep, part_key
from ray_jobs.storage.plan import Plan
from ray_jobs.storage.store import Store
from ray_jobs.storage.arm import Arm

__all__ = ["finish", "finished"]

FINISHED = f"{CONTROL}/finished.json"


class _Files:
    """The files of the export, with the SHA-256 of each."""

    def __init__(self, target: Store) -> None:
        self._target = target
        self._sums: dict[str, str] = {}

    def add(self, key: str, data: bytes) -> None:
        keep(self._target, key, data)
        self._sums[key] = hashlib.sha256(data).hexdigest()

    def note(self, folder: str, sums: dict[str, str]) -> None:
        """Files that an actor has written."""
        self._sums.update({f"{folder}/{name}": each for name, each in sums.items()})

    def lines(self) -> bytes:
        """As `sha256sum --check` reads them."""
        return "".join(f"{each}  {key}\n" for key, each in sorted(self._sums.items())).encode()


def finished(target: Store) -> Summary | None:
    """What a finished export holds, or None before it is finished."""
    if not target.exists(FINISHED):
        return None
    try:
        return Summary.from_json(json.loads(target.read(FINISHED)))
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{FINISHED} in {target.address} was not written by this version of amia: {error!r}") from error


def finish(target: Store, plan: Plan, arms: Sequence[Arm], about: dict[str, Any]) -> Summary:
    """Join the parts of every arm, write what describes the whole, and tidy the parts away.

    `about`: the fields of `Summary` but `arms`. Another driver may finish the same export first.
    """
    try:
        files = _Files(target)
        summary = Summary(**about, arms={arm.name: _join(target, plan, arm, about, files) for arm in arms})
        files.add("README.md", readme(summary).encode())
        keep(target, "SHA256SUMS", files.lines())
        target.create(FINISHED, json.dumps(summary.to_json(), indent=1, sort_keys=True).encode())
    except StoreError:
        if (done := finished(target)) is None:
            raise
        summary = done  # another driver was first, and has tidied the parts away under this one
    target.delete(PARTS)
    return summary


def _join(target: Store, plan: Plan, arm: Arm, about: dict[str, Any], files: _Files) -> ArmSummary:
    """The files of an arm that are no shard's, and its numbers."""
    posts: dict[str, int] = {}
    counts: Counter[str] = Counter()
    renamed: list[str] = []
    without: list[str] = []
    for split in sorted(plan.posts):
        texts: list[str] = []
        posts[split] = 0
        for part in _parts(target, arm.name, plan.shards_of(split)):
            texts.append(part["text"])
            posts[split] += part["posts"]
            counts.update({name: part[name] for name in ("untagged", "altered")})
            renamed += [
                json.dumps({"id": post, "name": name}, ensure_ascii=False) for post, name in part["renamed"].items()
            ]
            without += part["without_image"]
            files.note(arm.name, part["files"])
        if text := "".join(texts):
            files.add(f"{arm.name}/{text_file(split)}", text.encode())
    if about["folder"] is not None:
        for name, data in placeholders(about["size"]).items():
            files.add(f"{arm.name}/{about['folder']}/{name}", data)
        for name, lines in (("renamed.jsonl", renamed), ("without_image.txt", without)):
            if lines:
                files.add(f"{arm.name}/{name}", "".join(f"{line}\n" for line in lines).encode())
    return ArmSummary(
        posts=posts,
        without_image=len(without),
        untagged=counts["untagged"],
        altered=counts["altered"],
        renamed=len(renamed),
    )


def _parts(target: Store, arm: str, shards: Sequence[str]) -> Iterator[dict[str, Any]]:
    with ThreadPoolExecutor(READS) as pool:
        for data in pool.map(lambda shard: target.read(part_key(arm, shard)), shards):
            yield json.loads(data)
