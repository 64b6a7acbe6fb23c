"""Orders and deliveries as they were reported, and the attempts that made what was delivered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from sys import intern

from msgspec.structs import replace

from comfyfarm.analysis.logical_jobs import Attempt, Delivery, LogicalJob, UserOrder, with_another
from comfyfarm.events import Configured, Delivered, OrderReported, ServerReady, TrialBegan
from comfyfarm.events.handler import EventHandler, on
from comfyfarm.events.orders import DeliveryMode


@dataclass(eq=False)
class OrderTracker(EventHandler):
    """Follows what the test and the software under test report of orders.

    :ivar job: returns the logical job of a name; creates it if the name is new.
    :ivar by_prompt_id: all attempts that were accepted under a prompt id.
    :ivar expected: the number of orders that the test stated; ``None`` if it did not.
    :ivar delivery: what counts as delivered, as the test stated it; ``None`` if it did not.
    :ivar pictures: by static instance, digest and size in bytes of its one picture.
    """

    job: Callable[[str], LogicalJob]
    by_prompt_id: Mapping[str, Sequence[Attempt]]
    expected: int | None = None
    delivery: DeliveryMode | None = None
    pictures: dict[str, tuple[str, int]] = field(default_factory=dict)

    @on(Configured)
    def _on_configured(self, event: Configured) -> None:
        self.delivery = event.config.get("farm", {}).get("delivery")

    @on(TrialBegan)
    def _on_trial_began(self, event: TrialBegan) -> None:
        self.expected, self.delivery = event.jobs, event.delivery or self.delivery

    @on(ServerReady)
    def _on_server_ready(self, event: ServerReady) -> None:
        if event.picture:
            self.pictures[event.instance] = event.picture, event.picture_bytes

    @on(OrderReported)
    def _on_order_reported(self, event: OrderReported) -> None:
        job, when_ms = self.job(event.job), event.at_ms if event.when_ms is None else event.when_ms
        order = job.order = job.order or UserOrder(when_ms, event.seq)
        if event.state == "asked":
            order.asked_ms, order.is_asked = min(order.asked_ms, when_ms), True
        elif event.state == "failed":
            order.failed_seq, order.failed_ms = event.seq, when_ms
        else:
            order.withdrawn_seq, order.withdrawn_ms = event.seq, when_ms

    @on(Delivered)
    def _on_delivered(self, event: Delivered) -> None:
        job, is_whole = self.job(event.job), event.content in {"", "picture"}
        delivery = Delivery(
            event.seq,
            event.at_ms,
            intern(event.instance),
            event.prompt_id and intern(event.prompt_id),
            intern(event.stamp_job),
            event.stamp_prompt_id and intern(event.stamp_prompt_id),
            intern(event.file),
            event.content,
            0 if is_whole else event.size_bytes,
            "" if event.file and not self.pictures else event.digest,
        )
        if not is_whole:
            fetches = (attempt.broken_fetch for attempt in self.possible_makers(job, delivery))
            latest = max(filter(None, fetches), key=lambda fetch: fetch.seq, default=None)
            delivery = replace(delivery, broken_fetch=latest)
        job.delivered = with_another(job.delivered, delivery)
        claimed = self.claimed_maker(delivery)
        if claimed is not None and claimed.job != job.name and not job.attempts:
            claimed.delivered_as = claimed.delivered_as or job.name

    def maker_of(self, delivery: Delivery) -> Attempt | None:
        """Return the attempt that made it, by the stamp in it, else by its prompt id; ``None`` if that is not known."""
        return self._under(delivery.stamp_prompt_id, delivery) or self._under(delivery.prompt_id, delivery)

    def claimed_maker(self, delivery: Delivery) -> Attempt | None:
        """Return the attempt that made it as the system under test reported; without a report, the stamp counts.

        ``None`` if that is not known: also if the stamp is of another instance than the one that was reported.
        """
        if (stated := self._under(delivery.prompt_id, delivery)) is not None:
            return stated
        stamped = self._under(delivery.stamp_prompt_id, delivery)
        return stamped if stamped is not None and delivery.instance in {"", stamped.instance} else None

    def possible_makers(self, job: LogicalJob, delivery: Delivery) -> list[Attempt]:
        """Return the attempt that made it, if that is known; else those of the job that may have."""
        if (maker := self.maker_of(delivery)) is not None:
            return [maker]
        accepted = [attempt for attempt in job.attempts if attempt.is_accepted]
        return [attempt for attempt in accepted if attempt.instance == delivery.instance] or accepted

    def _under(self, prompt_id: str | None, delivery: Delivery) -> Attempt | None:
        attempts = self.by_prompt_id.get(prompt_id or "", ())
        if len(attempts) == 1:
            return attempts[0]
        here = (attempt for attempt in attempts if attempt.instance == delivery.instance)
        return next(here, attempts[0] if attempts else None)
