"""A result that its user got more than once."""

from __future__ import annotations

from collections.abc import Iterator

from farm.ledger.attempts import Delivery, LogicalJob

from .base import Finding, Known, Rule, moment, rule
from .misattributed import owner_of

__all__ = ["DeliveredTwice"]


@rule("delivered_twice")
class DeliveredTwice(Rule):
    """A logical job was delivered from more than one attempt, or the same file of it more than once.

    Several files of one attempt are one delivery; what is misattributed does not count.
    """

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each such job."""
        for job in known.attempts.tested:
            pair = _same_again(job, known)
            if pair is not None:
                first, second = pair
                yield Finding(
                    finding=self.name,
                    severity="error",
                    job=job.name,
                    events=(first.seq, second.seq),
                    says=f"{job.name} was delivered at {moment(first.at_ms)}{_source(first)} and again at "
                    f"{moment(second.at_ms)}{_source(second)}.",
                )


def _same_again(job: LogicalJob, known: Known) -> tuple[Delivery, Delivery] | None:
    """The first two that give the same twice."""
    if len(job.delivered) < 2:
        return None
    of_file: dict[str, Delivery] = {}
    of_prompt: dict[str, Delivery] = {}
    of_instance: dict[str, Delivery] = {}
    for each in job.delivered:
        if owner_of(job.name, each, known.attempts) is not None:
            continue
        prompt_id = next(iter(each.prompt_ids), "")
        before = [of_file.get(each.file), _other(of_prompt, prompt_id), _other(of_instance, each.instance)]
        first = next((it for it in before if it is not None), None)
        if first is not None:
            return first, each
        for known_by, key in ((of_file, each.file), (of_prompt, prompt_id), (of_instance, each.instance)):
            known_by.setdefault(key, each)
    return None


def _other(of: dict[str, Delivery], key: str) -> Delivery | None:
    """One with another key, where both have one."""
    return next((each for there, each in of.items() if key and there and there != key), None)


def _source(delivery: Delivery) -> str:
    return f" (from {delivery.instance})" if delivery.instance else ""
