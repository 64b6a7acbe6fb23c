"""The attempt that made what was delivered."""

from dataclasses import dataclass

from comfyfarm.analysis.logical_jobs import Attempt, Delivery, LogicalJob


@dataclass(frozen=True)
class Makers:
    """Finds attempts by the prompt ids of deliveries.

    :ivar by_prompt_id: all attempts that were accepted under a prompt id.
    """

    by_prompt_id: dict[str, list[Attempt]]

    def of(self, delivery: Delivery) -> Attempt | None:
        """Return the attempt that made it, by the stamp in it, else by its prompt id; ``None`` if that is not known."""
        return self._under(delivery.stamp_prompt_id, delivery) or self._under(delivery.prompt_id, delivery)

    def claimed(self, delivery: Delivery) -> Attempt | None:
        """Return the attempt that made it as the system under test reported; without a report, the stamp counts.

        ``None`` if that is not known: also if the stamp is of another instance than the one that was reported.
        """
        if (stated := self._under(delivery.prompt_id, delivery)) is not None:
            return stated
        stamped = self._under(delivery.stamp_prompt_id, delivery)
        return stamped if stamped is not None and delivery.instance in {"", stamped.instance} else None

    def possible(self, job: LogicalJob, delivery: Delivery) -> list[Attempt]:
        """Return the attempt that made it, if that is known; else those of the job that may have."""
        if (maker := self.of(delivery)) is not None:
            return [maker]
        accepted = [attempt for attempt in job.attempts if attempt.is_accepted]
        return [attempt for attempt in accepted if attempt.instance == delivery.instance] or accepted

    def _under(self, prompt_id: str | None, delivery: Delivery) -> Attempt | None:
        attempts = self.by_prompt_id.get(prompt_id or "", [])
        here = (attempt for attempt in attempts if attempt.instance == delivery.instance)
        return next(here, attempts[0] if attempts else None)
