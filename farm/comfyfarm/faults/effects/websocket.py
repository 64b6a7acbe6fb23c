"""Effects on websocket messages and their sockets."""

from typing import Annotated, Any

import msgspec

from comfyfarm.faults.editing import Data, encode_message
from comfyfarm.faults.fault import Effect, Firing, effect
from comfyfarm.faults.targets import DelayedMessage, Frame
from comfyfarm.seeds import new_uuid
from comfyfarm.units import Duration

_RANDOM_BYTES = 16      # behind the event number of an unknown binary message
_MOST_COPIES = 1000
_CLOSE_CODES = (range(1000, 1004), range(1007, 1015), range(3000, 5000))


@effect("unknown", "frame")
class Unknown(Effect, frozen=True, kw_only=True):
    """Send a message of an unknown type just before this one.

    :ivar binary: the event number of a binary message with random content, which is sent instead.
    """

    type: str = "something_new"
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    binary: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] | None = None

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        content: str | bytes
        if self.binary is None:
            content = encode_message(self.type, self.data)
        else:
            content = self.binary.to_bytes(4, "big") + firing.chance.randbytes(_RANDOM_BYTES)
        frame.messages.insert(0, DelayedMessage(content))


@effect("broadcast", "frame")
class Broadcast(Effect, frozen=True, kw_only=True):
    """Send the message to every socket, not only to those of its client."""

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        frame.to_everybody = True


@effect("close", "frame")
class Close(Effect, frozen=True, kw_only=True):
    """Send the message as the last one, and close the websocket properly.

    :ivar code: of the close frame: 1000 is a normal end, 1001 a server that goes away.
    :ivar reason: of the close frame.
    """

    code: int = 1000
    reason: Annotated[str, msgspec.Meta(max_length=120)] = ""

    def __post_init__(self) -> None:
        if not any(self.code in codes for codes in _CLOSE_CODES):
            raise ValueError(f"code: expected one of 1000-1003, 1007-1014, 3000-4999, got {self.code}")

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        frame.ending, frame.code, frame.reason = "close", self.code, self.reason


@effect("displace", "frame")
class Displace(Effect, frozen=True, kw_only=True):
    """Send the message as the last one and forget the socket, as ComfyUI does if an older one of the same id ends.

    The socket stays open.  A new connection of the client gets messages again.
    """

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        frame.is_displaced = True


@effect("duplicate", "frame")
class Duplicate(Effect, frozen=True, kw_only=True):
    """Send the message more than once.

    :ivar copies: how many copies follow it (``times`` of the rule is how often the fault fires).  Several faults
        together make no more than the greatest number.
    """

    copies: Annotated[int, msgspec.Meta(ge=1, le=_MOST_COPIES)] = 1

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        frame.messages = (frame.messages * (1 + self.copies))[: 1 + _MOST_COPIES]


@effect("gap", "frame", lasts=True)
class Gap(Effect, frozen=True, kw_only=True):
    """Reset the websocket instead of sending the message, and send that client nothing for a while.

    The client may connect again at once, but gets no message there until the gap ends, not even the first ``status``.

    :ivar duration: how long the gap is; it ends earlier if the fault is healed or removed.
    """

    duration: Duration

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        frame.messages, frame.ending = [], "reset"
        frame.deaf_by, frame.deaf_ms = firing, self.duration


@effect("mute", "frame", lasts=True)
class Mute(Effect, frozen=True, kw_only=True):
    """Send this socket nothing more, this message included, until the firing is inactive; it stays open.

    A new connection of the client is a new match.
    """

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        frame.messages, frame.muted_by = [], firing


@effect("reorder", "frame")
class Reorder(Effect, frozen=True, kw_only=True):
    """Send the message after the socket's next one; if there is none, it is not sent.

    If every message matches, each two neighbours change places.
    """

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        frame.waits_for_next = True


@effect("stale_id", "frame")
class StaleId(Effect, frozen=True, kw_only=True):
    """Replace the ``prompt_id`` of the message; a message without one stays as it is.

    :ivar prompt_id: the new id; ``None``: that of the client's previous job, or an invented one if there is none.
    """

    prompt_id: str | None = None

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        stale_id = self.prompt_id or frame.older_prompt_id or str(new_uuid(firing.chance))
        frame.change_data(lambda data: _with_prompt_id(data, stale_id))


def _with_prompt_id(data: Data, prompt_id: str) -> Data:
    changed = {key: prompt_id if key == "prompt_id" else value for key, value in data.items()}
    if isinstance(nodes := data.get("nodes"), dict):        # progress_state repeats the id at every node
        changed["nodes"] = {node: {**state, "prompt_id": prompt_id} for node, state in nodes.items()}
    return changed


@effect("strip", "frame")
class Strip(Effect, frozen=True, kw_only=True):
    """Remove a key from the message's data; a message without it stays as it is."""

    key: str = "prompt_id"

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        frame.change_data(lambda data: {key: value for key, value in data.items() if key != self.key})
