"""What could have been chosen at each dispatch: the sights, completed by what only came to light later."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from comfyfarm.analysis.placement.dispatches import Dispatch
from comfyfarm.analysis.placement.eligibility import InstanceEquipment, JobNeeds, need_of
from comfyfarm.analysis.placement.snapshots import InstanceSnapshot
from comfyfarm.analysis.placement.work_left import WorkLeft, work_left
from comfyfarm.events import Work


@dataclass(frozen=True, slots=True)
class Option:
    """One instance, as a place for one job.

    :ivar is_eligible: it has, or can load, all that the job needs.
    :ivar need: what the job needs; ``None`` where it never ran, so that nobody knows.
    """

    sight: InstanceSnapshot
    is_eligible: bool
    need: JobNeeds | None
    left: WorkLeft

    @property
    def is_candidate(self) -> bool:
        """Whether a perfect dispatcher could have taken it: eligible, up, answering and not drained."""
        return self.is_eligible and self.sight.health == "up"

    @property
    def is_warm(self) -> bool:
        """Whether all models of the job were in its memory."""
        return self.need is not None and self.need.models <= self.sight.models


@dataclass(frozen=True, slots=True)
class Choice:
    """One dispatch, and all that it could have been.

    :ivar options: in the order of the configuration.
    :ivar chosen: the one that it was.
    """

    dispatch: Dispatch
    options: tuple[Option, ...]
    chosen: Option

    @property
    def is_accepted(self) -> bool:
        """Whether the job was taken on."""
        return self.dispatch.attempt.is_accepted

    @property
    def candidates(self) -> list[Option]:
        """Where it could have gone, the chosen instance always among them."""
        return [each for each in self.options if each.is_candidate or each is self.chosen]


def choices_of(dispatches: Sequence[Dispatch], at_ms: int) -> list[Choice]:
    """Everything that is known by now, in the order of the dispatches.

    :param at_ms: the moment of the judgement.
    """
    evidence = _Evidence.of(dispatches)
    left = work_left(dispatches, at_ms)
    return [_choice(each, left[each], evidence) for each in dispatches]


def _choice(dispatch: Dispatch, left: tuple[WorkLeft, ...], evidence: _Evidence) -> Choice:
    job = dispatch.attempt.job
    need = evidence.needs.get(job)
    pairs = zip(dispatch.sights, left, strict=True)
    options = tuple(Option(sight, evidence.is_eligible(job, sight.equipment), need, work) for sight, work in pairs)
    chosen = next(each for each in options if each.sight is dispatch.chosen)
    return Choice(dispatch, options, chosen)


@dataclass(eq=False)
class _Evidence:
    """What the log says about who can run which job.

    :ivar needs: by logical job; one that never ran has none.
    """

    needs: dict[str, JobNeeds | None]
    declared: frozenset[str]
    _accepted: set[tuple[str, InstanceEquipment]] = field(default_factory=set)
    _lacking: set[tuple[str, InstanceEquipment]] = field(default_factory=set)
    _can: dict[tuple[JobNeeds, InstanceEquipment], bool] = field(default_factory=dict)

    @classmethod
    def of(cls, dispatches: Iterable[Dispatch]) -> _Evidence:
        works: dict[str, list[Work]] = defaultdict(list)
        equipment: set[InstanceEquipment] = set()
        found = cls({}, frozenset())
        for each in dispatches:
            equipment.update(sight.equipment for sight in each.sights)
            if each.work is not None:
                works[each.attempt.job].append(each.work)
            if each.attempt.is_accepted:
                found._accepted.add((each.attempt.job, each.chosen.equipment))
            elif each.attempt.missing:
                found._lacking.add((each.attempt.job, each.chosen.equipment))
        known: dict[JobNeeds | None, JobNeeds | None] = {}      # one object for many jobs of a kind
        found.needs = {job: known.setdefault(need := need_of(runs), need) for job, runs in works.items()}
        found.declared = frozenset(node for each in equipment for node in each.own_nodes)
        return found

    def is_eligible(self, job: str, equipment: InstanceEquipment) -> bool:
        """What was seen counts more than what is written; of whom nothing is known, it is believed."""
        if (job, equipment) in self._accepted:
            return self._fits(job, equipment)
        if (job, equipment) in self._lacking:
            return False
        need = self.needs.get(job)
        if need is None:
            return True
        if (need, equipment) not in self._can:
            self._can[need, equipment] = equipment.has(need, self.declared)
        return self._can[need, equipment]

    def _fits(self, job: str, equipment: InstanceEquipment) -> bool:
        """What was taken on may still be too large for the memory."""
        need = self.needs.get(job)
        return need is None or equipment.holds(need)
