"""What a fixture's farm in this process can be asked about the system under test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farm.ledger.journal import Journal
from farm.ledger.placement.placed import Placement
from farm.ledger.verdict import Verdict
from farm.sim.stamp import Stamp
from farm.truth import read_bounds, read_terms

if TYPE_CHECKING:
    from farm.service import Farm

__all__ = ["JudgedHere"]


class JudgedHere:
    """The questions to a farm in this process; they are answered at once, also after it has been stopped."""

    farm: Farm

    def verdict(self, **bounds: Any) -> Verdict:
        """What the log proves about the system under test by now: ``farm.verdict(reaction="5s").findings``.

        :param bounds: others than the usual ones (docs/verdict.md); a number for a duration is seconds.
        :raises ConfigError: where there is no such bound.
        """
        return self.farm.truth.verdict(read_bounds(bounds))

    def placement(self, **terms: Any) -> Placement:
        """How well its work was placed by now: ``farm.placement().herding.longest``.

        :param terms: others than the usual ones (docs/placement.md); a number for a duration is seconds.
        :raises ConfigError: where there is no such term.
        """
        return self.farm.truth.placement(read_terms(terms))

    def delivered(
        self,
        job: str,
        *,
        prompt_id: str | None = None,
        instance: str = "",
        file: str = "",
        stamp: str | None = None,
        picture: bytes | None = None,
    ) -> Stamp | None:
        """Say that the system under test has handed a result to its user; gives whose the picture is by its own stamp.

        :param job: the logical job that the user asked for.
        :param picture: its bytes, or instead the ``stamp`` that stands in it; ``None`` comes back where it bears none.
        :raises ValueError: where the stamp is none, or there is no such instance.
        """
        facts: dict[str, Any] = {"prompt_id": prompt_id, "instance": instance, "file": file}
        return self.farm.truth.delivered(job, stamp=stamp, picture=picture, **facts)

    @property
    def log(self) -> Journal:
        """What came, what was sent and what happened, at any moment: ``farm.log.requests(route="/prompt")``."""
        return self.farm.truth.journal
