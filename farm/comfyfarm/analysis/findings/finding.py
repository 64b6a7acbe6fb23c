"""What every finding is, and the table of all rules that make them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, TypeVar

import msgspec

from comfyfarm.analysis.instances import FleetState
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.events import Event
from comfyfarm.units import Duration

_TOLD = 20
_Count = Annotated[int, msgspec.Meta(ge=0)]

Severity = Literal["error", "warning", "note", "unknown"]
"""``error``: the verdict is *fail*; ``unknown``: it is no *pass*; ``warning``, ``note``: told, and change nothing."""


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that the log proves.

    :ivar finding: the rule's name (docs/verdict.md).
    :ivar job: the logical job that it is about; empty for none.
    :ivar instance: the instance that it is about; empty for none, or for several.
    :ivar events: the ``seq`` of each event that proves it, in order.
    :ivar says: one sentence in plain words.
    """

    finding: str
    severity: Severity
    job: str = ""
    instance: str = ""
    events: tuple[int, ...] = ()
    says: str


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much is too much; durations in simulated time.

    :ivar liveness: after a heal, everything ends within this.
    :ivar reaction: how long a client has to send again what was lost, or what failed before it was taken on.
    :ivar tries: how often it sends a job at least, before it may give up.
    :ivar retries: attempts of one logical job at most.
    :ivar backoff: what a client waits at least between a failed attempt and the next of the same logical job.
    :ivar quick_retries: how often it may do without, one time after another.
    :ivar polls: questions about state (queue, history, jobs, stats) for each job that was taken on, on average.
    :ivar poll_size_bytes: what the answers to those may come to for each job, on average.
    :ivar kills: how many processes one logical job may take with it.
    :ivar failures: how many submissions one after another may fail at one instance while another is available.
    """

    liveness: Duration = Duration(600_000)
    reaction: Duration = Duration(30_000)
    tries: _Count = 3
    retries: _Count = 10
    backoff: Duration = Duration(100)
    quick_retries: _Count = 2
    polls: _Count = 200
    poll_size_bytes: _Count = 4 * 1024 * 1024
    kills: _Count = 2
    failures: _Count = 5


@dataclass(eq=False)
class Defects:
    """What is wrong with the log itself.

    :ivar told: the first few: the ``seq`` where each is (0 where that is not known), and what it is.
    :ivar count: of all.
    """

    told: list[tuple[int, str]] = field(default_factory=list)
    count: int = 0

    def note(self, text: str, seq: int) -> None:
        """Take another into account."""
        self.count += 1
        if len(self.told) < _TOLD:
            self.told.append((seq, text))


@dataclass(frozen=True)
class RuleContext:
    """What a rule looks at when it concludes.

    :ivar at_ms: the moment of the judgement: that of the latest event.
    """

    attempts: JobTracker
    fleet: FleetState
    bounds: Thresholds
    at_ms: int
    defects: Defects


class FindingRule:
    """Finds one kind of thing.  It may conclude again and again, while the log goes on.

    :cvar name: the finding's.
    :cvar hears: the events that it wants to hear for itself.
    :cvar by_absence: it concludes from what the log does *not* say; a log of which something is missing proves
        nothing then.
    """

    name: ClassVar[str] = ""
    handles: ClassVar[tuple[type[Event], ...]] = ()
    by_absence: ClassVar[bool] = False

    def on_event(self, event: Event, known: RuleContext) -> None:
        """Take an event into account, behind :class:`JobTracker` and :class:`FleetState`; for what they do not keep."""

    def conclude(self, known: RuleContext) -> Iterator[Finding]:
        """Say what is proven by now, in the order of the log."""
        raise NotImplementedError(self.name)


RULES: dict[str, type[FindingRule]] = {}
"""Every rule by its name, in the order of the alphabet."""

R = TypeVar("R", bound=type[FindingRule])


def rule(name: str) -> Callable[[R], R]:
    """Register a rule under the name of its finding."""

    def register(kind: R) -> R:
        kind.name = name
        RULES[name] = kind
        return kind

    return register


def is_hash(job: str) -> bool:
    """Whether a logical job has no name of its own, but is called by the hash of its prompt."""
    return re.fullmatch("[0-9a-f]{16}", job) is not None


def moment(ms: int) -> str:
    """A simulated moment or duration, for a sentence: ``3.2 s``."""
    return f"{ms / 1000:.3f}".rstrip("0").rstrip(".") + " s"
