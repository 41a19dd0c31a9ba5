"""Render the content of a report as one self-contained HTML page: no network, fonts or libraries.

The page's Content-Security-Policy forbids network access, and scripts other than its own, which is allowed by its hash.
Jinja escapes all text of posts, models and storage; none of it is marked as safe.
"""

import base64
import hashlib
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from amia.mner.spans import TYPES
from amia.report import charts, map_chart
from amia.report.entity_markup import plain_text, to_printable, truncate_pieces
from amia.report.thumbnails import THUMBNAIL_SIZE, data_uri
from amia.report.view_models import ReportContent, TrainingCurve

__all__ = ["SECTIONS", "render_page", "section_names"]

SECTIONS = {
    "accounting": "Accounting",
    "losses": "Losses",
    "thetas": "Theta",
    "outlook": "What to expect",
    "posts": "Posts",
    "failures": "Failures",
    "stages": "Throughput",
    "experiments": "Experiments",
    "curves": "Curves",
    "disagreements": "Disagreements",
    "settings": "Settings",
}
"""Titles in the navigation by anchor, in the order of the page."""

_TEMPLATES = Path(__file__).parent / "templates"
_MAX_ID_CHARS = 80
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="6" cy="8" r="5" fill="#b4530999"/>'
    '<circle cx="10" cy="8" r="5" fill="#0f766e99"/></svg>'
)


def section_names(content: ReportContent) -> list[str]:
    """Return the anchors of all sections that have content."""
    has_content = {
        "accounting": True,
        "losses": bool(content.losses),
        "thetas": bool(content.thetas),
        "outlook": content.outlook is not None,
        "posts": any(group.triples for group in content.groups),
        "failures": bool(content.failures),
        "stages": bool(content.stages),
        "experiments": bool(content.experiments),
        "curves": bool(content.curves),
        "disagreements": content.disagreements is not None,
        "settings": True,
    }
    return [name for name in SECTIONS if has_content[name]]


def render_page(content: ReportContent) -> str:
    """Return the HTML page. The same content gives the same page."""
    style, script = (
        Markup((_TEMPLATES / name).read_text(encoding="utf-8").strip())  # noqa: S704 - files of this package
        for name in ("page.css", "page.js")
    )
    by_system = groupby(sorted(content.curves, key=_curve_order), key=lambda curve: curve.system)
    histograms = [*content.thetas, *content.thetas_synthesized]
    max_share = max((max(thetas.counts) / thetas.total for thetas in histograms), default=1.0)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            content=content,
            sections={name: SECTIONS[name] for name in section_names(content)},
            systems=[(system, list(curves)) for system, curves in by_system],
            max_share=max_share,
            style=style,
            script=script,
            icon=base64.b64encode(_ICON.encode()).decode(),
            policy=(
                f"default-src 'none'; img-src data:; style-src '{_csp_hash(style)}'; script-src '{_csp_hash(script)}'; "
                "base-uri 'none'; form-action 'none'"
            ),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "count": lambda value: f"{value:,}",
        "rate": lambda value: "–" if value is None else f"{value:,.1f}" if value < 100 else f"{value:,.0f}",
        "decimal": lambda value: "–" if value is None else f"{value:.3f}",
        "brief": lambda text: " ".join(piece.text for piece in truncate_pieces(plain_text(text))),
        "id": lambda value: to_printable(value if len(value) <= _MAX_ID_CHARS else f"{value[:_MAX_ID_CHARS]}…"),
        "entity_class": lambda kind: f"ent-{kind.lower()}" if kind in TYPES else "ent-other",
        "truncate_pieces": truncate_pieces,
        "data_uri": data_uri,
    }
    environment.globals |= {
        "charts": charts,
        "maps": map_chart,
        "percent": lambda part, total: f"{part / total:.1%}" if total else "–",
        "thumbnail_size": THUMBNAIL_SIZE,
    }
    return environment


def _curve_order(curve: TrainingCurve) -> tuple[str, str, int, str]:
    return curve.system, curve.arm, curve.seed, curve.name


def _csp_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
