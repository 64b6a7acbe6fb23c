"""Events that the test and the software under test report: what users ordered, what became of it, and trials."""

from typing import Literal

from comfyfarm.events.base import Event

OrderState = Literal["asked", "failed", "withdrawn"]
"""``asked``: a user asked for it; ``failed``: its user was told that it failed; ``withdrawn``: its user wants it no
more.  A delivery is an event of its own, :class:`~comfyfarm.events.Delivered`."""

DeliveryMode = Literal["http", "told", "folder", "none"]
"""What counts as delivered.  ``http``: the client took the result from the instance; ``told``: a delivery was reported;
``folder``: the job succeeded, because users read the shared output folder; ``none``: the same, because nobody wants the
pictures."""


class OrderReported(Event, frozen=True, kw_only=True):
    """The state of a user's order was reported.

    :ivar job: the logical job that makes what was ordered.
    :ivar when_ms: the simulated time of it; ``None``: the event's own.
    :ivar why: what the user was told; empty if it was not reported.
    """

    job: str
    state: OrderState
    when_ms: int | None = None
    why: str = ""


class TrialBegan(Event, frozen=True, kw_only=True):
    """A new trial began: results are about what comes from here on.

    :ivar name: unique in the log.
    :ivar jobs: the number of orders that it will have; ``None`` if it was not said.
    :ivar delivery: ``None`` if it was not said.
    :ivar client: if not empty, the trial runs side by side with others: its jobs are those of the clients whose id
        matches this glob, and no other trial ends.
    """

    name: str
    jobs: int | None = None
    delivery: DeliveryMode | None = None
    client: str = ""
