"""A cancel that hit somebody else."""

from __future__ import annotations

from collections.abc import Iterator

from farm.ledger.attempts import Attempt, LogicalJob, Stop

from .base import Finding, Known, Rule, is_hash, moment, rule

__all__ = ["WrongCancel"]


@rule("wrong_cancel")
class WrongCancel(Rule):
    """An interrupt hit a logical job that it was not meant for.

    Proven where its client said which logical job it meant.  Where it said neither that nor a prompt id, it is taken
    for proven when all of this holds: the job that it stopped has a name, was sent again afterwards, was befallen by
    no fault, and was not alone on its instance, so that another can have been meant.
    """

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each attempt that was hit."""
        for job in known.attempts.jobs.values():
            for attempt in job.attempts:
                stop = attempt.stop
                if stop is not None and (proof := _proof(job, attempt, stop)) is not None:
                    events, why = proof
                    yield Finding(
                        finding=self.name,
                        severity="error",
                        job=job.name,
                        instance=attempt.instance,
                        events=events,
                        says=f"An interrupt on {attempt.instance} at {moment(stop.at_ms)} stopped {job.name}, {why}.",
                    )


def _proof(job: LogicalJob, attempt: Attempt, stop: Stop) -> tuple[tuple[int, ...], str] | None:
    if stop.job:
        return ((stop.seq,), f"though it was meant for {stop.job}") if stop.job != attempt.job else None
    if stop.names_prompt or attempt.end != "interrupted" or attempt.is_struck or not stop.had_company:
        return None
    again = next((each for each in job.attempts if each.is_behind(stop.seq, stop.at_ms)), None)
    if again is None or is_hash(job.name):
        return None
    why = f"which nobody wanted stopped: it was sent again at {moment(again.began_ms)}; the interrupt named no job"
    return (stop.seq, again.seq), why
