"""The options of each dispatch: the snapshots of its instances, completed by facts that the log shows only later."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from comfyfarm.analysis.placement.dispatches import Dispatch, InstanceSnapshot
from comfyfarm.analysis.placement.eligibility import InstanceEquipment, JobNeeds, needs_of
from comfyfarm.analysis.placement.work_left import WorkLeft, work_left
from comfyfarm.events import Work


@dataclass(frozen=True, slots=True)
class Option:
    """One instance as a possible target of one job.

    :ivar is_eligible: the instance has, or can load, all that the job needs.
    :ivar needs: ``None`` if the job never ran, so that its needs are unknown.
    """

    snapshot: InstanceSnapshot
    is_eligible: bool
    needs: JobNeeds | None
    left: WorkLeft

    @property
    def is_warm(self) -> bool:
        """All models of the job are in memory."""
        return self.needs is not None and self.needs.models <= self.snapshot.models


@dataclass(frozen=True, slots=True)
class Choice:
    """One dispatch with all its options.

    :ivar options: every instance, in configuration order.
    :ivar chosen: the option to which the job was sent.
    """

    dispatch: Dispatch
    options: tuple[Option, ...]
    chosen: Option

    @property
    def is_accepted(self) -> bool:
        return self.dispatch.attempt.is_accepted

    @property
    def candidates(self) -> list[Option]:
        """The eligible options whose health is ``up``, and in any case the chosen one."""
        return [
            option
            for option in self.options
            if (option.is_eligible and option.snapshot.health == "up") or option is self.chosen
        ]


def choices_of(dispatches: Sequence[Dispatch], at_ms: int) -> list[Choice]:
    """Return the choice of each dispatch, in their order, by all that the log shows so far.

    :param at_ms: the time of the latest event.
    """
    evidence = _Evidence(dispatches)
    left = work_left(dispatches, at_ms)
    return [_choice(dispatch, left[dispatch], evidence) for dispatch in dispatches]


class _Evidence:
    """The evidence in a log that an instance can or cannot run a job.

    :ivar needs: by logical job; jobs that never ran are not in it.
    """

    def __init__(self, dispatches: Iterable[Dispatch]) -> None:
        self._accepted: set[tuple[str, InstanceEquipment]] = set()
        self._lacking: set[tuple[str, InstanceEquipment]] = set()
        self._fitting: dict[tuple[JobNeeds, InstanceEquipment], bool] = {}
        works: dict[str, list[Work]] = defaultdict(list)
        equipment: set[InstanceEquipment] = set()
        for dispatch in dispatches:
            attempt, key = dispatch.attempt, (dispatch.attempt.job, dispatch.chosen.equipment)
            equipment.update(snapshot.equipment for snapshot in dispatch.snapshots)
            if dispatch.work is not None:
                works[attempt.job].append(dispatch.work)
            if attempt.is_accepted:
                self._accepted.add(key)
            elif attempt.missing:
                self._lacking.add(key)
        shared: dict[JobNeeds, JobNeeds] = {}     # one object for many jobs with equal needs
        self.needs = {job: shared.setdefault(needs := needs_of(runs), needs) for job, runs in works.items()}
        self._declared = frozenset(node for own in equipment for node in own.own_nodes)

    def is_eligible(self, job: str, equipment: InstanceEquipment) -> bool:
        """Decide by what the instance accepted or refused, else by its settings, else assume that it is."""
        needs = self.needs.get(job)
        if (job, equipment) in self._accepted:
            return needs is None or equipment.holds(needs)      # an accepted job may still be too large for the memory
        if (job, equipment) in self._lacking:
            return False
        if needs is None:
            return True
        if (needs, equipment) not in self._fitting:
            self._fitting[needs, equipment] = equipment.has(needs, self._declared)
        return self._fitting[needs, equipment]


def _choice(dispatch: Dispatch, lefts: tuple[WorkLeft, ...], evidence: _Evidence) -> Choice:
    job = dispatch.attempt.job
    needs = evidence.needs.get(job)
    options = tuple(
        Option(snapshot, evidence.is_eligible(job, snapshot.equipment), needs, left)
        for snapshot, left in zip(dispatch.snapshots, lefts, strict=True)
    )
    chosen = next(option for option in options if option.snapshot is dispatch.chosen)
    return Choice(dispatch, options, chosen)
