"""Many comparisons at once: Holm's step-down adjustment (Holm 1979)."""

from collections.abc import Sequence

__all__ = ["holm"]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values, in the order given, in [0, 1].

    Calling those below alpha real keeps the chance of a single false one among all of them below alpha, however they
    hang together. The smallest of m is multiplied by m, the next by m - 1, ...; none falls below one before it.
    """
    adjusted = [0.0] * len(p_values)
    reached = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = reached
    return adjusted
