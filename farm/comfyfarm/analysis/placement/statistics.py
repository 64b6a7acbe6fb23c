"""Percentiles, sample sizes, and the base class of the measures."""

from collections.abc import Sequence
from math import ceil

import msgspec

# An event that did not happen in n tries has, with 95 % certainty, a probability below 3/n: 30 tries leave 10 %.
ENOUGH = 30
# With fewer values the 99th percentile is simply the largest.
ENOUGH_FOR_P99 = 100
# With fewer jobs per instance, on average, one long job makes a fair dispatcher look unfair.
ENOUGH_PER_INSTANCE = 10
# Crashes and returns are rare; with fewer of them one slow reaction decides the median.
ENOUGH_OUTAGES = 5


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """The base of the measures.

    :ivar n: the sample size; its unit depends on the measure.
    :ivar is_small: the sample is too small to show much.
    """

    n: int
    is_small: bool


def percentile(values: Sequence[int], percent: int) -> int | None:
    """Return the smallest value that ``percent`` of all values do not exceed (nearest rank).

    ``None`` if there are no values. The 50th percentile of an even number of values is the lower of the middle two.
    """
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)] if ordered else None
