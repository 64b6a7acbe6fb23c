"""A fault or a gate of a farm in this process, in the hands of a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from farm.fault_tables import read_fault
from farm.nemesis import Nemesis
from farm.sim.faults.armed import Armed
from farm.sim.faults.strikes import Strike

__all__ = ["LiveFault", "LiveGate"]


@dataclass(eq=False)
class LiveFault:
    """A fault that was armed."""

    nemesis: Nemesis
    armed: Armed

    @classmethod
    def arm(cls, nemesis: Nemesis, table: Mapping[str, Any]) -> Self:
        """Arm what a table describes, as ``[[fault]]`` would.

        :raises ConfigError: where it describes none.
        :raises UnknownFault: where its glob means no instance, or its id is taken.
        """
        return cls(nemesis, nemesis.arm(read_fault(table)))

    @property
    def id(self) -> str:
        """Its name."""
        return self.armed.fault.id

    @property
    def fired(self) -> int:
        """How often it has struck, on all its instances."""
        return sum(self.armed.fired.values())

    @property
    def fired_on(self) -> Mapping[str, int]:
        """How often it has struck, by instance."""
        return self.armed.fired

    @property
    def state(self) -> str:
        """``armed``, ``expired``, ``healed`` or ``removed``."""
        return self.armed.state

    def remove(self) -> None:
        """Take it off, unless that has happened."""
        if self.state == "armed" or self.armed.lasts:
            self.nemesis.remove(self.id)


@dataclass(eq=False)
class LiveGate(LiveFault):
    """A gate that was closed."""

    @property
    def held(self) -> list[Strike]:
        """What waits at it, who came first first: ``.instance``, ``.facts.prompt_id``, ``.at_ms`` of each."""
        return [strike for strike in self.armed.strikes if strike.is_on]

    def release(self, count: int | None = None) -> None:
        """Let go so many, or all that wait now; who comes later is held again."""
        self.nemesis.let_go(self.held[:count])
