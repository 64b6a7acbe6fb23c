"""What was true of one instance at a moment, and what a client knew of it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from comfyfarm.analysis.instances import InstanceStatus, ReportedState
from comfyfarm.analysis.placement.eligibility import InstanceEquipment

Health = Literal["up", "down", "frozen", "refusing", "draining"]


@dataclass(frozen=True, slots=True)
class InstanceSnapshot:
    """One instance just before a job was sent somewhere.

    :ivar depth: jobs that waited or ran there, truly.
    :ivar is_draining: it shall get no new work, whatever its health.
    :ivar models: in memory, by folder and name.
    :ivar shown: what the client was told last of its queue: over its own websocket or over HTTP, whichever is later;
        ``None``: nothing in this epoch.
    :ivar sent_since: how many jobs this client itself has had taken on there since it was told.
    """

    instance: str
    epoch: int
    depth: int
    health: Health
    is_draining: bool
    models: frozenset[tuple[str, str]]
    equipment: InstanceEquipment
    shown: ReportedState | None
    sent_since: int

    @property
    def believed_depth(self) -> int | None:
        """What the client could reckon: what it was told, and what it has sent since; ``None``: it was told nothing."""
        return None if self.shown is None else self.shown.remaining + self.sent_since


def health_of(member: InstanceStatus) -> Health:
    """How an instance is, as its clients would find it."""
    if not member.is_up:
        return "down"
    if member.is_frozen:
        return "frozen"
    if member.is_refusing:
        return "refusing"
    return "draining" if member.is_draining else "up"


def latest(own: ReportedState | None, asked: ReportedState | None) -> ReportedState | None:
    """The later of two things that a client was told; at one moment what its own websocket said."""
    if own is None or asked is None:
        return asked if own is None else own
    return own if own.at_ms >= asked.at_ms else asked
