"""The state of one instance at a dispatch, and what the client had been shown of it."""

from dataclasses import dataclass
from typing import Literal

from comfyfarm.analysis.instances import InstanceStatus, ReportedState
from comfyfarm.analysis.placement.eligibility import InstanceEquipment

Health = Literal["up", "down", "frozen", "refusing", "draining"]


@dataclass(frozen=True, slots=True)
class InstanceSnapshot:
    """One instance just before a job was sent.

    :ivar depth: the true number of jobs waiting and running there.
    :ivar is_draining: whatever its health.
    :ivar models: in memory, by folder and name.
    :ivar shown: the latest queue length that the client was sent, by its own websocket or over HTTP;
        ``None`` if there was none in this epoch.
    :ivar sent_since: the number of this client's jobs that the instance accepted since then.
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
        """The depth that the client could infer: shown + sent since; ``None`` if nothing was shown."""
        return None if self.shown is None else self.shown.remaining + self.sent_since


def health_of(member: InstanceStatus) -> Health:
    if not member.is_up:
        return "down"
    if member.is_frozen:
        return "frozen"
    if member.is_refusing:
        return "refusing"
    return "draining" if member.is_draining else "up"


def latest(by_websocket: ReportedState | None, by_http: ReportedState | None) -> ReportedState | None:
    """Return the later of two reports; of two with the same time that of the websocket."""
    if by_websocket is None or by_http is None:
        return by_http if by_websocket is None else by_websocket
    return by_websocket if by_websocket.at_ms >= by_http.at_ms else by_http
