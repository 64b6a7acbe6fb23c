"""What a fault can do to a running job."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from farm.sim.history import Entry
    from farm.sim.nodes import NodeError
    from farm.sim.saved_file import SavedFile

    from .strikes import Strike

__all__ = ["Run"]


class Run(Protocol):
    """A job, at the phase where a fault strikes.

    :ivar entry: what will stand in history.
    """

    @property
    def entry(self) -> Entry:
        """See above."""

    def slow_down(self, strike: Strike, factor: float) -> None:
        """Let everything that the job still does take so many times as long, while the strike is on."""

    def deafen(self, strike: Strike) -> None:
        """Let the job hear no interrupt while the strike is on."""

    def out_of_memory(self) -> NodeError:
        """Empty the memory, as ComfyUI does then; the answer is what a node raises."""

    def when_saved(self, change: Callable[[SavedFile], None]) -> None:
        """At phase ``save``: have a look at each file as soon as it is written."""

    def give_name_again(self) -> None:
        """At phase ``save``: let the first file get the name that was given last, and overwrite it."""

    def later(self, after_ms: int, act: Callable[[], None]) -> None:
        """Let something happen on this instance so much later, unless its process ends before."""

    def forget_entry(self, after_ms: int) -> None:
        """Drop the history entry so long after the job's end; 0: at once, so that nobody sees it."""
