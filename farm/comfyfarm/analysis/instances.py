"""How every instance stands at a moment of the log: up or down, what it holds, and what clients were shown of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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


@dataclass(frozen=True, slots=True)
class ReportedState:
    """What a client was told of an instance's queue.

    :ivar remaining: waiting and running, true or not.
    """

    at_ms: int
    remaining: int


@dataclass(eq=False)
class InstanceStatus:
    """One instance.

    :ivar settings: every key of its ``[[instance]]``, as it is now.
    :ivar is_up: its port takes connections; while it boots, is stopped or has crashed it does not.
    :ivar models: in memory: (folder, name) -> bytes, the one used longest ago first.
    :ivar shown: by client id, what each was told last over its websocket; under ``None`` what was told over HTTP,
        which anybody may have asked.
    :ivar accepted: how many jobs it has taken on.
    :ivar down_since_ms: ``None`` while it is up.
    """

    name: str
    settings: dict[str, Any]
    epoch: int = 1
    is_up: bool = False
    is_frozen: bool = False
    is_refusing: bool = False
    is_draining: bool = False
    is_paused: bool = False
    models: dict[tuple[str, str], int] = field(default_factory=dict)
    shown: dict[str | None, ReportedState] = field(default_factory=dict)
    accepted: int = 0
    down_since_ms: int | None = 0

    @property
    def is_available(self) -> bool:
        """Whether a client that tries now is answered."""
        return self.is_up and not (self.is_frozen or self.is_refusing)

    @property
    def is_open_to_work(self) -> bool:
        """Whether a client that has a job may send it here, and is answered."""
        return self.is_available and not self.is_draining


@dataclass(eq=False)
class FleetState(EventHandler):
    """All instances of a farm, in the order of its configuration.

    An instance of which the log has no configuration (its beginning is missing) is made up at its first event.

    :ivar calm: the ``seq`` and the moment of the latest heal, unless something has gone wrong on purpose since.
    :ivar available_since_ms: since when a client could send work to some instance or other at any moment; ``None``:
        now it could not.
    """

    members: dict[str, InstanceStatus] = field(default_factory=dict)
    seed: int | None = None
    calm: tuple[int, int] | None = None
    available_since_ms: int | None = 0

    def member(self, name: str) -> InstanceStatus:
        """An instance."""
        if name not in self.members:
            self.members[name] = InstanceStatus(name, {}, is_up=True, down_since_ms=None)
        return self.members[name]

    def on_event(self, event: Event) -> None:
        """Take an event into account."""
        if event.instance:
            member = self.member(event.instance)
            member.epoch = max(member.epoch, event.epoch)
        super().on_event(event)
        if type(event) in _OF_HEALTH:
            self._look(event.at_ms)
        if isinstance(event, Healed):
            self.calm = event.seq, event.at_ms
        elif type(event) in _TROUBLE:
            self.calm = None

    def _look(self, at_ms: int) -> None:
        if not any(each.is_open_to_work for each in self.members.values()):
            self.available_since_ms = None
        elif self.available_since_ms is None:
            self.available_since_ms = at_ms

    @on(Configured)
    def _on_configured(self, event: Configured) -> None:
        self.seed = event.config.get("farm", {}).get("seed")
        for each in event.config.get("instance", []):
            name = each.get("name", "")
            self.members[name] = InstanceStatus(name, dict(each))

    @on(SettingsChanged)
    def _on_settings_changed(self, event: SettingsChanged) -> None:
        self.member(event.instance).settings.update(event.settings)

    # Up and down.

    @on(ServerReady)
    def _on_server_ready(self, event: ServerReady) -> None:
        member = self.member(event.instance)
        member.is_up, member.down_since_ms = True, None

    @on(ServerStopped)
    def _on_server_stopped(self, event: ServerStopped) -> None:
        before = self.member(event.instance)
        after = InstanceStatus(before.name, before.settings, before.epoch, accepted=before.accepted)
        after.down_since_ms, after.is_draining = event.at_ms, before.is_draining
        self.members[event.instance] = after

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

    # What it holds, and what it showed.

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
        member.accepted += 1
        if not member.is_up:    # the log does not say when it came up
            member.is_up, member.down_since_ms = True, None
            self._look(event.at_ms)

    @on(Finished)
    def _on_finished(self, event: Finished) -> None:
        models = self.member(event.instance).models
        for folder, name, _ in event.work.models:
            if (size_bytes := models.pop((folder, name), None)) is not None:
                models[folder, name] = size_bytes

    @on(Exchanged)
    def _on_exchanged(self, event: Exchanged) -> None:
        if event.shown is not None:
            self.member(event.instance).shown[None] = ReportedState(event.at_ms, event.shown)

    @on(FrameSent)
    def _on_frame_sent(self, event: FrameSent) -> None:
        if event.shown is not None:
            for client_id in event.to:
                self.member(event.instance).shown[client_id] = ReportedState(event.at_ms, event.shown)


_OF_HEALTH = frozenset({Configured, Draining, ServerReady, ServerStopped, Frozen, Thawed, Refusing})
_TROUBLE = frozenset({FaultArmed, ServerStopped, Frozen, Refusing, Paused})
