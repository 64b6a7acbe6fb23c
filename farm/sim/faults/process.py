"""What a fault can do to an instance's process."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, Protocol

from farm.sim.units import Duration

from .strikes import UNTIL_WOKEN, Story, Strike

__all__ = ["KEPT", "Kept", "Process", "for_a_while"]

Kept = Literal["queue", "history", "uploads", "models"]
"""What may outlast a crash."""
KEPT: tuple[Kept, ...] = ("queue", "history", "uploads", "models")


class Process(Protocol):
    """The process of one instance.  Asked for what is so already, it does nothing."""

    def crash(self, keep: Collection[Kept] = ()) -> None:
        """Die here and now: sockets reset, port closed; what is not kept is lost."""

    def start(self) -> None:
        """Begin a new epoch, unless one runs."""

    def freeze(self, *, worker: bool) -> None:
        """Answer nobody and tell nobody, the port open; with ``worker`` the job stands still too."""

    def thaw(self) -> None:
        """Answer and tell what has come up meanwhile."""

    def refuse(self) -> None:
        """Close the port to new connections; those that are open stay."""

    def accept(self) -> None:
        """Listen again."""


def for_a_while(strike: Strike, duration: Duration | None) -> Story:
    """Let an effect last so long, and no longer than its strike; ``None``: as long as that."""
    if duration is not None:
        yield duration
        return
    while strike.is_on:
        yield UNTIL_WOKEN
