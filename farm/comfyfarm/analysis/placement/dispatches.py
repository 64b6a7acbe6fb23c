"""The dispatches of a log, each with a snapshot of every instance."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Literal

from comfyfarm import events
from comfyfarm.analysis.instances import FleetState, InstanceStatus, ReportedState
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt
from comfyfarm.analysis.placement.eligibility import InstanceEquipment
from comfyfarm.events.handler import EventHandler, on

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


@dataclass(eq=False, slots=True)
class Dispatch:
    """One ``POST /prompt`` that was accepted or refused.

    :ivar chosen: the instance to which it was sent.
    :ivar snapshots: every instance, in configuration order.
    :ivar taken_ms: when its run began; ``None`` while it waits, also again after a stop that kept the queue.
    :ivar spent_ms: the length of its runs that such stops have broken off.
    :ivar loads: the number of models that were loaded for it.
    :ivar work: ``None`` until its run has ended by itself.
    """

    attempt: Attempt
    chosen: InstanceSnapshot
    snapshots: tuple[InstanceSnapshot, ...]
    taken_ms: int | None = None
    taken_seq: int = 0
    spent_ms: int = 0
    loads: int = 0
    work: events.Work | None = None

    def served_ms(self, at_ms: int) -> int:
        """Return the length of its run, until now if it has not ended."""
        if self.taken_ms is None:
            return 0
        ended_ms = self.attempt.ended_ms
        return (at_ms if ended_ms is None else ended_ms) - self.taken_ms

    @property
    def has_run_out(self) -> bool:
        """Its run has ended by itself, so that its length is known."""
        return self.work is not None


@dataclass(eq=False)
class Dispatches(EventHandler):
    """Collects the dispatches of a log. The tracker and the fleet must process each event before this does.

    :ivar all: in the order in which they were decided.
    :ivar reloads: by instance, the number of loads of a model that had been unloaded in the same epoch to make room.
    :ivar _open: by instance and prompt id, the dispatches that wait or run.
    :ivar _sent: by instance and client id, the jobs accepted since the client was shown the queue.
    """

    tracker: JobTracker
    fleet: FleetState
    all: list[Dispatch] = field(default_factory=list)
    reloads: Counter[str] = field(default_factory=Counter)
    _by_attempt: dict[Attempt, Dispatch] = field(default_factory=dict)
    _running: dict[str, Dispatch] = field(default_factory=dict)
    _open: dict[str, dict[str, list[Dispatch]]] = field(default_factory=lambda: defaultdict(dict))
    _depths: Counter[str] = field(default_factory=Counter)
    _equipment: dict[str, InstanceEquipment] = field(default_factory=dict)
    _models: dict[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    _evicted: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    _sent: dict[str, Counter[str | None]] = field(default_factory=lambda: defaultdict(Counter))
    _latest: dict[str, InstanceSnapshot] = field(default_factory=dict)

    @on(events.Submitted)
    def _on_submitted(self, event: events.Submitted) -> None:
        dispatch = self._add(event, event.job)
        if dispatch is not None:
            self._open[event.instance].setdefault(event.prompt_id, []).append(dispatch)
            self._depths[event.instance] += 1
            self._sent[event.instance][dispatch.attempt.client_id] += 1

    @on(events.PromptRefused)
    def _on_prompt_refused(self, event: events.PromptRefused) -> None:
        self._add(event, event.job)

    @on(events.Exchanged)
    def _on_exchanged(self, event: events.Exchanged) -> None:
        if event.method == "POST" and event.job:
            self._add(event, event.job)     # a refusal before the prompt was read has no other event
        if event.shown is not None:
            self._sent[event.instance].clear()

    def _add(self, event: events.Event, name: str) -> Dispatch | None:
        """Add the job's latest attempt if this event records it and it is not added yet."""
        job = self.tracker.jobs.get(name)
        attempt = job.attempts[-1] if job is not None and job.attempts else None
        if (
            attempt is None
            or attempt in self._by_attempt
            or (attempt.seq, attempt.instance) != (event.seq, event.instance)
        ):
            return None
        snapshots = tuple(self._snapshot(member, attempt.client_id) for member in self.fleet.members.values())
        chosen = next((snapshot for snapshot in snapshots if snapshot.instance == event.instance), None)
        if chosen is None:
            return None     # an event without an instance: no farm writes that
        dispatch = self._by_attempt[attempt] = Dispatch(attempt, chosen, snapshots)
        self.all.append(dispatch)
        return dispatch

    def _snapshot(self, member: InstanceStatus, client_id: str | None) -> InstanceSnapshot:
        name = member.name
        if name not in self._models:
            self._models[name] = frozenset(member.models)
        if name not in self._equipment:
            self._equipment[name] = InstanceEquipment.of(member.settings)
        reports = [member.shown[key] for key in (client_id, None) if key in member.shown]
        snapshot = InstanceSnapshot(
            instance=name,
            epoch=member.epoch,
            depth=self._depths[name],
            health=_health_of(member),
            is_draining=member.is_draining,
            models=self._models[name],
            equipment=self._equipment[name],
            shown=max(reports, key=attrgetter("at_ms"), default=None),     # of equals that of the websocket
            sent_since=self._sent[name][client_id],
        )
        if self._latest.get(name) != snapshot:      # equal snapshots share one object: there are many
            self._latest[name] = snapshot
        return self._latest[name]

    @on(events.FrameSent)
    def _on_frame_sent(self, event: events.FrameSent) -> None:
        if event.shown is not None:
            for client_id in event.to:
                self._sent[event.instance].pop(client_id, None)

    @on(events.Taken)
    def _on_taken(self, event: events.Taken) -> None:
        attempt = self.tracker.instances[event.instance].running
        dispatch = self._by_attempt.get(attempt) if attempt is not None else None
        if dispatch is not None:
            dispatch.taken_ms, dispatch.taken_seq = event.at_ms, event.seq
            self._running[event.instance] = dispatch

    @on(events.Finished)
    def _on_finished(self, event: events.Finished) -> None:
        dispatch = self._running.get(event.instance)
        if dispatch is not None and dispatch.attempt.end_seq == event.seq:
            dispatch.work = event.work
        self._remove_ended(event, [event.prompt_id])

    @on(events.QueueDeleted, events.QueueCleared)
    def _on_queue_deleted(self, event: events.QueueDeleted | events.QueueCleared) -> None:
        self._remove_ended(event, [event.prompt_id] if isinstance(event, events.QueueDeleted) else event.prompt_ids)

    @on(events.Reset)
    def _on_reset(self, event: events.Reset) -> None:
        self._remove_ended(event, list(self._open[event.instance]))

    @on(events.ServerStopped)
    def _on_server_stopped(self, event: events.ServerStopped) -> None:
        running = self._running.get(event.instance)
        self._remove_ended(event, list(self._open[event.instance]))
        if running is not None and running.attempt.is_open:     # the queue was kept
            running.spent_ms += running.served_ms(event.at_ms)
            running.taken_ms, running.taken_seq = None, 0
        self._running.pop(event.instance, None)
        self._models.pop(event.instance, None)
        self._evicted.pop(event.instance, None)
        self._sent.pop(event.instance, None)

    def _remove_ended(self, event: events.Event, prompt_ids: Iterable[str]) -> None:
        by_prompt_id = self._open[event.instance]
        for prompt_id in prompt_ids:
            before = by_prompt_id.pop(prompt_id, [])
            after = [dispatch for dispatch in before if dispatch.attempt.is_open]
            if after:
                by_prompt_id[prompt_id] = after
            self._depths[event.instance] -= len(before) - len(after)
        running = self._running.get(event.instance)
        if running is not None and not running.attempt.is_open:
            del self._running[event.instance]

    @on(events.Configured)
    def _on_configured(self, event: events.Configured) -> None:
        self._equipment.clear()

    @on(events.SettingsChanged)
    def _on_settings_changed(self, event: events.SettingsChanged) -> None:
        self._equipment.pop(event.instance, None)

    @on(events.ModelLoaded)
    def _on_model_loaded(self, event: events.ModelLoaded) -> None:
        self._models.pop(event.instance, None)
        running = self._running.get(event.instance)
        if event.prompt_id is not None and running is not None and running.attempt.prompt_id == event.prompt_id:
            running.loads += 1
        file = event.folder, event.name
        if file in self._evicted[event.instance]:
            self._evicted[event.instance].discard(file)
            self.reloads[event.instance] += 1

    @on(events.ModelUnloaded)
    def _on_model_unloaded(self, event: events.ModelUnloaded) -> None:
        self._models.pop(event.instance, None)
        if event.reason == "room":
            self._evicted[event.instance].add((event.folder, event.name))


def _health_of(member: InstanceStatus) -> Health:
    if not member.is_up:
        return "down"
    if member.is_frozen:
        return "frozen"
    if member.is_refusing:
        return "refusing"
    return "draining" if member.is_draining else "up"
