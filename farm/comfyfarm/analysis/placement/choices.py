"""The options of each dispatch: the snapshots of its instances, completed by facts that the log shows only later."""

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from comfyfarm.analysis.placement.dispatches import Dispatch, Dispatches
from comfyfarm.analysis.placement.eligibility import InstanceEquipment, JobNeeds, needs_of
from comfyfarm.analysis.placement.snapshots import InstanceSnapshot
from comfyfarm.analysis.placement.work_left import NO_WORK, WorkLeft, work_left
from comfyfarm.events import Work


class Option(msgspec.Struct, frozen=True, gc=False):
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


class Choice(msgspec.Struct, frozen=True, gc=False):
    """One dispatch with all its options.

    :ivar options: every instance, in configuration order.
    :ivar candidates: the eligible options whose health is ``up``, and in any case the chosen one.
    :ivar chosen: the option to which the job was sent.
    :ivar work: of the job; ``None`` if it never ran to an end.
    """

    dispatch: Dispatch
    options: tuple[Option, ...]
    candidates: tuple[Option, ...]
    chosen: Option
    work: Work | None

    @property
    def is_accepted(self) -> bool:
        return self.dispatch.attempt.is_accepted

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


def choices_of(dispatches: Dispatches, at_ms: int) -> list[Choice]:
    """Return the choice of each dispatch, in their order, by all that the log shows so far.

    :param at_ms: the time of the latest event.
    """
    places = {name: place for place, name in enumerate(dispatches.fleet.members)}
    sent = [_Sent(dispatch, snapshots, places[dispatch.instance]) for dispatch, snapshots in dispatches.snapshots()]
    evidence, left = _Evidence(sent, dispatches.equipment()), work_left(dispatches.all, at_ms)
    return [evidence.choice(dispatch, left[dispatch.dispatch]) for dispatch in sent]


class _Sent(NamedTuple):
    """A dispatch with its snapshots, and the place of the chosen one among them."""

    dispatch: Dispatch
    snapshots: tuple[InstanceSnapshot, ...]
    place: int


class _Evidence:
    """The evidence in a log that an instance can or cannot run a job.

    :ivar _needs: by logical job; jobs that never ran to an end are not in it.
    :ivar _works: by logical job, the work of each of its runs.
    :ivar _accepted: by logical job, the equipment of instances at the time that they accepted it.
    :ivar _lacking: by logical job, the equipment of instances at the time that they refused it for what they lack.
    :ivar _fitting: by needs, the equipment that can run such jobs by its settings.
    """

    def __init__(self, sent: Iterable[_Sent], equipment: Collection[InstanceEquipment]) -> None:
        self._works: dict[str, list[Work]] = defaultdict(list)
        self._accepted: dict[str, list[InstanceEquipment]] = defaultdict(list)
        self._lacking: dict[str, list[InstanceEquipment]] = defaultdict(list)
        self._latest: dict[str, Option] = {}
        for dispatch, snapshots, place in sent:
            attempt = dispatch.attempt
            if dispatch.work is not None:
                self._works[attempt.job].append(dispatch.work)
            if attempt.is_accepted:
                self._accepted[attempt.job].append(snapshots[place].equipment)
            elif attempt.missing:
                self._lacking[attempt.job].append(snapshots[place].equipment)
        shared = _SharedNeeds()
        self._needs = {job: shared.of(runs) for job, runs in self._works.items()}
        declared, distinct = frozenset(node for own in equipment for node in own.own_nodes), set(self._needs.values())
        self._fitting = {needs: {own for own in equipment if own.has(needs, declared)} for needs in distinct}
        self._all = set(equipment)

    def choice(self, sent: _Sent, left: Mapping[str, WorkLeft]) -> Choice:
        """Return the choice of a dispatch.

        :param left: the work on the instances that have some.
        """
        dispatch, job = sent.dispatch, sent.dispatch.attempt.job
        needs, eligible = self._needs.get(job), self._eligible(job)
        options = self._options(sent.snapshots, needs, eligible, left)
        chosen = options[sent.place]
        candidates = tuple(
            option for option in options if (option.is_eligible and option.snapshot.health == "up") or option is chosen
        )
        work = self._works[job][0] if dispatch.work is None and needs is not None else dispatch.work
        return Choice(dispatch, options, options if len(candidates) == len(options) else candidates, chosen, work)

    def _eligible(self, job: str) -> set[InstanceEquipment]:
        """Decide by what an instance accepted or refused, else by its settings, else assume that it is."""
        needs = self._needs.get(job)
        eligible = self._all if needs is None else self._fitting[needs]
        accepted, lacking = self._accepted.get(job, ()), self._lacking.get(job, ())
        # An accepted job may still be too large for the memory.
        held = [own for own in accepted if needs is None or own.holds(needs)]
        if not lacking and len(held) == len(accepted) and eligible.issuperset(held):
            return eligible
        return eligible.difference(lacking, accepted).union(held)

    def _options(
        self,
        snapshots: Iterable[InstanceSnapshot],
        needs: JobNeeds | None,
        eligible: Container[InstanceEquipment],
        lefts: Mapping[str, WorkLeft],
    ) -> tuple[Option, ...]:
        """Return an option for each instance, which is its latest one if that is equal: many are."""
        options = []
        for snapshot in snapshots:
            name, is_eligible = snapshot.instance, snapshot.equipment in eligible
            option, left = self._latest.get(name), lefts.get(name, NO_WORK)
            if (
                option is None
                or option.snapshot is not snapshot
                or option.left is not left
                or option.needs is not needs
                or option.is_eligible != is_eligible
            ):
                option = self._latest[name] = Option(snapshot, is_eligible, needs, left)
            options.append(option)
        return tuple(options)


@dataclass(eq=False)
class _SharedNeeds:
    """Makes the needs of jobs; equal ones are one object, as there are few."""

    _needs: dict[JobNeeds, JobNeeds] = field(default_factory=dict)
    _of_work: dict[int, JobNeeds] = field(default_factory=dict)     # by the work's id: few are distinct

    def of(self, runs: Sequence[Work]) -> JobNeeds:
        if len(runs) > 1:
            return self._needs.setdefault(needs := needs_of(runs), needs)
        key = id(runs[0])
        if key not in self._of_work:
            self._of_work[key] = self._needs.setdefault(needs := needs_of(runs), needs)
        return self._of_work[key]
