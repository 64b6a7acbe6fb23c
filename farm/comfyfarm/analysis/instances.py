"""The state of every instance: up or down, models in memory, and the queue length reported to clients."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from comfyfarm.analysis.instance_jobs import is_submission, is_turned_away
from comfyfarm.events import (
    Configured,
    Draining,
    Event,
    Exchanged,
    FaultArmed,
    Finished,
    FrameSent,
    Frozen,
    Healed,
    ModelLoaded,
    ModelUnloaded,
    Paused,
    Refusing,
    Reset,
    Resumed,
    ServerReady,
    ServerStopped,
    SettingsChanged,
    Submitted,
    Thawed,
)
from comfyfarm.events.handler import EventHandler, on

_MOST_SHOWN = 10_000        # clients whose websockets told them the queue length

class ReportedState(msgspec.Struct, frozen=True, gc=False):
    """An instance's queue length as a client received it.

    :ivar remaining: jobs waiting and running; not the true number if a fault changed it.
    """

    at_ms: int
    remaining: int


@dataclass(eq=False)
class InstanceStatus:
    """The state of one instance.

    :ivar settings: every key of its ``[[instance]]``, with its present value.
    :ivar is_up: its port takes connections; false while it boots, is stopped or has crashed.
    :ivar failures: how many requests in a row, up to the latest, were answered with 5xx or not at all.
    :ivar answering_since_ms: when it last began to accept jobs, or had failed at least twice in a row.
    :ivar models: in memory: (folder, name) -> bytes, least recently used first.
    :ivar shown: by client id, the latest state sent over its websocket; under ``None`` the latest sent over HTTP, to
        any client.
    """

    name: str
    settings: dict[str, Any]
    epoch: int = 1
    is_up: bool = False
    is_frozen: bool = False
    is_refusing: bool = False
    is_draining: bool = False
    is_paused: bool = False
    failures: int = 0
    answering_since_ms: int = 0
    models: dict[tuple[str, str], int] = field(default_factory=dict)
    shown: dict[str | None, ReportedState] = field(default_factory=dict)

    @property
    def is_available(self) -> bool:
        """True if a request sent now is answered."""
        return self.is_up and not (self.is_frozen or self.is_refusing)

    @property
    def accepts_jobs(self) -> bool:
        return self.is_available and not self.is_draining

    def note_shown(self, client_ids: Iterable[str], state: ReportedState) -> None:
        """Note what clients were sent over their websockets; of very many only the latest are kept."""
        self.shown.update(dict.fromkeys(client_ids, state))
        if len(self.shown) > 2 * _MOST_SHOWN:
            in_order = sorted(self.shown, key=lambda client: self.shown[client].at_ms)
            for client_id in in_order[:-_MOST_SHOWN]:
                if client_id is not None:
                    del self.shown[client_id]

    def note_answer(self, event: Exchanged) -> None:
        """Count failures in a row; after the latest of them it is taken to answer again."""
        if event.status and event.status < 500:
            self.failures = 0
            return
        if self.failures:
            self.answering_since_ms = event.at_ms
        self.failures += 1


@dataclass(eq=False)
class FleetState(EventHandler):
    """All instances of a farm, in the order of its configuration.

    If the beginning of the log is missing, an instance without configuration is created at its first event.

    :ivar undisturbed_heal: the ``seq`` and the time of the latest heal; ``None`` once a fault is armed or an instance
        is stopped, frozen, paused or refuses connections.
    :ivar available_since_ms: since when at least one instance has been accepting jobs at all times; ``None``: none
        does now.
    :ivar requests: how many exchanges there were.
    :ivar _submissions: by instance, the ``seq`` of the answer to each submission: twice, and 1 more if it was turned
        away.
    """

    members: dict[str, InstanceStatus] = field(default_factory=dict)
    seed: int | None = None
    undisturbed_heal: tuple[int, int] | None = None
    available_since_ms: int | None = 0
    requests: int = 0
    _submissions: dict[str, array[int]] = field(default_factory=dict)
    _decided_seqs: array[int] = field(default_factory=lambda: array("q"))

    def member(self, name: str) -> InstanceStatus:
        if name not in self.members:
            self.members[name] = InstanceStatus(name, {}, is_up=True)
        return self.members[name]

    def on_event(self, event: Event) -> None:
        self.note_process(event)
        super().on_event(event)
        if type(event) in CHANGING_EVENTS:
            self.on_change(event)

    def note_process(self, event: Event) -> None:
        """Process what any event says; events without a handler need no more."""
        if event.instance:
            member = self.members.get(event.instance) or self.member(event.instance)
            if event.epoch != member.epoch:
                member.epoch = max(member.epoch, event.epoch)

    def on_change(self, event: Event) -> None:
        """Process one of :data:`CHANGING_EVENTS`, after its handler."""
        if type(event) in _AVAILABILITY_EVENTS:
            self._update_available(event.at_ms)
            if event.instance and (member := self.member(event.instance)).accepts_jobs:
                member.answering_since_ms = event.at_ms
        if type(event) is Healed:
            self.undisturbed_heal = event.seq, event.at_ms
            for name in self.members:
                self._forget_failures(name, event.seq)
        elif type(event) in _DISTURBANCES:
            self.undisturbed_heal = None

    def _update_available(self, at_ms: int) -> None:
        if not any(member.accepts_jobs for member in self.members.values()):
            self.available_since_ms = None
        elif self.available_since_ms is None:
            self.available_since_ms = at_ms

    def would_accept(self, name: str) -> bool:
        """Return whether an instance accepts jobs now: it is up and did not fail or turn away the latest request."""
        member, submissions = self.members[name], self._submissions.get(name)
        return member.accepts_jobs and not member.failures and not (submissions and submissions[-1] % 2)

    def turned_away_next(self, name: str, seq: int) -> bool:
        """Return whether an instance answered the next submission after an event with 429, with 5xx or not at all."""
        submissions = self._submissions.get(name, array("q"))
        index = bisect_right(submissions, 2 * seq + 1)
        return index < len(submissions) and submissions[index] % 2 == 1

    def decided_between(self, first_seq: int, last_seq: int) -> bool:
        """Return whether any instance answered a submission otherwise than with 429, with 5xx or not at all."""
        return bisect_right(self._decided_seqs, last_seq) > bisect_right(self._decided_seqs, first_seq)

    def _note_submission(self, name: str, seq: int, *, is_turned_away: bool) -> None:
        if name not in self._submissions:
            self._submissions[name] = array("q")
        self._submissions[name].append(2 * seq + is_turned_away)

    def _forget_failures(self, name: str, seq: int) -> None:
        self.members[name].failures = 0
        self._note_submission(name, seq, is_turned_away=False)

    @on(Configured)
    def _on_configured(self, event: Configured) -> None:
        self.seed = event.config.get("farm", {}).get("seed")
        for settings in event.config.get("instance", []):
            name = settings.get("name", "")
            self.members[name] = InstanceStatus(name, dict(settings))

    @on(SettingsChanged)
    def _on_settings_changed(self, event: SettingsChanged) -> None:
        self.member(event.instance).settings.update(event.settings)

    # Up and down.

    @on(ServerReady)
    def _on_server_ready(self, event: ServerReady) -> None:
        self.member(event.instance).is_up = True

    @on(ServerStopped)
    def _on_server_stopped(self, event: ServerStopped) -> None:
        before = self.member(event.instance)
        after = InstanceStatus(before.name, before.settings, before.epoch, is_draining=before.is_draining)
        self.members[event.instance] = after
        self._forget_failures(event.instance, event.seq)

    @on(Frozen, Thawed)
    def _on_frozen(self, event: Frozen | Thawed) -> None:
        self.member(event.instance).is_frozen = isinstance(event, Frozen)

    @on(Refusing)
    def _on_refusing(self, event: Refusing) -> None:
        self.member(event.instance).is_refusing = event.on

    @on(Draining)
    def _on_draining(self, event: Draining) -> None:
        self.member(event.instance).is_draining = event.on

    @on(Paused, Resumed)
    def _on_paused(self, event: Paused | Resumed) -> None:
        self.member(event.instance).is_paused = isinstance(event, Paused)

    @on(Reset)
    def _on_reset(self, event: Reset) -> None:
        member = self.member(event.instance)
        member.is_paused = False
        warm = member.settings.get("warm", ())
        member.models = {key: size_bytes for key, size_bytes in member.models.items() if key[1] in warm}

    # Models, jobs and the state reported to clients.

    @on(ModelLoaded)
    def _on_model_loaded(self, event: ModelLoaded) -> None:
        models = self.member(event.instance).models
        models.pop((event.folder, event.name), None)
        models[event.folder, event.name] = event.size_bytes

    @on(ModelUnloaded)
    def _on_model_unloaded(self, event: ModelUnloaded) -> None:
        self.member(event.instance).models.pop((event.folder, event.name), None)

    @on(Submitted)
    def _on_submitted(self, event: Submitted) -> None:
        member = self.member(event.instance)
        if not member.is_up:    # The log lacks the event that it came up.
            member.is_up = True
            self._update_available(event.at_ms)

    @on(Finished)
    def _on_finished(self, event: Finished) -> None:
        models = self.member(event.instance).models
        for folder, name, _ in event.work.models:   # Move each to the end: it is the most recently used.
            if (size_bytes := models.pop((folder, name), None)) is not None:
                models[folder, name] = size_bytes

    @on(Exchanged)
    def _on_exchanged(self, event: Exchanged) -> None:
        self.requests += event.method != ""     # one of before the trial has none
        self.member(event.instance).note_answer(event)
        if is_submission(event):
            self._note_submission(event.instance, event.seq, is_turned_away=is_turned_away(event))
            if not is_turned_away(event):
                self._decided_seqs.append(event.seq)
        if event.shown is not None:
            self.member(event.instance).shown[None] = ReportedState(event.at_ms, event.shown)

    @on(FrameSent)
    def _on_frame_sent(self, event: FrameSent) -> None:
        if event.shown is not None:
            state = ReportedState(event.at_ms, event.shown)
            self.member(event.instance).note_shown(event.to, state)


_AVAILABILITY_EVENTS: frozenset[type[Event]] = frozenset(
    {Configured, Draining, ServerReady, ServerStopped, Frozen, Thawed, Refusing}
)
_DISTURBANCES: frozenset[type[Event]] = frozenset({FaultArmed, ServerStopped, Frozen, Refusing, Paused})
CHANGING_EVENTS: frozenset[type[Event]] = _AVAILABILITY_EVENTS | _DISTURBANCES | {Healed}
"""After these, instances may be available, disturbed or healed that were not before."""
