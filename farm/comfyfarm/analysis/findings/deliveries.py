"""Findings about deliveries: done twice, of another job, too early, or of something that is no whole picture."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from comfyfarm.analysis.findings.broken import cause_of, what_is_wrong
from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, moment, rule
from comfyfarm.analysis.findings.ownership import owner_of
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt, Delivery, LogicalJob, is_hash


def is_good(job: LogicalJob, delivery: Delivery, tracker: JobTracker) -> bool:
    """Return whether the user got a whole picture of the job, as far as it was reported."""
    return not what_is_wrong(job, delivery, tracker) and owner_of(job.name, delivery, tracker) is None


@rule("broken_delivery")
class BrokenDelivery(FindingRule):
    """What was delivered is not a whole picture; a warning if the job was delivered whole later."""

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        tracker = context.tracker
        for job in tracker.tested:
            for delivery in job.delivered:
                wrong = what_is_wrong(job, delivery, tracker)
                if not wrong:
                    continue
                later = (other for other in job.delivered if other.seq > delivery.seq)
                whole = next((other for other in later if is_good(job, other, tracker)), None)
                says = f"What was delivered as {job.name} at {moment(delivery.at_ms)} {wrong}{cause_of(delivery)}"
                says += f"; a whole picture of it was delivered at {moment(whole.at_ms)}" if whole is not None else ""
                yield self.found(
                    f"{says}.",
                    job=job.name,
                    instance=delivery.instance,
                    events=[*((fetch.seq,) if (fetch := delivery.broken_fetch) else ()), delivery.seq],
                    severity="error" if whole is None else "warning",
                )


@rule("delivered_twice")
class DeliveredTwice(FindingRule):
    """A job was delivered from more than one attempt, or the same file of it more than once.

    Several files of one attempt are one delivery; broken and misattributed deliveries do not count.
    """

    def concerned(self, jobs: Sequence[LogicalJob], context: RuleContext) -> Iterable[LogicalJob]:
        return [job for job in jobs if _repeated_delivery(job, context.tracker) is not None]

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        for job in context.tracker.tested:
            pair = _repeated_delivery(job, context.tracker)
            if job.is_returned:
                yield from self._again(job, context.tracker)
            elif pair is not None:
                first, second = pair
                says = (
                    f"{job.name} was delivered at {moment(first.at_ms)}{_source(first)} and again at "
                    f"{moment(second.at_ms)}{_source(second)}."
                )
                yield self.found(says, job=job.name, events=(first.seq, second.seq))


    def _again(self, job: LogicalJob, tracker: JobTracker) -> Iterator[Finding]:
        """Yield a finding if a job was delivered that had been delivered and forgotten before."""
        again = next((delivery for delivery in job.delivered if is_good(job, delivery, tracker)), None)
        if again is None or not tracker.forgotten.is_reported:
            return
        says = f"{job.name} was delivered long ago and again at {moment(again.at_ms)}{_source(again)}"
        if tracker.forgotten.is_complete:
            yield self.found(f"{says}.", job=job.name, events=[again.seq])
        else:
            says += "; the first delivery is no longer kept, so that it is not known if this is another file of it."
            yield self.found(says, job=job.name, events=[again.seq], severity="unknown")


def _repeated_delivery(job: LogicalJob, tracker: JobTracker) -> tuple[Delivery, Delivery] | None:
    """Return the first delivery that repeats an earlier one, after that one."""
    if len(job.delivered) < 2:
        return None
    by_file: dict[str, Delivery] = {}
    by_prompt_id: dict[str, Delivery] = {}
    by_instance: dict[str, Delivery] = {}
    for delivery in job.delivered:
        if not is_good(job, delivery, tracker):
            continue
        # The pictures of a batch may be delivered without their names.
        file = delivery.file or delivery.digest
        prompt_id, instance = next(iter(delivery.prompt_ids), ""), delivery.instance
        earlier = by_file.get(file), _differing(by_prompt_id, prompt_id), _differing(by_instance, instance)
        first = next((other for other in earlier if other is not None), None)
        if first is not None:
            return first, delivery
        by_file.setdefault(file, delivery)
        by_prompt_id.setdefault(prompt_id, delivery)
        by_instance.setdefault(instance, delivery)
    return None


def _differing(deliveries: dict[str, Delivery], key: str) -> Delivery | None:
    """Return a delivery under another key; an empty key differs from none."""
    return next((delivery for other, delivery in deliveries.items() if key and other and other != key), None)


def _source(delivery: Delivery) -> str:
    return f" (from {delivery.instance})" if delivery.instance else ""


@rule("misattributed")
class Misattributed(FindingRule):
    """A delivery belongs to another job, by the stamp in the picture, by its prompt id or by its bytes."""

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        for job in context.tracker.tested:
            for delivery in job.delivered:
                owner = owner_of(job.name, delivery, context.tracker)
                if owner is not None:
                    says = f"What was delivered as {job.name} at {moment(delivery.at_ms)} {owner.says}."
                    events = [*owner.events, delivery.seq]
                    yield self.found(says, job=job.name, instance=delivery.instance, events=events)


@rule("false_completion")
class FalseCompletion(FindingRule):
    """A job was delivered before any attempt of it had finished its last node; not if that is *misattributed*.

    If no prompt bore the job's name, any attempt without a name may have been the job's.
    """

    by_absence = True

    def concerned(self, jobs: Sequence[LogicalJob], context: RuleContext) -> Iterable[LogicalJob]:
        return [job for job in jobs if _first_false(job, context.tracker) is not None]

    def conclude(self, context: RuleContext) -> Iterator[Finding]:
        tracker = context.tracker
        false = {job: delivery for job in tracker.tested if (delivery := _first_false(job, tracker)) is not None}
        excused = _excused(false, tracker)
        for job, delivery in false.items():
            if job not in excused and not job.ended("internal"):
                at = moment(delivery.at_ms)
                says = f"{job.name} was reported as delivered at {at}, when {_state(job, delivery, tracker)}."
                yield self.found(says, job=job.name, instance=delivery.instance, events=[delivery.seq])


def _first_false(job: LogicalJob, tracker: JobTracker) -> Delivery | None:
    """Return the first delivery before any attempt had finished, unless it is another job's."""
    for delivery in () if job.is_returned else job.delivered:
        done_seqs = [attempt.done_seq for attempt in _attempts_of(job, delivery, tracker) if attempt.done_seq]
        is_early = min(done_seqs, default=delivery.seq) >= delivery.seq
        if is_early and not _is_made(job, delivery) and owner_of(job.name, delivery, tracker) is None:
            return delivery
    return None


def _is_made(job: LogicalJob, delivery: Delivery) -> bool:
    """Return whether the delivered bytes are a picture that an attempt had saved, although it ended otherwise then."""
    saved = (attempt.prompt_id for attempt in job.attempts if attempt.files and attempt.seq < delivery.seq)
    return bool(delivery.digest) and delivery.stamp_prompt_id in saved


def _excused(false: dict[LogicalJob, Delivery], tracker: JobTracker) -> set[LogicalJob]:
    """Return the jobs whose name was in no prompt, as many as there were finished attempts without a name for them."""
    unnamed = (job for job in tracker.tested if is_hash(job.name) and not job.delivered)
    attempts = (attempt for job in unnamed for attempt in job.attempts)
    done_seqs = sorted(attempt.done_seq for attempt in attempts if attempt.done_seq and not attempt.delivered_as)
    excused: set[LogicalJob] = set()
    nameless = (job for job in false if not job.attempts and tracker.orders.maker_of(false[job]) is None)
    for job in sorted(nameless, key=lambda job: false[job].seq):
        if len(excused) < tracker.forgotten.unnamed + bisect_left(done_seqs, false[job].seq):
            excused.add(job)
    return excused


def _attempts_of(job: LogicalJob, delivery: Delivery, tracker: JobTracker) -> Sequence[Attempt]:
    """Return the attempts of a job; of one whose name was in no prompt, the attempt that made what was delivered."""
    maker = None if job.attempts else tracker.orders.maker_of(delivery)
    return job.attempts if maker is None else [maker]


def _state(job: LogicalJob, delivery: Delivery, tracker: JobTracker) -> str:
    """Describe the state of a job when it was delivered."""
    seq = delivery.seq
    sent = [attempt for attempt in _attempts_of(job, delivery, tracker) if attempt.seq < seq]
    if not sent:
        return "it had been sent to no instance"
    last = sent[-1]
    if last.end is None or last.end_seq > seq:
        return f"its attempt on {last.instance} had not ended yet"
    how = {"lost": "lost with its process", "deleted": "deleted from the queue", "forgotten": "dropped by a reset"}
    why = f" ({last.error})" if last.error else f" ({last.status})" if last.end == "refused" and last.status else ""
    ended = "ended in an error" if last.end == "error" else f"been {how.get(last.end, last.end)}"
    return f"its last attempt, on {last.instance}, had {ended}{why}"
