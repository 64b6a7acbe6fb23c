"""A test that left an instance out."""

from __future__ import annotations

from collections.abc import Iterator

from .base import Finding, Known, Rule, rule

__all__ = ["InstanceNeverUsed"]


@rule("instance_never_used")
class InstanceNeverUsed(Rule):
    """Jobs were sent to the farm, and none to this instance."""

    by_absence = True

    def conclude(self, known: Known) -> Iterator[Finding]:
        """One finding for each such instance."""
        used = known.attempts.at
        if used:
            for name in known.fleet.members:
                if name not in used:
                    yield Finding(
                        finding=self.name,
                        severity="note",
                        instance=name,
                        says=f"No job was ever sent to {name}.",
                    )
