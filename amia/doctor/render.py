"""A diagnosis in words."""

from collections.abc import Iterator

from amia.doctor.duplicates import Duplicates
from amia.doctor.findings import CorpusReport, Findings

__all__ = ["render_report"]

_ORDER = {"train": 0, "validation": 1, "test": 2}


def render_report(found: CorpusReport) -> list[str]:
    """One line a fact, a table of the splits, and at the end what needs doing."""
    return [
        f"{found.source}: {found.kind}, {found.files} files, {found.bytes / 1e6:,.1f} MB",
        f"posts       {found.posts:,}, {found.labeled:,} of them labeled{_share(found.labeled, found.posts)}",
        *_table(found),
        f"images      {found.images:,} can be used{_share(found.images, found.posts)}, {found.no_image:,} missing, "
        f"{found.broken.count:,} broken, {found.tiny.count:,} tiny",
        *_reasons(found.broken),
        *_reasons(found.tiny),
        f"ids         {_repeated(found.ids)}",
        f"texts       {_repeated(found.texts)}",
        *(f"  {value}: {', '.join(places)}" for value, places in found.places.items()),
        f"            {found.empty.count:,} clean to nothing",
        *_reasons(found.empty),
        f"rejected    {found.rejected.count:,}",
        *_reasons(found.rejected),
        *_advice(found),
    ]


def _table(found: CorpusReport) -> list[str]:
    types = sorted({kind for split in found.splits.values() for kind in split.entities})
    head = ["split", "posts", "tokens", *types, "entities", "no entity", "repaired tags"]
    rows = [head]
    for name, split in sorted(found.splits.items(), key=lambda item: _ORDER.get(item[0], len(_ORDER))):
        counts = [split.posts, split.tokens, *(split.entities[kind] for kind in types), split.entities.total()]
        rows.append([name, *(f"{count:,}" for count in (*counts, split.without_entity, split.repaired))])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return [
        "  " + row[0].ljust(widths[0]) + "".join(f"  {cell:>{width}}" for cell, width in _pairs(row, widths))
        for row in rows
    ]


def _pairs(row: list[str], widths: list[int]) -> Iterator[tuple[str, int]]:
    return zip(row[1:], widths[1:], strict=True)


def _reasons(findings: Findings) -> list[str]:
    lines = []
    for reason, count in findings.reasons.most_common():
        places = findings.places[reason]
        lines.append(f"  {count:,} x {reason}: {', '.join(places)}{', ...' if count > len(places) else ''}")
    return lines


def _repeated(duplicates: Duplicates | None) -> str:
    if duplicates is None or not (duplicates.within or duplicates.across):
        return "none occurs twice"
    within = ", ".join(f"{count:,} more than once in {split}" for split, count in duplicates.within.items())
    across = f"{duplicates.across:,} in more than one split" if duplicates.across else ""
    return "; ".join(part for part in (within, across) if part)


def _advice(found: CorpusReport) -> list[str]:
    advice = []
    if found.posts == 0:
        advice.append("There is no post in this source.")
    elif found.images == 0:
        advice.append(
            "All images are missing or broken: say where they are with --images DIR. Without them every augmented "
            "image is the synthesized one (theta = 0)."
        )
    if found.ids is not None and (found.ids.within or found.ids.across):
        advice.append("Ids occur twice: of the posts that share one, a single one is kept.")
    if found.texts is not None and found.texts.across:
        advice.append("Texts stand in more than one split: what is measured on the test split may be too good.")
    if found.rejected.count:
        advice.append("What was rejected is no post and goes to quarantine, with its reason.")
    return advice


def _share(part: int, whole: int) -> str:
    return f" ({part / whole:.1%})" if whole else ""
