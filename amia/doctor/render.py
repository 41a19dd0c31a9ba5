"""Render a corpus report as text."""

from amia.doctor.duplicates import Duplicates
from amia.doctor.findings import CorpusReport, Findings

__all__ = ["render_report"]

_SPLIT_ORDER = {"train": 0, "validation": 1, "test": 2}


def render_report(report: CorpusReport) -> list[str]:
    """Return one line for each fact, a table of the splits, and at the end advice."""
    return [
        f"{report.source}: {report.kind}, {report.files} files, {report.bytes / 1e6:,.1f} MB",
        f"posts       {report.posts:,}, {report.labeled:,} of them labeled{_percentage(report.labeled, report.posts)}",
        *_split_table(report),
        f"images      {report.images:,} usable{_percentage(report.images, report.posts)}, {report.no_image:,} missing, "
        f"{report.broken.count:,} broken, {report.tiny.count:,} tiny",
        *_reasons(report.broken),
        *_reasons(report.tiny),
        f"ids         {_describe_duplicates(report.ids)}",
        f"texts       {_describe_duplicates(report.texts)}",
        *(f"  {value}: {', '.join(locations)}" for value, locations in report.places.items()),
        f"            {report.empty.count:,} empty after cleaning",
        *_reasons(report.empty),
        f"rejected    {report.rejected.count:,}",
        *_reasons(report.rejected),
        *_advice(report),
    ]


def _split_table(report: CorpusReport) -> list[str]:
    types = sorted({name for split in report.splits.values() for name in split.entities})
    header = ["split", "posts", "tokens", *types, "entities", "no entity", "repaired tags"]
    rows = [header]
    for name, split in sorted(report.splits.items(), key=lambda item: _SPLIT_ORDER.get(item[0], len(_SPLIT_ORDER))):
        counts = [split.posts, split.tokens, *(split.entities[name] for name in types), split.entities.total()]
        rows.append([name, *(f"{count:,}" for count in (*counts, split.without_entity, split.repaired))])
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    return [
        "  "
        + row[0].ljust(widths[0])
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]


def _reasons(findings: Findings) -> list[str]:
    lines = []
    for reason, count in findings.reasons.most_common():
        locations = findings.places[reason]
        lines.append(f"  {count:,} x {reason}: {', '.join(locations)}{', ...' if count > len(locations) else ''}")
    return lines


def _describe_duplicates(duplicates: Duplicates | None) -> str:
    if duplicates is None or not (duplicates.within or duplicates.across):
        return "no duplicates"
    within = ", ".join(f"{count:,} more than once in {split}" for split, count in duplicates.within.items())
    across = f"{duplicates.across:,} in more than one split" if duplicates.across else ""
    return "; ".join(part for part in (within, across) if part)


def _advice(report: CorpusReport) -> list[str]:
    advice = []
    if report.posts == 0:
        advice.append("There is no post in this source.")
    elif report.images == 0:
        advice.append(
            "All images are missing or broken: specify their folder with --images DIR. Without images every "
            "augmented image is the synthesized one (theta = 0)."
        )
    if report.ids is not None and (report.ids.within or report.ids.across):
        advice.append("Some ids occur more than once: only one post of each id is kept.")
    if report.texts is not None and report.texts.across:
        advice.append("Some texts occur in more than one split: scores on the test split may be too high.")
    if report.rejected.count:
        advice.append("Rejected rows are not valid posts; `amia ingest` writes them to quarantine/ with the reason.")
    return advice


def _percentage(part: int, total: int) -> str:
    return f" ({part / total:.1%})" if total else ""
