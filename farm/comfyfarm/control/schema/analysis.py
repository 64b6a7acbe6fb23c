"""What the control API takes and gives about the system under test."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

import msgspec

from comfyfarm.control.schema.farm import Body
from comfyfarm.events import Exchanged, FrameSent
from comfyfarm.events.stamp import Stamp

TimelineFormat = Literal["json", "svg", "trace", "text"]


class DeliveryFacts(TypedDict, total=False):
    """What is known of a delivery beside its job, as :class:`DeliveredBody` describes it."""

    prompt_id: str | None
    instance: str
    file: str
    stamp: str | None
    picture: bytes | None


class DeliveredBody(Body, frozen=True, kw_only=True):
    """A result was handed to a user.

    :ivar job: the logical job that the user asked for.
    :ivar prompt_id: of the attempt that it came from, where that is known.
    :ivar instance: the instance that made it, where that is known.
    :ivar file: the picture's name, where that is known.
    :ivar stamp: the text ``comfyfarm`` that was found in the picture.
    :ivar picture: or the picture itself, in Base64.
    """

    job: Annotated[str, msgspec.Meta(min_length=1)]
    prompt_id: str | None = None
    instance: str = ""
    file: str = ""
    stamp: str | None = None
    picture: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse what excludes itself.

        :raises ValueError: naming the keys.
        """
        if self.stamp is not None and self.picture is not None:
            raise ValueError("stamp: stands in the picture; say one of them")


class DeliveredState(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery, as it was written down.

    :ivar seq: of the event.
    :ivar stamp: where the picture says that it comes from; ``None`` where none was shown, or it bears no stamp.
    """

    seq: int
    job: str
    stamp: Stamp | None


class DrainBody(Body, frozen=True, kw_only=True):
    """Whether an instance shall get no new work; an empty body says so.

    :ivar on: ``false``: it shall get some again.
    """

    on: bool = True


class JournalQuery(Body, frozen=True, kw_only=True):
    """Which requests and frames are wanted; what is not given filters nothing.  Texts may be globs (``/history*``).

    :ivar route: of a request: its path without ``/api``.
    :ivar status: of its answer; 0 where there was none.
    :ivar job: the logical job of a ``POST /prompt`` or ``POST /interrupt``.
    :ivar type: of a frame: ComfyUI's message type.
    :ivar client: the client id: that a request names, or that a frame was sent to.
    :ivar since: only what has a later ``seq``.
    :ivar limit: the first so many of each.
    """

    instance: str | None = None
    prompt_id: str | None = None
    client: str | None = None
    route: str | None = None
    method: str | None = None
    status: Annotated[int, msgspec.Meta(ge=0)] | None = None
    job: str | None = None
    type: str | None = None
    since: Annotated[int, msgspec.Meta(ge=0)] = 0
    limit: Annotated[int, msgspec.Meta(ge=0)] | None = None


class JournalState(msgspec.Struct, frozen=True, kw_only=True):
    """What came to the instances and what they sent, oldest first.

    :ivar request_count: how many requests fit, those beyond ``limit`` included; so the other counts.
    :ivar by_route: the same for each ``METHOD /route``; ``*`` stands for an id or a name.
    :ivar by_type: the frames for each type.
    """

    request_count: int
    frame_count: int
    by_route: dict[str, int]
    by_type: dict[str, int]
    requests: tuple[Exchanged, ...]
    frames: tuple[FrameSent, ...]


class TimelineQuery(Body, frozen=True, kw_only=True):
    """How a timeline is wanted.

    :ivar format: ``json``: as values; ``svg``: drawn; ``trace``: for Perfetto; ``text``: for a terminal.
    """

    format: TimelineFormat = "json"
