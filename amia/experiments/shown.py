"""Numbers as the cells of a table show them."""

from amia.experiments.grid import Compared, Spread
from amia.experiments.paper import Printed

__all__ = ["ALPHA", "COPIED", "DOUBTED", "NOTHING", "agreeing", "compared", "p_value", "printed", "spread"]

NOTHING = "–"
"""No run produced this number."""
ALPHA = 0.05
DOUBTED, COPIED = "†", "‡"


def spread(value: Spread) -> str:
    """`73.48 ± 0.21`, in percent; a single seed has no deviation."""
    return f"{value.mean:.2f} ± {NOTHING if value.deviation is None else f'{value.deviation:.2f}'}"


def compared(value: Compared) -> str:
    """`+0.72 [+0.10, +1.33], p = 0.012 *, 4/5 seeds`, in points of percent."""
    mark = " *" if value.adjusted < ALPHA else ""
    interval = f"[{value.low:+.2f}, {value.high:+.2f}]"
    return f"{value.difference:+.2f} {interval}, {p_value(value.adjusted)}{mark}{agreeing(value)}"


def agreeing(value: Compared) -> str:
    """`, 4/5 seeds` have it that way round; nothing where a single seed cannot disagree."""
    return f", {value.ahead}/{value.seeds} seeds" if value.seeds > 1 else ""


def p_value(p: float) -> str:
    """`p = 0.012`, or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def printed(value: Printed) -> str:
    """The paper's F1 in percent, with its marks."""
    return f"{value.f1:.2f}" + (f" {COPIED}" if value.copied else "") + (f" {DOUBTED}" if value.doubt else "")
