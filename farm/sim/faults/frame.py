"""One websocket message on its way to one client, as faults see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from .moments import Facts
from .said import Data, with_data

if TYPE_CHECKING:
    from .strikes import Strike

__all__ = ["Frame", "Parcel"]


@dataclass(frozen=True)
class Parcel:
    """One message as it goes out.

    :ivar content: text or bytes.
    :ivar after_ms: how much later.
    """

    content: str | bytes
    after_ms: int = 0


@dataclass(eq=False)
class Frame:
    """A message that a fault struck; an effect changes what it does not leave to be as it should.

    :ivar content: as ComfyUI made it.
    :ivar older_prompt_id: the job of this client that ended last before the one that the message is about, or ``None``.
    :ivar parcels: what goes out; at first the message itself.
    :ivar waits_for_next: the parcels go out right behind the socket's next message; where some wait already these go
        out at once, and those behind them.
    :ivar to_everybody: they go to every socket, whose ever they are.
    :ivar ending: what becomes of the socket, after the parcels: ``close`` is a clean close, ``reset`` an RST.
    :ivar code: of a clean close.
    :ivar reason: of a clean close.
    :ivar muted_by: the socket stays open and hears nothing more, these parcels neither, while this strike is on.
    :ivar is_displaced: the hub forgets the client after this, as if an older socket of the same id had ended.
    :ivar deaf_by: while this strike is on, and for ``deaf_ms`` at the longest, the client hears nothing, on this
        socket or on another that it opens.
    """

    facts: Facts
    content: str | bytes
    older_prompt_id: str | None = None
    parcels: list[Parcel] = field(default_factory=list)
    waits_for_next: bool = False
    to_everybody: bool = False
    ending: Literal["keep", "close", "reset"] = "keep"
    code: int = 1000
    reason: str = ""
    muted_by: Strike | None = None
    is_displaced: bool = False
    deaf_by: Strike | None = None
    deaf_ms: int = 0

    def __post_init__(self) -> None:
        """Begin with the message itself."""
        self.parcels = [Parcel(self.content)]

    def change_data(self, change: Callable[[Data], Data]) -> None:
        """Let the parcels say something else; one without data says what it said."""
        self.parcels = [replace(each, content=with_data(each.content, change)) for each in self.parcels]
