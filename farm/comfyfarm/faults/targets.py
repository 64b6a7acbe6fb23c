"""The targets of effects: an HTTP exchange, a websocket message, a running job, a process.

The code above this package creates an :class:`Exchange` or a :class:`Frame`, passes it to the effects that fire, and
then carries out what they have left in it.  The protocols are implemented there.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from comfyfarm.faults.editing import Data, with_data
from comfyfarm.faults.pauses import Hold
from comfyfarm.faults.phases import PhaseFacts

Headers = tuple[tuple[str, str], ...]
"""Names and values."""

Ending = Literal["keep", "close", "reset"]
"""The fate of a connection: it stays open, is closed properly, or is reset (RST)."""


@dataclass(frozen=True)
class HttpReply:
    """An HTTP response.

    :ivar headers: all but ``Content-Length`` and ``Connection``.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""


@dataclass(eq=False)
class Exchange:
    """An HTTP exchange at which faults fire.  What an effect does not change is sent as ComfyUI would.

    :ivar at_ms: the current simulated time; updated whenever the steps are resumed.
    :ivar query: the text after the ``?``.
    :ivar default_headers: the headers of every response of this server.
    :ivar reply: the response; ``None`` before the work.  An effect that sets it before the work prevents the work.
    :ivar raw: bytes to send instead of an HTTP response; ``b""`` sends nothing, ``None`` sends the reply.
    :ivar declared_bytes: the ``Content-Length`` to send; ``None``: the length of the body.
    :ivar body_bytes: how much of the body is sent; ``None``: all.
    :ivar piece_bytes: how much of the body is sent at once; ``None``: all.
    :ivar gap_ms: the time before each further piece.
    :ivar ending: what becomes of the connection; a reset drops what is not sent yet.
    """

    facts: PhaseFacts
    at_ms: int
    query: str = ""
    default_headers: Headers = ()
    reply: HttpReply | None = None
    raw: bytes | None = None
    declared_bytes: int | None = None
    body_bytes: int | None = None
    piece_bytes: int | None = None
    gap_ms: int = 0
    ending: Ending = "keep"

    @property
    def is_decided(self) -> bool:
        """True if there is something to send; the work, if not yet done, is skipped then."""
        return self.reply is not None or self.raw is not None


@dataclass(frozen=True)
class DelayedMessage:
    """One outgoing message, and by how many milliseconds it is delayed."""

    content: str | bytes
    after_ms: int = 0


@dataclass(eq=False)
class Frame:
    """A websocket message to one client at which faults fire.  What an effect does not change stays as ComfyUI has it.

    :ivar content: the original message.
    :ivar older_prompt_id: the job of this client that ended last before the one of the message; ``None``: no such job.
    :ivar messages: what is sent; at first the original message.
    :ivar waits_for_next: the messages are sent right after the socket's next message; if messages wait already, these
        are sent at once and the waiting ones after them.
    :ivar to_everybody: the messages are sent to every socket.
    :ivar ending: what becomes of the socket after the messages: ``close`` is a clean close, ``reset`` an RST.
    :ivar code: of a clean close, like ``reason``.
    :ivar muted_by: while this hold is active, nothing is sent to this socket, these messages included.
    :ivar is_displaced: after this the server forgets the client, as if an older socket of the same id had ended.
    :ivar deaf_by: while this hold is active, but for ``deaf_ms`` at most, nothing is sent to this client, on this
        socket or on a new one.
    """

    facts: PhaseFacts
    content: str | bytes
    older_prompt_id: str | None = None
    messages: list[DelayedMessage] = field(default_factory=list)
    waits_for_next: bool = False
    to_everybody: bool = False
    ending: Ending = "keep"
    code: int = 1000
    reason: str = ""
    muted_by: Hold | None = None
    is_displaced: bool = False
    deaf_by: Hold | None = None
    deaf_ms: int = 0

    def __post_init__(self) -> None:
        self.messages = [DelayedMessage(self.content)]

    def change_data(self, change: Callable[[Data], Data]) -> None:
        """Replace the data of each message that has some."""
        self.messages = [replace(message, content=with_data(message.content, change)) for message in self.messages]


class WrittenFile(Protocol):
    """A file that a job has just written; a static instance writes none and has only its name.

    :ivar shown: ``filename``, ``subfolder`` and ``type``, as history will have them; may be changed.
    """

    shown: dict[str, Any]

    @property
    def exists(self) -> bool:
        """True if a file was written."""

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

    def node_error(self, exception_type: str, message: str) -> Exception:
        """Return an exception that, raised by the effect, lets the node fail with this type and message."""

    def out_of_memory(self) -> Exception:
        """Unload all models, as ComfyUI does then, and return the exception for the effect to raise."""

    def slow_down(self, hold: Hold, factor: float) -> None:
        """Multiply the duration of everything that the job still does, while the hold is active."""

    def deafen(self, hold: Hold) -> None:
        """Ignore interrupts of the job while the hold is active."""

    def when_saved(self, change: Callable[[WrittenFile], None]) -> None:
        """At phase ``save``: call ``change`` with each file as soon as it is written."""

    def give_name_again(self) -> None:
        """At phase ``save``: give the first file the previous file's name, so that it overwrites that file."""

    def later(self, after_ms: int, act: Callable[[], None]) -> None:
        """Call ``act`` after a time, unless the process ends before."""

    def empty_outputs(self) -> None:
        """Drop the outputs that the history entry has so far."""

    def forget_entry(self, after_ms: int) -> None:
        """Drop the history entry this long after the job's end; 0: at once, so that no client sees it."""


Kept = Literal["queue", "history", "uploads", "models"]
"""The parts of a process's state that may outlast a crash."""
KEPT: tuple[Kept, ...] = ("queue", "history", "uploads", "models")


class ProcessControl(Protocol):
    """The process of one instance.  A call that changes nothing is allowed and does nothing."""

    def crash(self, keep: Collection[Kept] = ()) -> None:
        """End the process at once: reset its sockets, close its port, drop its state except ``keep``."""

    def start(self) -> None:
        """Start a new process, unless one runs."""

    def freeze(self, *, worker: bool) -> None:
        """Keep the port open and send nothing; with ``worker`` the running job is suspended too."""

    def thaw(self) -> None:
        """Handle and send everything that came up during the freeze."""

    def refuse(self) -> None:
        """Close the port to new connections; open ones stay."""

    def accept(self) -> None:
        """Listen again."""
