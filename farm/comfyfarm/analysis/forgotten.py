"""The jobs of a trial that are no longer kept: how many they were, and hashes of their names.

A run of days would fill the memory with jobs of which nothing more can be found.  So the oldest of them are counted
here and dropped (:func:`~comfyfarm.analysis.findings.settled.is_settled` says which, and
:class:`~comfyfarm.analysis.log_analysis.LogAnalysis` when).  If the log names one of them again, the job that is made
for it is marked as returned, so that a second run or delivery is still known to be one.
"""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from comfyfarm.analysis.logical_jobs import LogicalJob, is_hash

_BUCKETS = 1024
_SEPARATOR = "\0"       # no name of a file has one


class HashSet:
    """A set of texts that has 64 bits of each, in about 9 bytes of memory.  Two are taken for one by a rare chance."""

    def __init__(self) -> None:
        self._buckets: dict[int, array[int]] = {}

    def add(self, *parts: str) -> None:
        number = _hash_of(parts)
        bucket = self._buckets.setdefault(number % _BUCKETS, array("Q"))
        if number not in bucket:
            bucket.append(number)

    def has(self, *parts: str) -> bool:
        if not self._buckets:
            return False
        number = _hash_of(parts)
        return number in self._buckets.get(number % _BUCKETS, ())


def _hash_of(parts: Iterable[str]) -> int:
    text = _SEPARATOR.join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


@dataclass(eq=False)
class Forgotten:
    """The jobs that are no longer kept; each succeeded at the first attempt, and was delivered.

    The farm's load is dropped without being counted.

    :ivar count: of the jobs, without those that have returned.
    :ivar runs: the number of their attempts, with those that have returned.
    :ivar unnamed: of these, those of jobs that had no name but their hash.
    :ivar seq: of the latest forgotten attempt; 0 if there is none.
    :ivar instances: where they ran.
    :ivar is_ordered: it was reported of one of them that a user asked for it.
    :ivar is_reported: one of them was reported as delivered.
    :ivar is_complete: each of them was reported as delivered, with all its files.
    """

    count: int = 0
    runs: int = 0
    unnamed: int = 0
    seq: int = 0
    instances: set[str] = field(default_factory=set)
    is_ordered: bool = False
    is_reported: bool = False
    is_complete: bool = True
    names: HashSet = field(default_factory=HashSet)
    prompt_ids: HashSet = field(default_factory=HashSet)
    files: HashSet = field(default_factory=HashSet)     # by instance, folder, subfolder and name

    def add(self, job: LogicalJob) -> None:
        """Count a job that is dropped."""
        (attempt,) = job.attempts
        self.seq = max(self.seq, attempt.seq)
        self.instances.add(attempt.instance)
        if job.is_load:
            return
        self.count, self.runs = self.count + 1, self.runs + 1
        self.unnamed += is_hash(job.name)
        self.is_ordered = self.is_ordered or job.is_ordered
        self.is_reported = self.is_reported or bool(job.delivered)
        is_complete = len(job.delivered) >= max(1, len(attempt.files) + attempt.pictures)
        self.is_complete = self.is_complete and is_complete
        self.names.add(job.name)
        self.prompt_ids.add(attempt.prompt_id or "")

    def returns(self, name: str) -> bool:
        """Return whether a new job is one that was forgotten; then it is kept again, and counts as such."""
        has_returned = self.count > 0 and self.names.has(name)
        self.count -= has_returned
        return has_returned
