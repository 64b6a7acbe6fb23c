"""Affinity: whether jobs were sent to instances that had their models in memory."""

from collections.abc import Iterable, Mapping

from comfyfarm.analysis.placement.choices import Choice
from comfyfarm.analysis.placement.statistics import ENOUGH, Measure


class Affinity(Measure, frozen=True, kw_only=True):
    """The use that was made of the models in memory.

    :ivar n: runs that needed models.
    :ivar hits: runs for which no model had to be loaded.
    :ivar possible: hits, and runs for which another candidate had all models in memory.
    :ivar share: hits / possible; ``None`` if none was possible.
    :ivar loads: models that were loaded for jobs.
    :ivar loads_per_job: loads / n; ``None`` if there are no runs.
    :ivar thrash: loads of a model that had been unloaded in the same epoch to make room (A-B-A).
    :ivar thrash_by_instance: only instances with thrash.
    """

    hits: int
    possible: int
    share: float | None
    loads: int
    loads_per_job: float | None
    thrash: int
    thrash_by_instance: dict[str, int]


def affinity(choices: Iterable[Choice], reloads: Mapping[str, int]) -> Affinity:
    """Measure the use that was made of the models in memory.

    :param reloads: the thrash of each instance.
    """
    runs = [choice for choice in choices if choice.dispatch.work is not None and choice.dispatch.work.models]
    hits = sum(not choice.dispatch.loads for choice in runs)
    possible = sum(not choice.dispatch.loads or any(option.is_warm for option in choice.candidates) for choice in runs)
    loads = sum(choice.dispatch.loads for choice in runs)
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
