"""How much of a suite came out as recorded?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from comfyfarm.conformance.differences import Difference


@dataclass(frozen=True)
class ScenarioOutcome:
    """What became of one scenario.

    :ivar differences: from what a real ComfyUI does; none where it is the same.
    :ivar skipped: why it was not judged, or ``None``.
    """

    name: str
    family: str
    seconds: float
    differences: tuple[Difference, ...] = ()
    skipped: str | None = None

    @property
    def is_same(self) -> bool:
        """Whether it was judged, and nothing differs."""
        return self.skipped is None and not self.differences


@dataclass(frozen=True)
class Score:
    """How many scenarios came out the same.

    :ivar judged: of how many; those that were skipped are not among them.
    """

    same: int
    judged: int
    skipped: int
    seconds: float

    @classmethod
    def of(cls, outcomes: Iterable[ScenarioOutcome]) -> Score:
        """Count."""
        known = list(outcomes)
        skipped = sum(each.skipped is not None for each in known)
        same = sum(each.is_same for each in known)
        return cls(same, len(known) - skipped, skipped, sum(each.seconds for each in known))

    @property
    def is_full(self) -> bool:
        """Whether something was judged, and all of it is the same."""
        return self.same == self.judged > 0

    @property
    def share(self) -> float:
        """From 0 to 1; 0 where nothing was judged."""
        return self.same / self.judged if self.judged else 0.0

    def __str__(self) -> str:
        """For people; only what is full is called 100 %."""
        percent = min(self.share * 100, 99.9) if not self.is_full else 100.0
        return f"{self.same}/{self.judged} ({percent:.1f} %)"


def by_family(outcomes: Iterable[ScenarioOutcome]) -> dict[str, Score]:
    """The score of each family, in the order in which they came."""
    families: dict[str, list[ScenarioOutcome]] = {}
    for outcome in outcomes:
        families.setdefault(outcome.family, []).append(outcome)
    return {family: Score.of(members) for family, members in families.items()}
