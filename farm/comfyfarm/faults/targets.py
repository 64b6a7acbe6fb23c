"""One HTTP exchange, as faults see it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from comfyfarm.faults.editing import Data, with_data
from comfyfarm.faults.pauses import Hold
from comfyfarm.faults.phases import PhaseFacts

Headers = tuple[tuple[str, str], ...]
"""Names and values."""

Ending = Literal["keep", "close", "reset"]
"""What becomes of the connection: kept for the next request, closed, or reset (RST)."""


@dataclass(frozen=True)
class HttpReply:
    """An answer.

    :ivar headers: all of them but ``Content-Length`` and ``Connection``.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""


@dataclass(eq=False)
class Exchange:
    """An exchange that a fault struck; an effect changes what it does not leave to be as it should.

    :ivar at_ms: the simulated moment; kept true by whoever runs the story.
    :ivar query: as it stands behind the ``?``.
    :ivar usual: the headers that this server puts into every answer.
    :ivar reply: what is answered.  ``None`` before the work: it will be done, unless an effect answers instead.
    :ivar raw: what is sent in place of any HTTP answer; ``b""`` for not a byte.
    :ivar declared_bytes: the ``Content-Length`` that is sent, where that is not the body's.
    :ivar body_bytes: how much of the body is sent; ``None`` for all.
    :ivar piece_bytes: how much of it goes out at once; ``None`` for all.
    :ivar gap_ms: how long to wait before each further piece.
    :ivar ending: what becomes of the connection; what has not gone out yet when it is reset is lost.
    """

    facts: PhaseFacts
    at_ms: int
    query: str = ""
    usual: Headers = ()
    reply: HttpReply | None = None
    raw: bytes | None = None
    declared_bytes: int | None = None
    body_bytes: int | None = None
    piece_bytes: int | None = None
    gap_ms: int = 0
    ending: Ending = "keep"

    @property
    def is_decided(self) -> bool:
        """Nothing of ComfyUI's own is needed any more: the work is not done where it has not been."""
        return self.reply is not None or self.raw is not None


@dataclass(frozen=True)
class DelayedMessage:
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
    :ivar messages: what goes out; at first the message itself.
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

    facts: PhaseFacts
    content: str | bytes
    older_prompt_id: str | None = None
    messages: list[DelayedMessage] = field(default_factory=list)
    waits_for_next: bool = False
    to_everybody: bool = False
    ending: Literal["keep", "close", "reset"] = "keep"
    code: int = 1000
    reason: str = ""
    muted_by: Hold | None = None
    is_displaced: bool = False
    deaf_by: Hold | None = None
    deaf_ms: int = 0

    def __post_init__(self) -> None:
        """Begin with the message itself."""
        self.messages = [DelayedMessage(self.content)]

    def change_data(self, change: Callable[[Data], Data]) -> None:
        """Let the parcels say something else; one without data says what it said."""
        self.messages = [replace(each, content=with_data(each.content, change)) for each in self.messages]


class HistoryOutputs(Protocol):
    """The part of a job's history entry that a fault may empty."""

    @property
    def outputs(self) -> dict[str, Any]:
        """By node id, what the node showed."""

    @property
    def meta(self) -> dict[str, Any]:
        """By node id, whose output that is."""


class WrittenFile(Protocol):
    """A file that a job has just written, or on a static instance only named.

    :ivar shown: ``filename``, ``subfolder`` and ``type``, as history will show them; may be changed.
    """

    shown: dict[str, Any]

    @property
    def exists(self) -> bool:
        """Whether a file was written; a static instance writes none."""

    def remove(self) -> None:
        """Delete the file."""

    def hide(self) -> None:
        """Keep the file back until :meth:`reveal`."""

    def reveal(self) -> None:
        """Put the hidden file in its place."""

    def cut(self, left: Callable[[int], int]) -> None:
        """Shorten the file; ``left`` maps its size in bytes to the size that is left."""


class RunningJob(Protocol):
    """A job at the phase at which a fault fires."""

    @property
    def entry(self) -> HistoryOutputs:
        """What will stand in history."""

    def node_error(self, exception_type: str, message: str) -> Exception:
        """Return an exception that, raised by the effect, lets the node fail with this type and message."""

    def slow_down(self, hold: Hold, factor: float) -> None:
        """Let everything that the job still does take so many times as long, while the strike is on."""

    def deafen(self, hold: Hold) -> None:
        """Let the job hear no interrupt while the strike is on."""

    def out_of_memory(self) -> Exception:
        """Empty the memory, as ComfyUI does then; the answer is what a node raises."""

    def when_saved(self, change: Callable[[WrittenFile], None]) -> None:
        """At phase ``save``: have a look at each file as soon as it is written."""

    def give_name_again(self) -> None:
        """At phase ``save``: let the first file get the name that was given last, and overwrite it."""

    def later(self, after_ms: int, act: Callable[[], None]) -> None:
        """Let something happen on this instance so much later, unless its process ends before."""

    def forget_entry(self, after_ms: int) -> None:
        """Drop the history entry so long after the job's end; 0: at once, so that nobody sees it."""


Kept = Literal["queue", "history", "uploads", "models"]
"""What may outlast a crash."""
KEPT: tuple[Kept, ...] = ("queue", "history", "uploads", "models")


class ProcessControl(Protocol):
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
