"""One user's result in another one's hands."""

from __future__ import annotations

from collections.abc import Iterator

from farm.ledger.attempts import Attempts, Delivery

from .base import Finding, Known, Rule, moment, rule

__all__ = ["Misattributed", "owner_of"]


@rule("misattributed")
class Misattributed(Rule):
    """What was delivered as one logical job's is another's, by the stamp in the picture or by its prompt id."""

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each such delivery."""
        for job in known.attempts.tested:
            for each in job.delivered:
                owner = owner_of(job.name, each, known.attempts)
                if owner is not None:
                    how = "the picture's stamp" if each.stamp_job == owner else "its prompt id"
                    yield Finding(
                        finding=self.name,
                        severity="error",
                        job=job.name,
                        instance=each.instance,
                        events=(each.seq,),
                        says=f"What was delivered as {job.name} at {moment(each.at_ms)} is {owner}'s, as {how} says.",
                    )


def owner_of(job: str, delivery: Delivery, attempts: Attempts) -> str | None:
    """The logical job that a delivery really belongs to, where that is another one.

    A prompt id that is not in the log proves nothing; nor does one that two logical jobs share.
    """
    if delivery.stamp_job and delivery.stamp_job != job:
        return delivery.stamp_job
    for prompt_id in delivery.prompt_ids:
        owners = [each.job for each in attempts.of_prompt.get(prompt_id, [])]
        if owners and job not in owners:
            return owners[0]
    return None
