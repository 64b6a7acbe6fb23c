"""Pauses in simulated time, as effects and executions yield them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(eq=False, kw_only=True)
class Hold:
    """The lasting part of a firing: what the effect has done stays in force while it is active.

    :ivar active: False once the fault is healed, removed or over, or once this one is released.
    """

    active: bool = field(default=True)


@dataclass(frozen=True)
class Sleep:
    """A pause of a fixed length that ends early if its hold is no longer active."""

    ms: int
    hold: Hold


WAIT = None
"""A pause without a time: the steps are resumed whenever something may have changed, and check for themselves."""

Pause: TypeAlias = int | Sleep | Hold | None
"""A number of milliseconds; a :class:`Sleep`; ``WAIT``; or a firing that the instance's process has to carry out."""

Steps: TypeAlias = Iterator[Pause]
"""Steps over simulated time: a generator that yields a pause wherever time passes."""
