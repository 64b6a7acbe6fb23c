"""Pauses in simulated time, as effects and executions yield them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfyfarm.faults.fault import Firing

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, Union


@dataclass(frozen=True)
class Sleep:
    """A pause that ends before its time where its strike is let go."""

    ms: int
    firing: Firing


WAIT = None
"""A pause that ends whenever something may have changed: look again, and pause again where it has not."""

Pause: TypeAlias = Union[int, Sleep, "Firing", None]
"""So many milliseconds, or at most so many; or ``UNTIL_WOKEN``; or a strike that is for the process alone."""

Steps: TypeAlias = Iterator[Pause]
"""What happens, pausing wherever time passes; whoever runs it resumes it then."""
