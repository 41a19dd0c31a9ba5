"""A report's content as one HTML page that needs nothing beside it: no network, no fonts, no library.

The page forbids itself the network (Content-Security-Policy), and runs no script but its own, by hash. Everything that
came from posts, models or storage is escaped by Jinja; nothing of it is marked as safe.
"""

import base64
import hashlib
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from amia.mner.spans import TYPES
from amia.report import charts
from amia.report.entity_markup import plain, printable, shortened
from amia.report.thumbnails import SIDE, data_uri
from amia.report.view_models import ReportContent, TrainedCurve

__all__ = ["SECTIONS", "render", "sections_of"]

_FOLDER = Path(__file__).parent / "templates"

SECTIONS = {
    "accounting": "Accounting",
    "losses": "Losses",
    "thetas": "Theta",
    "posts": "Posts",
    "failures": "Failures",
    "stages": "Throughput",
    "experiments": "Experiments",
    "curves": "Curves",
    "disagreements": "Disagreements",
    "settings": "Settings",
}
"""Anchor -> name in the navigation, in the page's order."""
_LONGEST_ID = 80
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="6" cy="8" r="5" fill="#b4530999"/>'
    '<circle cx="10" cy="8" r="5" fill="#0f766e99"/></svg>'
)


def sections_of(content: ReportContent) -> list[str]:
    """Anchors of the sections that have something to show."""
    has = {
        "accounting": True,
        "losses": bool(content.losses),
        "thetas": bool(content.thetas),
        "posts": any(group.triples for group in content.groups),
        "failures": bool(content.failures),
        "stages": bool(content.stages),
        "experiments": bool(content.experiments),
        "curves": bool(content.curves),
        "disagreements": content.disagreements is not None,
        "settings": True,
    }
    return [name for name in SECTIONS if has[name]]


def render(content: ReportContent) -> str:
    """The whole page. The same content gives the same page."""
    style, script = (
        Markup((_FOLDER / name).read_text(encoding="utf-8").strip())  # noqa: S704 - our own files, in the package
        for name in ("page.css", "page.js")
    )
    names = sections_of(content)
    by_system = groupby(sorted(content.curves, key=_order), key=lambda each: each.system)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            content=content,
            sections={name: SECTIONS[name] for name in names},
            systems=[(system, list(curves)) for system, curves in by_system],
            tallest=max((max(each.posts) / each.total for each in content.thetas), default=1.0),
            style=style,
            script=script,
            icon=base64.b64encode(_ICON.encode()).decode(),
            policy=(
                f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
                "base-uri 'none'; form-action 'none'"
            ),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "number": lambda value: f"{value:,}",
        "rate": lambda value: "–" if value is None else f"{value:,.1f}" if value < 100 else f"{value:,.0f}",
        "figure": lambda value: "–" if value is None else f"{value:.3f}",
        "brief": lambda text: " ".join(piece.text for piece in shortened(plain(text))),
        "id": lambda value: printable(value if len(value) <= _LONGEST_ID else f"{value[:_LONGEST_ID]}…"),
        "kind": lambda kind: f"ent-{kind.lower()}" if kind in TYPES else "ent-other",
        "shortened": shortened,
        "uri": data_uri,
    }
    environment.globals |= {
        "charts": charts,
        "share": lambda part, whole: f"{part / whole:.1%}" if whole else "–",
        "side": SIDE,
    }
    return environment


def _order(curve: TrainedCurve) -> tuple[str, str, int, str]:
    return curve.system, curve.arm, curve.seed, curve.name


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
