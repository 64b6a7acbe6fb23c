"""What a handful of numbers may be said to show."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

# What never happened in n tries happens, with 95 % certainty, in less than 3/n of them: 30 leave 10 %.
ENOUGH = 30
# Of fewer, the 99th percentile is nothing but the largest.
ENOUGH_FOR_P99 = 100
# Of fewer jobs for each instance, on average, one long one makes a fair dispatcher look unfair.
ENOUGH_PER_INSTANCE = 10
# Crashes and returns are rare; of fewer, one slow one decides the median.
ENOUGH_OUTAGES = 5


def percentile(values: Sequence[int], percent: int) -> int | None:
    """The smallest value that so many percent of all do not exceed (nearest rank); ``None`` of none."""
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)] if ordered else None


def median_ms(values: Sequence[int]) -> int | None:
    """The 50th percentile: of an even number of values the lower one in the middle."""
    return percentile(values, 50)
