"""The outcome of each scenario, and the score of many."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from comfyfarm.conformance.differences import Difference


@dataclass(frozen=True)
class ScenarioOutcome:
    """The outcome of one scenario.

    :ivar differences: from a real ComfyUI.
    :ivar skipped: why the scenario could not be run; ``None`` if it was.
    """

    name: str
    family: str
    seconds: float
    differences: tuple[Difference, ...] = ()
    skipped: str | None = None

    @property
    def is_same(self) -> bool:
        return self.skipped is None and not self.differences


@dataclass(frozen=True)
class Score:
    """Counts of outcomes.

    :ivar same: scenarios without any difference.
    :ivar judged: scenarios that were not skipped.
    """

    same: int
    judged: int
    skipped: int
    seconds: float

    @classmethod
    def of(cls, outcomes: Iterable[ScenarioOutcome]) -> Self:
        known = list(outcomes)
        skipped = sum(outcome.skipped is not None for outcome in known)
        same = sum(outcome.is_same for outcome in known)
        return cls(same, len(known) - skipped, skipped, sum(outcome.seconds for outcome in known))

    @property
    def is_full(self) -> bool:
        """True if at least one scenario was judged and none differs."""
        return self.same == self.judged > 0

    @property
    def share(self) -> float:
        """The share of scenarios without any difference, from 0 to 1; 0 if none was judged."""
        return self.same / self.judged if self.judged else 0.0

    def __str__(self) -> str:
        # Rounding must not turn the last difference into 100 %.
        percent = min(self.share * 100, 99.9) if not self.is_full else 100.0
        return f"{self.same}/{self.judged} ({percent:.1f} %)"


def by_family(outcomes: Iterable[ScenarioOutcome]) -> dict[str, Score]:
    """Return the score of each family, in the order of their first outcomes."""
    families: dict[str, list[ScenarioOutcome]] = {}
    for outcome in outcomes:
        families.setdefault(outcome.family, []).append(outcome)
    return {family: Score.of(members) for family, members in families.items()}
