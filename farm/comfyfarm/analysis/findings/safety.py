"""Work that was accepted, and came to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from comfyfarm.analysis.findings.finding import Finding, FindingRule, RuleContext, is_hash, moment, rule
from comfyfarm.analysis.findings.job_status import has_had_time, last_of, status_of
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt, Delivery, LogicalJob, Stop


@rule("lost")
class Lost(FindingRule):
    """The last attempt of a logical job went down with its process, and nobody has sent it again.

    Not where it has succeeded, is said to be delivered (then it is a *false completion*), was given up by its user, or
    has taken so many processes with it that to give it up is right; and not before its client has had time to react.
    """

    by_absence = True

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """One finding for each such job."""
        for job in known.attempts.tested:
            if status_of(job, known.bounds) != "lost" or not has_had_time(last_of(job), known):
                continue
            yield self._found(job.name, last_of(job), known)

    def _found(self, job: str, last: Attempt, known: RuleContext) -> Finding:
        ended_ms, where = last.ended_ms or 0, last.instance
        return Finding(
            finding=self.name,
            severity="error",
            job=job,
            instance=where,
            events=(last.seq, last.end_seq),
            says=f"{job} was taken on by {where} at {moment(last.sent_ms)}, {where} went down with it at "
            f"{moment(ended_ms)}, and nobody sent it again in the {moment(known.at_ms - ended_ms)} since.",
        )


@rule("ran_twice")
class RanTwice(FindingRule):
    """A logical job has more than one successful run, whether or not the second was delivered."""

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """One finding for each such job."""
        for job in known.attempts.tested:
            runs = sorted(job.ended("success"), key=lambda each: each.end_seq)
            if len(runs) > 1:
                where = ", ".join(f"on {each.instance} at {moment(each.ended_ms or 0)}" for each in runs)
                yield Finding(
                    finding=self.name,
                    severity="error",
                    job=job.name,
                    events=tuple(each.end_seq for each in runs),
                    says=f"{job.name} ran {len(runs)} times to its end, {where}{_why_twice(job, runs)}.",
                )


def _why_twice(job: LogicalJob, runs: list[Attempt]) -> str:
    """Half a sentence on how it came to that, as far as the log tells."""
    first, second = sorted(runs, key=lambda each: each.number)[:2]
    if first.status is not None and first.status != 200:
        heard = f"was answered {first.status}" if first.status else "was never answered"
        return f"; its first submission, to {first.instance}, {heard}"
    if is_hash(job.name):
        return " (it has no name but its prompt's hash: who sends a prompt twice on purpose names the jobs)"
    when = "after the first had ended" if first.end_seq < second.seq else "while the first was under way"
    return f"; the second was sent at {moment(second.began_ms)}, {when}"


@rule("delivered_twice")
class DeliveredTwice(FindingRule):
    """A logical job was delivered from more than one attempt, or the same file of it more than once.

    Several files of one attempt are one delivery; what is misattributed does not count.
    """

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
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


def _same_again(job: LogicalJob, known: RuleContext) -> tuple[Delivery, Delivery] | None:
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


@dataclass(frozen=True)
class _Ways:
    """How the system under test takes results in this log; a way that it never goes proves nothing.

    :ivar prompt_ids: of what was delivered.
    """

    fetches: bool
    looks: bool
    delivers: bool
    prompt_ids: frozenset[str]

    @classmethod
    def of(cls, known: RuleContext) -> _Ways:
        """As far as can be seen by now."""
        jobs = known.attempts.tested
        delivered = [each for job in jobs for each in job.delivered]
        return cls(
            fetches=any(each.fetched for job in jobs for each in job.attempts),
            looks=any(each.seen for job in jobs for each in job.attempts),
            delivers=bool(delivered),
            prompt_ids=frozenset(prompt_id for each in delivered for prompt_id in each.prompt_ids),
        )

    def judge(self, run: Attempt) -> bool:
        """Whether it would show in the log had somebody taken the result of this run."""
        return self.delivers or (self.fetches if run.files else self.looks)

    def took(self, run: Attempt) -> bool:
        """Whether somebody did."""
        return run.fetched > 0 or run.prompt_id in self.prompt_ids or (run.seen > 0 and not run.files)


@rule("orphaned")
class Orphaned(FindingRule):
    """A logical job succeeded, and nobody has taken the result of any of its runs so far.

    To take is to fetch one of its files, or to deliver it; where a run wrote no file (a static instance), to be shown
    its result is enough.  A second run of the same job is told as *ran twice*, not here.
    """

    by_absence = True

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """One finding for each such job."""
        ways = _Ways.of(known)
        for job in known.attempts.tested:
            runs = job.ended("success")
            if not runs or job.delivered or not all(ways.judge(each) and not ways.took(each) for each in runs):
                continue
            run = runs[0]
            yield Finding(
                finding=self.name,
                severity="warning",
                job=job.name,
                instance=run.instance,
                events=tuple(each.end_seq for each in runs),
                says=f"{job.name} succeeded on {run.instance} at {moment(run.ended_ms or 0)}, and nobody has taken its "
                f"result so far{_why(job, run)}.",
            )


def _why(job: LogicalJob, run: Attempt) -> str:
    """Half a sentence on the cause, as far as it is known."""
    if run.status == 0:
        return f": the answer to its submission at {moment(run.began_ms)} never came"
    if run.status is not None and run.status >= 400:
        return f": its submission at {moment(run.began_ms)} was answered {run.status}"
    after = next((each for each in job.attempts if each.number > run.number), None)
    if after is not None:
        return f": it was sent again, to {after.instance}, at {moment(after.began_ms)}"
    return ": its client's websocket was gone by then" if run.is_unheard else ""


@rule("misattributed")
class Misattributed(FindingRule):
    """What was delivered as one logical job's is another's, by the stamp in the picture or by its prompt id."""

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
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


def owner_of(job: str, delivery: Delivery, attempts: JobTracker) -> str | None:
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


@rule("false_completion")
class FalseCompletion(FindingRule):
    """A logical job was said to be delivered when no attempt of it had come through its last node.

    A delivery that is misattributed is told as that alone.
    """

    by_absence = True

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """One finding for each such job."""
        for job in known.attempts.tested:
            done_seq = min((each.done_seq for each in job.attempts if each.done_seq), default=None)
            early = [each for each in job.delivered if done_seq is None or each.seq < done_seq]
            false = next((each for each in early if owner_of(job.name, each, known.attempts) is None), None)
            if false is not None:
                when, state = moment(false.at_ms), _state(job, false.seq)
                yield Finding(
                    finding=self.name,
                    severity="error",
                    job=job.name,
                    instance=false.instance,
                    events=(false.seq,),
                    says=f"{job.name} was said to be delivered at {when}, when {state}.",
                )


def _state(job: LogicalJob, seq: int) -> str:
    """How it stood with a job then."""
    sent = [each for each in job.attempts if each.seq < seq]
    if not sent:
        return "it had been sent to no instance"
    last = sent[-1]
    if last.end is None or last.end_seq > seq:
        return f"its attempt on {last.instance} was still open"
    return f"its last attempt, on {last.instance}, had ended otherwise ({last.error or last.end})"


@rule("wrong_cancel")
class WrongCancel(FindingRule):
    """An interrupt hit a logical job that it was not meant for.

    Proven where its client said which logical job it meant.  Where it said neither that nor a prompt id, it is taken
    for proven when all of this holds: the job that it stopped has a name, was sent again afterwards, was befallen by
    no fault, and was not alone on its instance, so that another can have been meant.
    """

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
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
    if stop.names_prompt or attempt.end != "interrupted" or attempt.had_fault or not stop.had_company:
        return None
    again = next((each for each in job.attempts if each.is_behind(stop.seq, stop.at_ms)), None)
    if again is None or is_hash(job.name):
        return None
    why = f"which nobody wanted stopped: it was sent again at {moment(again.began_ms)}; the interrupt named no job"
    return (stop.seq, again.seq), why
