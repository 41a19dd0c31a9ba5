"""What could not be done, by reason: posts by their statuses, and rows of the source that are no posts."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from amia.errors import RunError
from amia.report.view_models import Example, Failure
from ray_jobs.reporting.looking import EXAMPLES, Looked
from ray_jobs.reporting.picturing import Shown
from ray_jobs.storage.store import Store
from ray_jobs.telling.statuses import why

__all__ = ["Quarantined", "failures", "quarantined"]

MOST_KINDS = 20
OTHER = "other reasons"

_PARTICULAR = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")
"""What differs between two rows that are rejected for the same reason."""


@dataclass(slots=True)
class Quarantined:
    """The rows that ingest refused."""

    count: int = 0
    kinds: dict[str, tuple[int, list[Example]]] = field(default_factory=dict)
    """By reason: how many, and the first of them."""

    def take(self, where: str, post_id: str, reason: str) -> None:
        """One row."""
        self.count += 1
        kind = _PARTICULAR.sub("…", reason)
        if kind not in self.kinds and len(self.kinds) >= MOST_KINDS:
            kind = OTHER
        count, examples = self.kinds.get(kind, (0, []))
        if len(examples) < EXAMPLES:
            examples = [*examples, Example(where=where, id=post_id, text=reason)]
        self.kinds[kind] = count + 1, examples


def quarantined(store: Store) -> Quarantined:
    """Everything in quarantine/. Raises RunError when a line there is not ours."""
    found = Quarantined()
    for key in sorted(store.sizes("quarantine")):
        for line in store.read(key).decode("utf-8", "replace").split("\n"):
            if line:
                try:
                    row = json.loads(line)
                    found.take(str(row["where"]), str(row["id"] or ""), str(row["reason"]))
                except (ValueError, KeyError, TypeError) as error:
                    raise RunError(f"{key} in {store.address} was not written by amia: {error}") from error
    return found


def failures(looked: Looked, pictures: Mapping[tuple[str, int], Shown], rows: Quarantined) -> list[Failure]:
    """All reasons, the most frequent first; rows that are no posts after the posts."""
    of_posts = [
        Failure(
            reason=f"posts {why(status)}",
            count=some.seen,
            examples=[
                Example(
                    where=place.split,
                    id=place.id,
                    text=pictures[place.key].text,
                    picture=pictures[place.key].original,
                )
                for place in some.items
            ],
        )
        for status, some in looked.failures.items()
    ]
    of_rows = [
        Failure(reason=f"rows that are no posts: {kind}", count=count, examples=examples)
        for kind, (count, examples) in rows.kinds.items()
    ]
    return [each for some in (of_posts, of_rows) for each in sorted(some, key=lambda one: (-one.count, one.reason))]
