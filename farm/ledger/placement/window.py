"""From when to when is there anything to measure?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .dispatches import Dispatch

__all__ = ["Window", "window_of"]


@dataclass(frozen=True)
class Window:
    """The time in which there was work.

    :ivar from_ms: when the first job was sent that was taken on.
    :ivar to_ms: when the last of them ended; the moment of the judgement while some are open.
    """

    from_ms: int
    to_ms: int

    @property
    def length_ms(self) -> int:
        """How long it is."""
        return self.to_ms - self.from_ms


def window_of(dispatches: Iterable[Dispatch], at_ms: int) -> Window | None:
    """The time in which these jobs were there; ``None`` where none was taken on."""
    accepted = [each.attempt for each in dispatches if each.attempt.is_accepted]
    if not accepted:
        return None
    ends = [at_ms if each.ended_ms is None else each.ended_ms for each in accepted]
    return Window(min(each.sent_ms for each in accepted), max(ends))
