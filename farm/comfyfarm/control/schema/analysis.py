"""Bodies and answers of the control API about the system under test."""

from typing import Annotated, Literal, TypedDict

import msgspec

from comfyfarm.analysis.findings import Thresholds
from comfyfarm.analysis.placement.placement import PlacementThresholds
from comfyfarm.control.schema.farm import Body
from comfyfarm.events import Exchanged, FrameSent, OrderReported
from comfyfarm.events.orders import DeliveryMode, OrderState
from comfyfarm.events.stamp import Stamp

Seq = Annotated[int, msgspec.Meta(ge=0)]
# All events keep them.
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
_Text = Annotated[str, msgspec.Meta(max_length=10_000)]
TimelineFormat = Literal["json", "svg", "trace", "text"]


class DeliveryFacts(TypedDict, total=False):
    """The facts of a delivery except its job; :class:`DeliveredBody` describes them."""

    prompt_id: str | None
    instance: str
    file: str
    stamp: str | None
    picture: bytes | None


class DeliveredBody(Body, frozen=True, kw_only=True):
    """A result was handed to a user.

    :ivar job: the logical job that the user asked for.
    :ivar prompt_id: the prompt id of the attempt that it came from, if known.
    :ivar instance: the instance that made it, if known.
    :ivar file: the picture's file name, if known.
    :ivar stamp: the text stored in the picture under ``comfyfarm``.
    :ivar picture: the picture itself, in Base64; instead of ``stamp``.
    """

    job: _Name
    prompt_id: _Text | None = None
    instance: str = ""
    file: _Text = ""
    stamp: _Text | None = None
    picture: bytes | None = None

    def __post_init__(self) -> None:
        if self.stamp is not None and self.picture is not None:
            raise ValueError("stamp: stands in the picture; say one of them")


class DeliveredState(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery, as it was recorded.

    :ivar seq: the ``seq`` of its event.
    :ivar stamp: the origin of the picture as stored in it; ``None`` if it has no stamp or was not sent.
    """

    seq: int
    job: str
    stamp: Stamp | None


class OrderReport(Body, frozen=True, kw_only=True):
    """The state of a user's order.

    :ivar job: the logical job that makes what was ordered.
    :ivar state: ``asked``: the user asked for it; ``failed``: the user was told that it failed; ``withdrawn``: the user
        wants it no more.  Deliveries have an endpoint of their own.
    :ivar at_ms: the simulated time of it; ``None``: now.
    :ivar why: what the user was told.
    """

    job: _Name
    state: OrderState = "asked"
    at_ms: Annotated[int, msgspec.Meta(ge=0)] | None = None
    why: _Text = ""

    def as_event(self) -> OrderReported:
        """Return the event, without its own time."""
        return OrderReported(at_ms=0, job=self.job, state=self.state, when_ms=self.at_ms, why=self.why)


class OrdersBody(Body, frozen=True, kw_only=True):
    """Reports of orders; all of them are recorded, or none."""

    orders: Annotated[tuple[OrderReport, ...], msgspec.Meta(min_length=1, max_length=10_000)]


class OrdersState(msgspec.Struct, frozen=True, kw_only=True):
    """Reports, as they were recorded.

    :ivar seq: the ``seq`` of the last one's event.
    :ivar recorded: the number of reports.
    """

    seq: int
    recorded: int


class DrainBody(Body, frozen=True, kw_only=True):
    """A request that an instance shall get no new work; an empty body means the default.

    :ivar on: ``false``: it shall get new work again.
    """

    on: bool = True


class TrialFacts(TypedDict, total=False):
    """The facts of a trial except its name; :class:`TrialBody` describes them."""

    jobs: int | None
    delivery: DeliveryMode | None
    client: str


class TrialBody(Body, frozen=True, kw_only=True):
    """A new trial.

    :ivar name: none of an earlier trial; without it ``trial-N``.
    :ivar jobs: the number of orders that it will have, if known.
    :ivar delivery: what counts as delivered; without it as ``[farm] delivery`` says.
    :ivar client: a glob: the trial runs side by side with others, and its jobs are those of clients with such an id.
    """

    name: _Name | None = None
    jobs: Annotated[int, msgspec.Meta(ge=0)] | None = None
    delivery: DeliveryMode | None = None
    client: _Text = ""


class TrialState(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that has begun.

    :ivar seq: the ``seq`` of its first event, ``trial_began``.
    """

    name: str
    seq: int
    jobs: int | None
    delivery: DeliveryMode | None
    client: str


class TrialQuery(Body, frozen=True, kw_only=True):
    """The part of the log that a request is about; without any key the current trial.

    :ivar trial: the trial of this name.
    :ivar since: what came after the event with this ``seq``, as if a trial had begun there.
    :ivar client: a glob: only the jobs of clients with such an id count; others are the farm's load.
    """

    trial: str | None = None
    since: Seq | None = None
    client: str | None = None


class VerdictQuery(Thresholds, frozen=True, kw_only=True):
    """The part of the log to judge, as in :class:`TrialQuery`, and the thresholds.

    :ivar logged: ``false``: the log stays as it is; then a saved log may be judged as of an earlier time.  With
        ``since`` or ``client`` it must be ``true``.
    """

    trial: str | None = None
    since: Seq | None = None
    client: str | None = None
    logged: bool = True


class PlacementQuery(PlacementThresholds, frozen=True, kw_only=True):
    """The part of the log to measure, as in :class:`TrialQuery`, and the thresholds."""

    trial: str | None = None
    since: Seq | None = None
    client: str | None = None


class JournalQuery(Body, frozen=True, kw_only=True):
    """Filters of requests and frames; a key that is not given filters nothing.  Texts may be globs (``/history*``).

    :ivar trial: the trial of this name; without it the current one.
    :ivar route: a request's path without ``/api``.
    :ivar status: the status of a request's answer; 0 if there was none.
    :ivar job: the logical job of a ``POST /prompt`` or ``POST /interrupt``.
    :ivar type: a frame's type: ComfyUI's message type.
    :ivar client: the client id that a request names or that a frame was sent to.
    :ivar since: only events with a later ``seq``.
    :ivar limit: the maximum number of each.
    """

    trial: str | None = None
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
    """Requests to the instances and frames from them, oldest first.

    :ivar request_count: the number of requests that match, also beyond ``limit``; so are the other counts.
    :ivar by_route: the number for each ``METHOD /route``; ``*`` stands for an id or a name.
    :ivar by_type: the number of frames for each type.
    """

    request_count: int
    frame_count: int
    by_route: dict[str, int]
    by_type: dict[str, int]
    requests: tuple[Exchanged, ...]
    frames: tuple[FrameSent, ...]


class TimelineQuery(TrialQuery, frozen=True, kw_only=True):
    """The part of the log that a timeline shows, and its format.

    :ivar format: ``json``: values; ``svg``: a drawing; ``trace``: for Perfetto; ``text``: for a terminal.
    """

    format: TimelineFormat = "json"
