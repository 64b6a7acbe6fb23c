"""A message that no client has heard of."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from comfyfarm.faults.editing import Data, encode_message
from comfyfarm.faults.fault import Effect, Firing, effect
from comfyfarm.faults.targets import DelayedMessage, Frame
from comfyfarm.seeds import new_uuid
from comfyfarm.units import Duration

_BYTES = 16     # of nonsense behind the number of a message in bytes


@effect("unknown", "frame")
class Unknown(Effect, frozen=True, kw_only=True):
    """Send a message of an unknown type just before this one.

    :ivar type: what the type is called.
    :ivar data: what it says.
    :ivar binary: send a message in bytes instead, of the event with this number.
    """

    type: str = "something_new"
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    binary: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] | None = None

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        """Say something strange first."""
        frame.messages.insert(0, DelayedMessage(self._content(firing)))

    def _content(self, firing: Firing) -> str | bytes:
        if self.binary is None:
            return encode_message(self.type, self.data)
        return self.binary.to_bytes(4, "big") + firing.chance.randbytes(_BYTES)


@effect("broadcast", "frame")
class Broadcast(Effect, frozen=True, kw_only=True):
    """Send the message to every socket, not only to the client that it is for."""

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        """Tell them all."""
        frame.to_everybody = True


_MAY_BE_SENT = (range(1000, 1004), range(1007, 1015), range(3000, 5000))


@effect("close", "frame")
class Close(Effect, frozen=True, kw_only=True):
    """Close the websocket as a server does that has nothing more to say; the message is the last one heard.

    :ivar code: why, as a close frame says it: 1000 for a normal end, 1001 for a server that goes away.
    :ivar reason: the same in words.
    """

    code: int = 1000
    reason: Annotated[str, msgspec.Meta(max_length=120)] = ""

    def __post_init__(self) -> None:
        """Refuse a code that no close frame may bear.

        :raises ValueError: naming those that it may.
        """
        if not any(self.code in allowed for allowed in _MAY_BE_SENT):
            raise ValueError(f"code: expected one of 1000-1003, 1007-1014, 3000-4999, got {self.code}")

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        """Send it, say goodbye, hang up."""
        frame.ending, frame.code, frame.reason = "close", self.code, self.reason


@effect("displace", "frame")
class Displace(Effect, frozen=True, kw_only=True):
    """Forget who listens under this client id, as ComfyUI does when an older socket of the same id ends.

    The socket stays open; the message is the last one heard on it.  A client that connects anew hears again.
    """

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        """Forget."""
        frame.is_displaced = True


@effect("duplicate", "frame")
class Duplicate(Effect, frozen=True, kw_only=True):
    """Send the message more than once.

    :ivar copies: how many more go out right behind it (``times`` says how often the fault strikes).
    """

    copies: Annotated[int, msgspec.Meta(ge=1)] = 1

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        """Say it again."""
        frame.messages *= 1 + self.copies


@effect("gap", "frame", lasts=True)
class Gap(Effect, frozen=True, kw_only=True):
    """Reset the websocket instead of sending the message, and say nothing to that client for a while.

    It may connect anew at once, but is not even greeted: whatever is said until the gap ends, it misses.

    :ivar duration: how long the gap is; healed or removed before, it ends then.
    """

    duration: Duration

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        """Cut the connection."""
        frame.messages, frame.ending = [], "reset"
        frame.deaf_by, frame.deaf_ms = firing, self.duration


@effect("mute", "frame", lasts=True)
class Mute(Effect, frozen=True, kw_only=True):
    """Send this socket nothing more, this message neither; it stays open.

    Until the fault is healed or removed, or the socket ends.  A client that connects anew is a new match.
    """

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        """Fall silent."""
        frame.messages, frame.muted_by = [], firing


@effect("reorder", "frame")
class Reorder(Effect, frozen=True, kw_only=True):
    """Let the socket's next message overtake this one.

    Where every message matches, neighbours change places.  One that none follows does not go out.
    """

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        """Wait for the next one."""
        frame.waits_for_next = True


@effect("stale_id", "frame")
class StaleId(Effect, frozen=True, kw_only=True):
    """Let the message bear another ``prompt_id`` than that of its job; one that bears none stays as it is.

    :ivar prompt_id: which; ``None``: that of the client's job before, or a made-up one where there was none.
    """

    prompt_id: str | None = None

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        """Mistake the job."""
        stale = self.prompt_id or frame.older_prompt_id or str(new_uuid(firing.chance))
        frame.change_data(lambda data: _renamed(data, stale))


def _renamed(data: Data, stale: str) -> Data:
    """With the id in all its places: ``progress_state`` repeats it at every node."""
    changed = {key: stale if key == "prompt_id" else value for key, value in data.items()}
    if isinstance(nodes := data.get("nodes"), dict):
        changed["nodes"] = {node: {**each, "prompt_id": stale} for node, each in nodes.items()}
    return changed


@effect("strip", "frame")
class Strip(Effect, frozen=True, kw_only=True):
    """Leave a key out of the message's data; a message that has it not stays as it is.

    :ivar key: which.
    """

    key: str = "prompt_id"

    def on_frame(self, frame: Frame, firing: Firing) -> None:
        """Leave it out."""
        frame.change_data(lambda data: {key: value for key, value in data.items() if key != self.key})
