"""The state of all instances at each dispatch, stored as the changes since the dispatch before.

A job changes one instance and what one client knows of it, so that a dispatch costs the same on 1,000 instances as on
one.  :class:`SnapshotReader` makes whole snapshots of the changes, when somebody wants to measure.
"""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from comfyfarm.analysis.instances import FleetState, InstanceStatus, ReportedState
from comfyfarm.analysis.placement.eligibility import InstanceEquipment

Health = Literal["up", "down", "frozen", "refusing", "draining"]


class TrueState(msgspec.Struct, frozen=True, gc=False):
    """One instance as it truly was just before a job was sent, whoever sent it.

    :ivar depth: the true number of jobs waiting and running there.
    :ivar is_draining: whatever its health.
    :ivar models: in memory, by folder and name.
    :ivar shown: the latest queue length sent over HTTP, to any client; ``None`` if there was none in this epoch.
    """

    instance: str
    depth: int
    health: Health
    is_draining: bool
    models: frozenset[tuple[str, str]]
    equipment: InstanceEquipment
    shown: ReportedState | None


class ClientView(msgspec.Struct, frozen=True, gc=False):
    """What one client knows of one instance.

    :ivar client_id: ``None`` for all clients without an id.
    :ivar shown: the latest queue length that its own websocket sent it; ``None`` if there was none in this epoch.
    :ivar sent_since: the number of its jobs that the instance accepted since it was shown the queue.
    """

    client_id: str | None
    instance: str
    shown: ReportedState | None
    sent_since: int


Change = TrueState | ClientView
"""A state or a view that replaces the one before."""


class InstanceSnapshot(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One instance just before a job was sent, as the client of the job could know it; the fields are those of both.

    :ivar shown: the latest queue length that the client was sent, by its own websocket or over HTTP.
    """

    instance: str
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


def _snapshot(state: TrueState, view: ClientView | None = None) -> InstanceSnapshot:
    shown, sent_since = (None, 0) if view is None else (view.shown, view.sent_since)
    if shown is None or (state.shown is not None and state.shown.at_ms > shown.at_ms):    # of equals the websocket's
        shown = state.shown
    return InstanceSnapshot(
        state.instance,
        state.depth,
        state.health,
        state.is_draining,
        state.models,
        state.equipment,
        shown,
        sent_since,
    )


@dataclass(eq=False)
class SnapshotRecorder:
    """Follows the fleet, and notes at each dispatch what has changed since the one before.

    :ivar changes: in their order; a dispatch is known by how many there were before it.
    :ivar merged: how many there are fewer, because earlier ones were merged.
    :ivar _sent: by instance and client id, the jobs accepted since the client was shown the queue.
    :ivar _viewers: by instance, the clients with a view of it.
    """

    fleet: FleetState
    changes: list[Change] = field(default_factory=list)
    merged: int = 0
    _depths: Counter[str] = field(default_factory=Counter)
    _equipment: dict[str, InstanceEquipment] = field(default_factory=dict)
    _models: dict[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    _sent: dict[str, Counter[str | None]] = field(default_factory=lambda: defaultdict(Counter))
    _states: dict[str, TrueState] = field(default_factory=dict)
    _stale: dict[str, None] = field(default_factory=dict)
    _stale_views: dict[str | None, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    _viewers: dict[str, dict[str | None, None]] = field(default_factory=lambda: defaultdict(dict))

    def note_dispatch(self, client_id: str | None) -> int:
        """Note what has changed, for a dispatch of a client; return how many changes there were so far."""
        if len(self._states) < len(self.fleet.members):
            self._stale = dict.fromkeys(self.fleet.members)     # in this order
        for name in self._stale:
            state = self._state_of(self.fleet.members[name])
            if self._states.get(name) != state:
                self._states[name] = state
                self.changes.append(state)
        self._stale.clear()
        for name in self._stale_views.pop(client_id, ()):
            shown = None if client_id is None else self.fleet.members[name].shown.get(client_id)
            self.changes.append(ClientView(client_id, name, shown, self._sent[name][client_id]))
        return self.merged + len(self.changes)

    def merge(self, count: int, clients: Container[str | None]) -> None:
        """Replace the first changes by the latest of each kind among them.

        :param count: how many there were up to the last of them.
        :param clients: what others know is forgotten.
        """
        first = count - self.merged
        latest: dict[tuple[str | None, ...], Change] = {}
        for change in self.changes[:first]:
            if isinstance(change, TrueState):
                latest[change.instance,] = change
            elif change.client_id in clients:
                latest[change.instance, change.client_id] = change
        self.changes[:first] = latest.values()
        self.merged += first - len(latest)
        tables: list[dict[str | None, Any]] = [self._stale_views, *self._sent.values(), *self._viewers.values()]
        for table in tables:
            for client_id in [client_id for client_id in table if client_id not in clients]:
                del table[client_id]

    def _state_of(self, member: InstanceStatus) -> TrueState:
        name = member.name
        if name not in self._models:
            self._models[name] = frozenset(member.models)
        if name not in self._equipment:
            self._equipment[name] = InstanceEquipment.of(member.settings)
        health, shown = _health_of(member), member.shown.get(None)
        models, equipment = self._models[name], self._equipment[name]
        return TrueState(name, self._depths[name], health, member.is_draining, models, equipment, shown)

    def note_change(self, name: str) -> None:
        """Note that the state of an instance may have changed."""
        self._stale[name] = None

    def add_depth(self, name: str, count: int) -> None:
        self._depths[name] += count
        self._stale[name] = None

    def note_sent(self, name: str, client_id: str | None) -> None:
        """Count an accepted job."""
        self._sent[name][client_id] += 1
        self._note_view(name, client_id)

    def note_shown(self, name: str, client_ids: Iterable[str]) -> None:
        """Note that clients were sent the queue length over their websockets."""
        sent = self._sent[name]
        for client_id in client_ids:
            sent.pop(client_id, None)
            self._note_view(name, client_id)

    def note_shown_to_all(self, name: str) -> None:
        """Note that the queue length was sent over HTTP: the log does not say to whom."""
        for client_id in self._sent[name]:
            self._note_view(name, client_id)
        self._sent[name].clear()
        self._stale[name] = None

    def _note_view(self, name: str, client_id: str | None) -> None:
        self._stale_views[client_id][name] = None
        self._viewers[name][client_id] = None

    def forget_process(self, name: str) -> None:
        """Forget what was in the memory of a process that has stopped, and what clients knew of it."""
        self._models.pop(name, None)
        self._sent.pop(name, None)
        self.forget_views(name)

    def forget_views(self, name: str) -> None:
        for client_id in self._viewers.pop(name, ()):
            self._stale_views[client_id][name] = None
        self._stale[name] = None

    def forget_models(self, name: str) -> None:
        self._models.pop(name, None)
        self._stale[name] = None

    def forget_equipment(self, names: Iterable[str]) -> None:
        for name in names:
            self._equipment.pop(name, None)
            self._stale[name] = None


def _health_of(member: InstanceStatus) -> Health:
    if not member.is_up:
        return "down"
    if member.is_frozen:
        return "frozen"
    if member.is_refusing:
        return "refusing"
    return "draining" if member.is_draining else "up"


@dataclass(eq=False)
class _Known:
    """The snapshots for one client, as of a number of changes."""

    snapshots: list[InstanceSnapshot]
    count: int


class SnapshotReader:
    """Makes the snapshots of dispatches, which must be asked for in their order."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes
        self._count = 0
        self._places: dict[str, int] = {}
        self._states: list[TrueState] = []
        self._common: list[InstanceSnapshot] = []       # of a client that knows nothing by itself
        self._views: dict[str | None, dict[str, ClientView]] = defaultdict(dict)
        self._known: dict[str | None, _Known] = {}

    def read(self, client_id: str | None, count: int) -> tuple[InstanceSnapshot, ...]:
        """Return every instance, in configuration order, for a dispatch of a client.

        :param count: the number of changes before it.
        """
        for change in self._changes[self._count : count]:
            self._apply(change)
        self._count = count
        if not (views := self._views.get(client_id)):
            return tuple(self._common)
        known = self._known.get(client_id)
        if known is None or count - known.count > len(views):
            known = self._known[client_id] = _Known(self._common.copy(), count)
            changed: Iterable[str] = views
        else:
            changes = self._changes[known.count : count]
            changed = [
                change.instance
                for change in changes
                if isinstance(change, TrueState) or change.client_id == client_id
            ]
            known.count = count
            known.snapshots += self._common[len(known.snapshots) :]
        for name in changed:
            place = self._places[name]
            known.snapshots[place] = _snapshot(self._states[place], views.get(name))
        return tuple(known.snapshots)

    def _apply(self, change: Change) -> None:
        name = change.instance
        if isinstance(change, ClientView):
            self._views[change.client_id][name] = change
        elif (place := self._places.setdefault(name, len(self._states))) < len(self._states):
            self._states[place], self._common[place] = change, _snapshot(change)
        else:
            self._states.append(change)
            self._common.append(_snapshot(change))
