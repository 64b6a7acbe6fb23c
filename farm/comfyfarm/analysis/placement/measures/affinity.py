"""Did jobs go where their models were?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from comfyfarm.analysis.placement.choices import Choice
from comfyfarm.analysis.placement.statistics import ENOUGH


class Affinity(msgspec.Struct, frozen=True, kw_only=True):
    """How well use was made of the models in memory.

    :ivar n: runs that needed models.
    :ivar hits: those of them for which none had to be loaded.
    :ivar possible: the hits, and those that would have found all their models in the memory of another candidate.
    :ivar share: hits / possible; ``None`` where none was possible.
    :ivar loads: models that were loaded for jobs.
    :ivar loads_per_job: those for each of the runs, on average; ``None`` without runs.
    :ivar thrash: how often a model came back into memory that had to make room for another (A-B-A).
    :ivar thrash_by_instance: the same, only where it happened.
    """

    n: int
    is_small: bool
    hits: int
    possible: int
    share: float | None
    loads: int
    loads_per_job: float | None
    thrash: int
    thrash_by_instance: dict[str, int]


def affinity(choices: Iterable[Choice], reloads: Mapping[str, int]) -> Affinity:
    """Measure how often models were where the jobs went.

    :param reloads: by instance, how often a model came back that had to make room.
    """
    runs = [each for each in choices if each.dispatch.work is not None and each.dispatch.work.models]
    hits = sum(not each.dispatch.loads for each in runs)
    possible = sum(_could_be_warm(each) for each in runs)
    loads = sum(each.dispatch.loads for each in runs)
    return Affinity(
        n=len(runs),
        is_small=len(runs) < ENOUGH,
        hits=hits,
        possible=possible,
        share=hits / possible if possible else None,
        loads=loads,
        loads_per_job=loads / len(runs) if runs else None,
        thrash=sum(reloads.values()),
        thrash_by_instance=dict(sorted(reloads.items())),
    )


def _could_be_warm(choice: Choice) -> bool:
    return not choice.dispatch.loads or any(each.is_warm for each in choice.candidates)
