"""Which attempts should not have been made, or not yet?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from farm.ledger.attempts import Attempt, Attempts, LogicalJob

from .base import Bounds, moment

__all__ = ["Needless", "carried", "early", "needless"]


@dataclass(frozen=True)
class _Final:
    """What told a client not to send a job again.

    :ivar why: half a sentence.
    """

    seq: int
    at_ms: int
    why: str


@dataclass(frozen=True)
class Needless:
    """An attempt that was made although an earlier one said that it leads nowhere.

    :ivar seq: of the event that said so.
    :ivar why: half a sentence.
    """

    attempt: Attempt
    seq: int
    why: str


def needless(job: LogicalJob) -> list[Needless]:
    """The attempts of a job that were sent after it was refused for good, or stopped by its user."""
    if len(job.attempts) < 2:
        return []
    finals = _finals(job)
    found = []
    for each in job.attempts:
        known = [finals[key] for key in (None, each.instance, (each.instance, each.epoch)) if key in finals]
        final = next((it for it in known if each.is_behind(it.seq, it.at_ms)), None)
        if final is not None:
            found.append(Needless(each, final.seq, final.why))
    return found


_Where = str | tuple[str, int] | None


def _finals(job: LogicalJob) -> dict[_Where, _Final]:
    """The first word against sending it: anywhere (``None``), to an instance, or to an epoch of it."""
    finals: dict[_Where, _Final] = {}
    for each in job.attempts:
        for where, final in _said(each):
            if where not in finals or final.seq < finals[where].seq:
                finals[where] = final
    return finals


def _said(attempt: Attempt) -> Iterator[tuple[_Where, _Final]]:
    stop, where = attempt.stop, (attempt.instance, attempt.epoch)
    if attempt.end == "refused" and attempt.status in {400, 413} and attempt.answered_ms is not None:
        lacks = f", for it lacks {', '.join(attempt.missing)}" if attempt.missing else ""
        why = f"{attempt.instance} answered {attempt.status} at {moment(attempt.answered_ms)}{lacks}"
        yield where if attempt.missing else None, _Final(attempt.answer_seq, attempt.answered_ms, why)
    if stop is not None and (stop.job == attempt.job or _is_to_end_here(attempt)):
        why = f"its user stopped it on {attempt.instance} at {moment(stop.at_ms)}"
        yield None if stop.job else attempt.instance, _Final(stop.seq, stop.at_ms, why)


def _is_to_end_here(attempt: Attempt) -> bool:
    """Stopped by its prompt id alone: a client that moves a job does so too, and one that something befell."""
    stop = attempt.stop
    return stop is not None and stop.names_prompt and not stop.job and not attempt.is_struck


def early(attempts: Attempts, instance: str) -> Iterator[tuple[Attempt, Attempt]]:
    """Each attempt at an instance that came earlier than it had asked for, and the one to which it had said so.

    What it says is for the client that it says it to, and for the logical job.
    """
    said: dict[tuple[str, str], Attempt] = {}
    for each in attempts.at.get(instance, []):
        keys = [("job", each.job)] + ([("client", each.client_id)] if each.client_id is not None else [])
        known = [said[key] for key in keys if key in said]
        before = next((it for it in known if each.is_told_of(it)), None)
        if before is not None and each.began_ms < _not_before_ms(before):
            yield each, before
        if each.end == "refused" and each.status in {429, 503} and each.retry_after_ms is not None:
            for key in keys:
                if key not in said or _not_before_ms(said[key]) <= _not_before_ms(each):
                    said[key] = each


def _not_before_ms(attempt: Attempt) -> int:
    return (attempt.told_ms or 0) + (attempt.retry_after_ms or 0)


def carried(job: LogicalJob, bounds: Bounds) -> list[Attempt]:
    """The attempts during which a process crashed, where those are more than it may take with it."""
    killed = [each for each in job.attempts if each.kill_seq]
    return killed if len(killed) > bounds.kills else []
