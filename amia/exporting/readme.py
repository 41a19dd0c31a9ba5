"""The README of an export: what lies where, what each public system needs, and what was changed to fit the layout."""

from collections.abc import Sequence

from amia.exporting.readme_texts import FILES, SYSTEMS, UMT, WEBDATASET
from amia.exporting.summary import Summary
from amia.exporting.umt import LEAST_SIZE
from amia.mixing.arms import described
from amia.mner.spans import TYPES
from amia.posts import ordered_splits
from amia.report.card import SYNTHETIC
from amia.report.markdown import DEMO_NOTICE, table

__all__ = ["readme"]


def readme(about: Summary) -> str:
    """Markdown; the same for the same export."""
    template = {"umt": UMT, "webdataset": WEBDATASET}[about.layout]
    body = template.format(
        arm=next(iter(about.arms)),
        files=_aligned(FILES[about.layout], about.folder),
        size=about.size,
        quality=about.quality,
        origin="the run's own bytes" if about.unchanged else "resized or encoded again from the run's",
        systems=table(SYSTEMS),
        least=LEAST_SIZE,
        seen=min(1.0, (LEAST_SIZE / about.size) ** 2),
    )
    return "\n".join([_opening(about), body, *_changes(about)])


def _aligned(files: Sequence[tuple[str, str]], folder: str | None) -> str:
    named = [(name.format(folder=folder), what) for name, what in files]
    width = max(len(name) for name, _ in named)
    return "\n".join(f"    {name.ljust(width)}    {what}" for name, what in named)


def _opening(about: Summary) -> str:
    notice = [DEMO_NOTICE] if about.demo else []
    arms = "\n".join(f"- `{arm}` shows {described(arm)}" for arm in about.arms)
    drawn = [f"{about.generator.line()}\n{SYNTHETIC.rstrip()}"] if about.generator else []
    written = f"Written by `amia export --layout {about.layout}`."
    return "\n\n".join(["# Augmented posts", written, *notice, arms, _counts(about).rstrip(), *drawn]) + "\n"


def _counts(about: Summary) -> str:
    splits = ordered_splits({split for each in about.arms.values() for split in each.posts})
    rows = [("arm", *(f"#{split}" for split in splits), "#without an image")]
    for arm, each in about.arms.items():
        rows.append((arm, *(f"{each.posts[split]:,}" for split in splits), f"{each.without_image:,}"))
    return table(rows)


def _changes(about: Summary) -> list[str]:
    """What a reader of this export must know that is not so in every one."""
    first = next(iter(about.arms.values()))  # all arms have the same posts
    lines: list[str] = []
    if first.untagged:
        lines.append(
            f"{first.untagged:,} posts are left out: they have no tags, and these files have no place for them."
        )
    if first.renamed:
        lines.append(f"{first.renamed:,} posts have another name than their id.")
    if first.altered:
        lines.append(
            f"{first.altered:,} tokens are changed: a space, TAB or end of line inside a token became a no-break space "
            "(U+00A0), and a token that begins like `IMGID:` got a zero-width space (U+200B) before it. BERT's "
            "tokenizer reads both as it would the original."
        )
    if about.layout == "umt" and (other := [kind for kind in about.types if kind not in TYPES]):
        listed = ", ".join(f"`{kind}`" for kind in other)
        lines.append(f"UMT, MAF, HVPNeT and RpBERT do not know the types {listed}: add them to the script's labels.")
    return ["## These posts\n", *(f"- {line}" for line in lines), ""] if lines else []
