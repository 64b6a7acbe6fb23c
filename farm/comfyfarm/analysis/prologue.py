"""The present state of a farm, as the few events of its log that determine it: the beginning of a trial."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from comfyfarm.events import (
    Configured,
    Draining,
    Event,
    Exchanged,
    FaultArmed,
    FaultExpired,
    FaultFired,
    FaultHealed,
    Finished,
    FrameSent,
    Frozen,
    Healed,
    ModelLoaded,
    ModelUnloaded,
    Paused,
    QueueCleared,
    QueueDeleted,
    Refusing,
    Reset,
    Resumed,
    ServerReady,
    ServerStopped,
    SettingsChanged,
    SocketClosed,
    SocketOpened,
    Submitted,
    Taken,
    Thawed,
)
from comfyfarm.events.handler import EventHandler, on

_SILENCING_EFFECTS = frozenset({"mute", "displace"})

_Key = tuple[str, ...]
"""The kind of a piece of state, then the instance (or the fault) that it belongs to, then what else identifies it."""


@dataclass(eq=False)
class Prologue(EventHandler):
    """Follows a log, and keeps the events that still determine the present state of the farm.

    A trial is analysed by fresh objects.  They process these events first, so that the farm seems to have just begun,
    in the state in which it was.  The other way would be to copy the state of the objects that have analysed the trial
    before; but then each of a dozen classes must know which of its fields are the state of the farm and which are
    the history of the trial.  Here one class knows which event undoes which, and a new rule needs nothing for trials.

    The size depends on what exists now (open websockets, models in memory, armed faults, queued jobs), not on the
    length of the log.  Left out is what only earlier requests explain, such as uploads and history entries.

    :ivar _kept: for each piece of state, the events that made it, in their order.
    :ivar _shown: by instance and client, the latest message that showed the client the length of the queue; apart,
        because one message concerns all clients of an instance.
    """

    _kept: dict[_Key, tuple[Event, ...]] = field(default_factory=dict)
    _shown: dict[str, dict[str, FrameSent]] = field(default_factory=dict)

    def copy(self) -> Prologue:
        return Prologue(dict(self._kept), {name: dict(shown) for name, shown in self._shown.items()})

    def events(self, at_ms: int) -> list[Event]:
        """Return the events in the order of the log.

        Jobs that wait or run have the time ``at_ms``: what was before it is no part of the trial.
        """
        by_seq = {event.seq: event for events in self._kept.values() for event in events}
        by_seq |= {event.seq: event for shown in self._shown.values() for event in shown.values()}
        events = (event for _, event in sorted(by_seq.items()))
        return [replace(event, at_ms=at_ms) if isinstance(event, Submitted | Taken) else event for event in events]

    def _keep(self, event: Event, *key: str) -> None:
        self._kept[key] = (event,)

    def _drop(self, *key: str) -> None:
        self._kept.pop(key, None)

    def _drop_all(self, instance: str, *kinds: str) -> None:
        for key in [key for key in self._kept if key[0] in kinds and key[1] == instance]:
            del self._kept[key]

    # Settings and processes.

    @on(Configured)
    def _on_configured(self, event: Configured) -> None:
        self._keep(event, "configured")

    @on(SettingsChanged)
    def _on_settings_changed(self, event: SettingsChanged) -> None:
        for configured in self._kept.get(("configured",), ()):
            assert isinstance(configured, Configured)
            tables = [
                {**table, **event.settings} if table.get("name") == event.instance else table
                for table in configured.config.get("instance", [])
            ]
            self._keep(replace(configured, config={**configured.config, "instance": tables}), "configured")

    def _settings_of(self, instance: str) -> dict[str, Any]:
        for configured in self._kept.get(("configured",), ()):
            assert isinstance(configured, Configured)
            for table in configured.config.get("instance", []):
                if table.get("name") == instance:
                    return dict(table)
        return {}

    @on(ServerReady)
    def _on_server_ready(self, event: ServerReady) -> None:
        self._keep(event, "ready", event.instance)

    @on(ServerStopped)
    def _on_server_stopped(self, event: ServerStopped) -> None:
        own = "ready", "frozen", "refusing", "paused", "failing", "model", "socket", "silent", "running"
        self._drop_all(event.instance, *own)
        self._shown.pop(event.instance, None)
        self._remove_jobs(event.instance, event.lost)
        self._drop("healed")

    @on(Frozen)
    def _on_frozen(self, event: Frozen) -> None:
        self._keep(event, "frozen", event.instance)
        self._drop("healed")

    @on(Thawed)
    def _on_thawed(self, event: Thawed) -> None:
        self._drop("frozen", event.instance)

    @on(Paused)
    def _on_paused(self, event: Paused) -> None:
        self._keep(event, "paused", event.instance)
        self._drop("healed")

    @on(Resumed)
    def _on_resumed(self, event: Resumed) -> None:
        self._drop("paused", event.instance)

    @on(Refusing, Draining)
    def _on_refusing(self, event: Refusing | Draining) -> None:
        kind = "refusing" if isinstance(event, Refusing) else "draining"
        if event.on:
            self._keep(event, kind, event.instance)
        else:
            self._drop(kind, event.instance)
        if isinstance(event, Refusing):
            self._drop("healed")

    @on(Reset)
    def _on_reset(self, event: Reset) -> None:
        warm = self._settings_of(event.instance).get("warm", ())
        for key in [key for key in self._kept if key[:2] == ("model", event.instance) and key[3] not in warm]:
            del self._kept[key]
        self._drop_all(event.instance, "paused", "job", "running")

    @on(ModelLoaded)
    def _on_model_loaded(self, event: ModelLoaded) -> None:
        # No job of the trial has loaded it: it is in memory from the start.
        self._keep(replace(event, prompt_id=None, node=None), "model", event.instance, event.folder, event.name)

    @on(ModelUnloaded)
    def _on_model_unloaded(self, event: ModelUnloaded) -> None:
        self._drop("model", event.instance, event.folder, event.name)

    @on(Exchanged)
    def _on_exchanged(self, event: Exchanged) -> None:
        if 0 < event.status < 500:
            self._drop("failing", event.instance)
        else:
            # Clients know that the instance fails.  What they requested is no part of the trial.
            failed: dict[str, Any] = {"at_ms": event.at_ms, "began_ms": event.began_ms, "status": event.status}
            place: dict[str, Any] = {"seq": event.seq, "instance": event.instance, "epoch": event.epoch}
            self._keep(Exchanged(**failed, **place, method="", path=""), "failing", event.instance)

    # Faults.

    @on(FaultArmed)
    def _on_fault_armed(self, event: FaultArmed) -> None:
        self._keep(event, "fault", event.id)
        self._drop("healed")

    @on(FaultFired)
    def _on_fault_fired(self, event: FaultFired) -> None:
        self._drop("fault", event.id)   # That it is armed matters only as long as it has not fired.
        if event.do in _SILENCING_EFFECTS and event.client_id is not None:
            self._keep(event, "silent", event.instance, event.client_id)

    @on(FaultExpired)
    def _on_fault_expired(self, event: FaultExpired) -> None:
        self._drop("fault", event.id)

    @on(FaultHealed)
    def _on_fault_healed(self, event: FaultHealed) -> None:
        self._drop("fault", event.id)
        fired = [(key, kept[0]) for key, kept in self._kept.items() if key[0] == "silent"]
        for key, firing in fired:
            if isinstance(firing, FaultFired) and (firing.id, firing.do) == (event.id, "mute"):
                del self._kept[key]

    @on(Healed)
    def _on_healed(self, event: Healed) -> None:
        self._keep(event, "healed")
        for key in [key for key in self._kept if key[0] == "failing"]:
            del self._kept[key]

    # Websockets.

    @on(SocketOpened)
    def _on_socket_opened(self, event: SocketOpened) -> None:
        key = "socket", event.instance, event.client_id
        self._kept[key] = (*self._kept.get(key, ()), event)
        self._drop("silent", event.instance, event.client_id)

    @on(SocketClosed)
    def _on_socket_closed(self, event: SocketClosed) -> None:
        key = "socket", event.instance, event.client_id
        others = self._kept.pop(key, ())[1:]
        if others:
            self._kept[key] = others
        else:
            self._shown.get(event.instance, {}).pop(event.client_id, None)
            self._drop("silent", event.instance, event.client_id)

    @on(FrameSent)
    def _on_frame_sent(self, event: FrameSent) -> None:
        if event.shown is not None:
            shown = self._shown.setdefault(event.instance, {})
            for client_id in event.to:
                shown[client_id] = event

    # Jobs.

    @on(Submitted)
    def _on_submitted(self, event: Submitted) -> None:
        key = "job", event.instance, event.prompt_id
        self._kept[key] = (*self._kept.get(key, ()), event)

    @on(Taken)
    def _on_taken(self, event: Taken) -> None:
        self._keep(event, "running", event.instance)

    @on(Finished)
    def _on_finished(self, event: Finished) -> None:
        self._drop("running", event.instance)
        self._remove_jobs(event.instance, (event.prompt_id,))

    @on(QueueDeleted)
    def _on_queue_deleted(self, event: QueueDeleted) -> None:
        self._remove_jobs(event.instance, (event.prompt_id,))

    @on(QueueCleared)
    def _on_queue_cleared(self, event: QueueCleared) -> None:
        self._remove_jobs(event.instance, event.prompt_ids)

    def _remove_jobs(self, instance: str, prompt_ids: Iterable[str]) -> None:
        for prompt_id in prompt_ids:
            key = "job", instance, prompt_id
            others = self._kept.pop(key, ())[1:]    # Several jobs may have one prompt id.
            if others:
                self._kept[key] = others
