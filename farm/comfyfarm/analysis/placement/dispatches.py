"""The dispatches of a log, each with its place among the changes of the instances."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from comfyfarm import events
from comfyfarm.analysis.instances import FleetState
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.logical_jobs import Attempt
from comfyfarm.analysis.placement.eligibility import InstanceEquipment
from comfyfarm.analysis.placement.snapshots import InstanceSnapshot, SnapshotReader, SnapshotRecorder, TrueState
from comfyfarm.events.handler import EventHandler, on


class Dispatch(msgspec.Struct, eq=False, gc=False):
    """One ``POST /prompt`` that was accepted or refused.

    :ivar changes: how many changes of instances there were before it, in the whole log.
    :ivar taken_ms: when its run began; ``None`` while it waits, also again after a stop that kept the queue.
    :ivar spent_ms: the length of its runs that such stops have broken off.
    :ivar loads: the number of models that were loaded for it.
    :ivar work: ``None`` until its run has ended by itself.
    """

    attempt: Attempt
    changes: int
    taken_ms: int | None = None
    taken_seq: int = 0
    spent_ms: int = 0
    loads: int = 0
    work: events.Work | None = None

    @property
    def instance(self) -> str:
        """The instance to which it was sent."""
        return self.attempt.instance

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
    :ivar _by_attempt: the dispatches that wait or run.
    :ivar _open: the same, by instance and prompt id.
    """

    tracker: JobTracker
    fleet: FleetState
    all: list[Dispatch] = field(default_factory=list)
    reloads: Counter[str] = field(default_factory=Counter)
    _clients: Counter[str | None] = field(default_factory=Counter)      # the dispatches of each
    _by_attempt: dict[Attempt, Dispatch] = field(default_factory=dict)
    _running: dict[str, Dispatch] = field(default_factory=dict)
    _open: dict[str, dict[str, list[Dispatch]]] = field(default_factory=lambda: defaultdict(dict))
    _evicted: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        self._recorder = SnapshotRecorder(self.fleet)

    def snapshots(self) -> list[tuple[Dispatch, tuple[InstanceSnapshot, ...]]]:
        """Return each dispatch with every instance just before it, in configuration order."""
        reader, merged = SnapshotReader(self._recorder.changes), self._recorder.merged
        return [(dispatch, reader.read(dispatch.attempt.client_id, dispatch.changes - merged)) for dispatch in self.all]

    def forget(self, seq: int) -> None:
        """Drop the dispatches up to an event."""
        first = bisect_right(self.all, seq, key=lambda dispatch: dispatch.attempt.seq)
        if first:
            count = self.all[first - 1].changes
            for dispatch in self.all[:first]:
                client_id = dispatch.attempt.client_id
                self._clients[client_id] -= 1
                if not self._clients[client_id]:
                    del self._clients[client_id]
            del self.all[:first]
            self._recorder.merge(count, self._clients)

    def equipment(self) -> set[InstanceEquipment]:
        """Return that of all instances, at any dispatch."""
        return {state.equipment for state in self._recorder.changes if isinstance(state, TrueState)}

    @on(events.Submitted)
    def _on_submitted(self, event: events.Submitted) -> None:
        self._recorder.note_change(event.instance)      # it may be up only now
        dispatch = self._add(event, event.job)
        if dispatch is not None:
            self._open[event.instance].setdefault(event.prompt_id, []).append(dispatch)
            self._recorder.add_depth(event.instance, 1)
            self._recorder.note_sent(event.instance, dispatch.attempt.client_id)

    @on(events.PromptRefused)
    def _on_prompt_refused(self, event: events.PromptRefused) -> None:
        self._add(event, event.job)

    @on(events.Exchanged)
    def _on_exchanged(self, event: events.Exchanged) -> None:
        if event.shown is not None:
            self._recorder.note_change(event.instance)
        if event.method == "POST" and event.job and event.prompt_id is None:
            self._add(event, event.job)     # a refusal before the prompt was read has no other event
        if event.shown is not None:
            self._recorder.note_shown_to_all(event.instance)

    def _add(self, event: events.Event, name: str) -> Dispatch | None:
        """Add the job's latest attempt if this event records it."""
        job = self.tracker.jobs.get(name)
        attempt = job.attempts[-1] if job is not None and job.attempts else None
        if (
            attempt is None
            or (attempt.seq, attempt.instance) != (event.seq, event.instance)
            or event.instance not in self.fleet.members     # no farm writes that
        ):
            return None
        dispatch = Dispatch(attempt, self._recorder.note_dispatch(attempt.client_id))
        if attempt.is_open:
            self._by_attempt[attempt] = dispatch
        self.all.append(dispatch)
        self._clients[attempt.client_id] += 1
        return dispatch

    @on(events.FrameSent)
    def _on_frame_sent(self, event: events.FrameSent) -> None:
        if event.shown is not None:
            self._recorder.note_shown(event.instance, event.to)

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
        self._evicted.pop(event.instance, None)
        self._recorder.forget_process(event.instance)

    def _remove_ended(self, event: events.Event, prompt_ids: Iterable[str]) -> None:
        by_prompt_id = self._open[event.instance]
        for prompt_id in prompt_ids:
            before = by_prompt_id.pop(prompt_id, [])
            after = [dispatch for dispatch in before if dispatch.attempt.is_open]
            for dispatch in before:
                if not dispatch.attempt.is_open:
                    del self._by_attempt[dispatch.attempt]
            if after:
                by_prompt_id[prompt_id] = after
            self._recorder.add_depth(event.instance, len(after) - len(before))
        running = self._running.get(event.instance)
        if running is not None and not running.attempt.is_open:
            del self._running[event.instance]

    @on(events.Configured)
    def _on_configured(self, event: events.Configured) -> None:
        for name in self.fleet.members:
            self._recorder.forget_views(name)
        self._recorder.forget_equipment(self.fleet.members)

    @on(events.Draining, events.Frozen, events.Thawed, events.Refusing, events.ServerReady)
    def _on_health(
        self, event: events.Draining | events.Frozen | events.Thawed | events.Refusing | events.ServerReady
    ) -> None:
        self._recorder.note_change(event.instance)

    @on(events.SettingsChanged)
    def _on_settings_changed(self, event: events.SettingsChanged) -> None:
        self._recorder.forget_equipment([event.instance])

    @on(events.ModelLoaded)
    def _on_model_loaded(self, event: events.ModelLoaded) -> None:
        self._recorder.forget_models(event.instance)
        running = self._running.get(event.instance)
        if event.prompt_id is not None and running is not None and running.attempt.prompt_id == event.prompt_id:
            running.loads += 1
        file = event.folder, event.name
        if file in self._evicted[event.instance]:
            self._evicted[event.instance].discard(file)
            self.reloads[event.instance] += 1

    @on(events.ModelUnloaded)
    def _on_model_unloaded(self, event: events.ModelUnloaded) -> None:
        self._recorder.forget_models(event.instance)
        if event.reason == "room":
            self._evicted[event.instance].add((event.folder, event.name))
