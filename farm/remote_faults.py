"""A fault or a gate of a farm in another process, in the hands of a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from farm.control.fault_bodies import Held
from farm.control_client import SyncFarmControl

__all__ = ["RemoteFault", "RemoteGate"]


@dataclass(frozen=True)
class RemoteFault:
    """A fault that was armed; each look at it asks the farm."""

    control: SyncFarmControl
    id: str

    @property
    def fired(self) -> int:
        """How often it has struck, on all its instances."""
        return sum(self.fired_on.values())

    @property
    def fired_on(self) -> Mapping[str, int]:
        """How often it has struck, by instance."""
        return self.control.fault(self.id).fired

    @property
    def state(self) -> str:
        """``armed``, ``expired``, ``healed`` or ``removed``."""
        return self.control.fault(self.id).state

    def remove(self) -> None:
        """Take it off."""
        self.control.remove_fault(self.id)


@dataclass(frozen=True)
class RemoteGate(RemoteFault):
    """A gate that was closed; each look at it asks the farm."""

    @property
    def held(self) -> tuple[Held, ...]:
        """What waits at it, who came first first."""
        return self.control.gate(self.id).held

    def release(self, count: int | None = None) -> None:
        """Let go so many, or all that wait now; who comes later is held again."""
        self.control.release(self.id, count)
