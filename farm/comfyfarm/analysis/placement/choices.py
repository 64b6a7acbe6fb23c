"""The options of each dispatch: the snapshots of its instances, completed by facts that the log shows only later."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
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
    :ivar work: of the job; ``None`` if it never ran to an end.
    """

    dispatch: Dispatch
    options: tuple[Option, ...]
    chosen: Option
    work: Work | None

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

    def finishes_sooner(self, option: Option, work: Work) -> bool:
        """Return whether an option would have ended a job of this work before the chosen one, by their settings.

        In doubt it would not: the models that the jobs there would have loaded meanwhile do not count for the option.
        """
        there, here = option.snapshot, self.chosen.snapshot
        there_ms = option.left.ms + there.equipment.service_ms(work, there.models)
        return there_ms < self.chosen.left.ms + here.equipment.service_ms(work, self._loaded_here())

    def _loaded_here(self) -> Collection[tuple[str, str]]:
        """Return the models of the job that were in memory on the chosen instance when it began."""
        if self.dispatch.loads or self.chosen.needs is None:
            return self.chosen.snapshot.models
        return self.chosen.needs.models


def choices_of(dispatches: Sequence[Dispatch], at_ms: int) -> list[Choice]:
    """Return the choice of each dispatch, in their order, by all that the log shows so far.

    :param at_ms: the time of the latest event.
    """
    evidence = _Evidence(dispatches)
    left = work_left(dispatches, at_ms)
    return [_choice(dispatch, left[dispatch], evidence) for dispatch in dispatches]


class _Evidence:
    """The evidence in a log that an instance can or cannot run a job.

    :ivar needs: by logical job; jobs that never ran to an end are not in it.
    :ivar works: by logical job, the work of each of its runs.
    """

    def __init__(self, dispatches: Iterable[Dispatch]) -> None:
        self._accepted: set[tuple[str, InstanceEquipment]] = set()
        self._lacking: set[tuple[str, InstanceEquipment]] = set()
        self._latest: dict[str, Option] = {}
        self._fitting: dict[tuple[JobNeeds, InstanceEquipment], bool] = {}
        self.works: dict[str, list[Work]] = defaultdict(list)
        equipment: set[InstanceEquipment] = set()
        for dispatch in dispatches:
            attempt, key = dispatch.attempt, (dispatch.attempt.job, dispatch.chosen.equipment)
            equipment.update(snapshot.equipment for snapshot in dispatch.snapshots)
            if dispatch.work is not None:
                self.works[attempt.job].append(dispatch.work)
            if attempt.is_accepted:
                self._accepted.add(key)
            elif attempt.missing:
                self._lacking.add(key)
        shared: dict[JobNeeds, JobNeeds] = {}     # one object for many jobs with equal needs
        self.needs = {job: shared.setdefault(needs := needs_of(runs), needs) for job, runs in self.works.items()}
        self._declared = frozenset(node for own in equipment for node in own.own_nodes)

    def shared(self, option: Option) -> Option:
        """Return the instance's latest option if it is equal: many are."""
        latest = self._latest.get(option.snapshot.instance)
        if (
            latest is None
            or latest.snapshot is not option.snapshot
            or latest.left is not option.left
            or latest.needs is not option.needs
            or latest.is_eligible != option.is_eligible
        ):
            latest = self._latest[option.snapshot.instance] = option
        return latest

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
        evidence.shared(Option(snapshot, evidence.is_eligible(job, snapshot.equipment), needs, left))
        for snapshot, left in zip(dispatch.snapshots, lefts, strict=True)
    )
    chosen = next(option for option in options if option.snapshot is dispatch.chosen)
    work = evidence.works[job][0] if dispatch.work is None and needs is not None else dispatch.work
    return Choice(dispatch, options, chosen, work)
