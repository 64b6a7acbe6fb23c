"""The owner of a delivered picture: by the stamp in it, by its prompt id, or by its bytes."""

from dataclasses import dataclass

from comfyfarm.analysis.findings.finding import moment
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt, Delivery, LogicalJob, is_hash

_BY_STAMP, _BY_ID = "as the picture's stamp says", "as its prompt id says"


@dataclass(frozen=True)
class Owner:
    """The owner of a picture that was delivered as another job's.

    :ivar job: a logical job; empty if only the instance is known.
    :ivar says: whose it is: the predicate of a sentence.
    :ivar events: the ``seq`` of an earlier event that proves it.
    """

    job: str
    says: str
    events: tuple[int, ...] = ()


def owner_of(job_name: str, delivery: Delivery, tracker: JobTracker) -> Owner | None:
    """Return the owner of what was delivered as a job; ``None`` if it is rightly the job's, or not known.

    A name that was in no prompt is bound to the attempt without a name whose result was first delivered under it.  A
    prompt id that the log lacks proves nothing; nor does one that two logical jobs share.
    """
    job, maker = tracker.jobs[job_name], tracker.orders.maker_of(delivery)
    if maker is not None and is_hash(maker.job) and not job.attempts:
        return _owner_of_unnamed(job, delivery, maker, tracker)
    if delivery.stamp_job and delivery.stamp_job != job_name:
        stamped = maker if maker is not None and maker.prompt_id == delivery.stamp_prompt_id else None
        return _owned_by(delivery.stamp_job, stamped, job, delivery, _BY_STAMP)
    for prompt_id in delivery.prompt_ids:
        attempts = tracker.by_prompt_id.get(prompt_id, ())
        if attempts and job_name not in [attempt.job for attempt in attempts]:
            how = _BY_STAMP if prompt_id == delivery.stamp_prompt_id else _BY_ID
            return _owned_by(attempts[0].job, attempts[0], job, delivery, how)
        if not (attempts or job.is_returned) and tracker.forgotten.prompt_ids.has(prompt_id):
            return Owner("", "is that of another job that was delivered long ago, as its prompt id says")
    return _owner_by_bytes(job, delivery, tracker)


def _owned_by(name: str, maker: Attempt | None, job: LogicalJob, delivery: Delivery, how: str) -> Owner:
    if maker is None:
        return Owner(name, f"is {name}'s, {how}")
    files = {file.name for file in maker.files}
    file = delivery.file if delivery.file in files else next(iter(files)) if len(files) == 1 else ""
    source = f"{file} from {maker.instance}" if file else f"from {maker.instance}"
    twins = (
        attempt.instance
        for attempt in job.attempts
        if attempt.instance != maker.instance and any(other.name == file for other in attempt.files)
    )
    twin = next(twins, "")
    return Owner(name, f"is {name}'s, {how}: {source}{f', not the file of the same name from {twin}' if twin else ''}")


def _owner_of_unnamed(job: LogicalJob, delivery: Delivery, maker: Attempt, tracker: JobTracker) -> Owner | None:
    claimed = tracker.orders.claimed_maker(delivery)
    picture = f"the picture of prompt {maker.prompt_id} on {maker.instance}"
    if claimed is not maker:
        source = f"of prompt {claimed.prompt_id} on {claimed.instance}" if claimed else f"from {delivery.instance}"
        return Owner(maker.job, f"is {picture}, {_BY_STAMP}, and not {source}, as was reported")
    if maker.delivered_as == job.name:
        return None
    earlier = tracker.jobs[maker.delivered_as].delivered
    first = next(other for other in earlier if tracker.orders.claimed_maker(other) is maker)
    says = f"is {picture}, which was delivered as {maker.delivered_as} at {moment(first.at_ms)}: it can be only one's"
    return Owner(maker.delivered_as, says, (first.seq,))


def _owner_by_bytes(job: LogicalJob, delivery: Delivery, tracker: JobTracker) -> Owner | None:
    """Return the owner of the picture of a static instance, if no attempt of the job was at one that has it."""
    if delivery.stamp_prompt_id or not delivery.digest:
        return None
    having = [name for name, (digest, _) in tracker.orders.pictures.items() if digest == delivery.digest]
    used = {attempt.instance: None for attempt in job.attempts if attempt.is_accepted}
    if not having or not used or any(name in having or name not in tracker.orders.pictures for name in used):
        return None
    owners, places = " and ".join(having), " and ".join(used)
    return Owner("", f"is the picture of {owners}, as its bytes say; {job.name} was sent to {places} only")
