"""The jobs of a trial that are no longer kept: how many they were, and hashes of their names.

A run of days would fill the memory with jobs of which nothing more can be found.  So the oldest of them are counted
here and dropped (:func:`~comfyfarm.analysis.findings.settled.settled_of` says which, and
:class:`~comfyfarm.analysis.log_analysis.LogAnalysis` when).  If the log names one of them again, the job that is made
for it is marked as returned, so that a second run or delivery is still known to be one.
"""

from array import array
from dataclasses import dataclass, field
from struct import Struct

from comfyfarm.analysis.logical_jobs import LogicalJob, is_hash

_PER_BUCKET = 32
_packed = Struct("q").pack


class HashSet:
    """A set of texts that has 64 bits of each, in about 9 bytes of memory.  Two are taken for one by a rare chance.

    The hashes are Python's own, one after another in buckets.  Whenever there are more than 32 of them for each bucket,
    one bucket is split into two (linear hashing), so that neither looking nor adding takes longer the more there are.
    """

    def __init__(self) -> None:
        self._buckets: list[bytes] = [b""]
        self._doubled = 1       # their number when it had last doubled
        self._count = 0

    def add(self, *parts: str) -> None:
        number = hash(parts)
        place, packed = self._place(number), _packed(number)
        bucket = self._buckets[place]
        if packed not in bucket:
            self._buckets[place] = bucket + packed
            self._count += 1
            if self._count > _PER_BUCKET * len(self._buckets):
                self._split()

    def has(self, *parts: str) -> bool:
        if not self._count:
            return False
        number = hash(parts)
        return _packed(number) in self._buckets[self._place(number)]

    def _place(self, number: int) -> int:
        place = number % (2 * self._doubled)
        return place if place < len(self._buckets) else place - self._doubled   # its bucket is not split yet

    def _split(self) -> None:
        """Move half of the hashes of the first bucket that is not split yet into a new one."""
        place, moves = len(self._buckets) - self._doubled, self._doubled
        numbers = array("q", self._buckets[place])
        self._buckets[place] = array("q", [number for number in numbers if not number & moves]).tobytes()
        self._buckets.append(array("q", [number for number in numbers if number & moves]).tobytes())
        if len(self._buckets) == 2 * self._doubled:
            self._doubled *= 2


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
