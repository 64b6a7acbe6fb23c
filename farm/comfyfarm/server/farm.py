"""The farm: all instances of a configuration, as one Twisted service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from typing import Any

import msgspec
from twisted.application.service import MultiService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from comfyfarm import __version__
from comfyfarm.config import ConfigError, FarmConfig, InstanceConfig
from comfyfarm.config.equipment import EquipmentCache, check_equipment, check_scenario_changes
from comfyfarm.config.recorded import default_picture
from comfyfarm.events import Configured, LogEnded
from comfyfarm.events.log import Log
from comfyfarm.faults.registry import FaultRegistry
from comfyfarm.seeds import Seeds
from comfyfarm.server.backend import Backend
from comfyfarm.server.context import FarmContext
from comfyfarm.server.fault_controller import FaultController
from comfyfarm.server.files.temporary import TemporaryFolder
from comfyfarm.server.live_analysis import LiveAnalysis
from comfyfarm.server.log_file import LogFile
from comfyfarm.server.media.pictures import ImageRenderer, UnreadablePicture, read_picture
from comfyfarm.server.metric_counts import MetricCounts
from comfyfarm.server.ports import Bind, BoundPort
from comfyfarm.server.scenario_runner import ScenarioRunner
from comfyfarm.server.snapshots import Snapshots
from comfyfarm.server.time.clock import EPOCH_UNIX_MS, SimulatedTime, VirtualClock
from comfyfarm.server.time.clock_control import ClockControl
from comfyfarm.server.time.lag import LagGauge
from comfyfarm.sim.prompt.job_names import JobNames

_logger = Logger()     # not in the class: Twisted keeps recent log events, and with them the objects that logged


def make_farm(
    config: FarmConfig,
    *,
    reactor: Any,
    clock: IReactorTime,
    bind: Bind,
    unix_ms: int,
    wall_s: Callable[[], float] | None = None,
) -> Farm:
    """Build a farm; no port is bound and no file is written before it is opened.

    :param reactor: the reactor of the sockets.
    :param clock: the source of simulated time, unless the configuration asks for a virtual clock; it never goes back.
    :param bind: binds the ports.
    :param unix_ms: the wall-clock time of simulated time 0; on a virtual clock it is always the same.
    :param wall_s: returns the wall-clock time, whose jumps become events; None if they do not matter.
    :raises ConfigError: if an input picture or a captured file cannot be read, or a name is unknown.
    """
    if config.farm.seed is None:
        with_seed = msgspec.structs.replace(config.farm, seed=SystemRandom().getrandbits(32))
        config = msgspec.structs.replace(config, farm=with_seed)
    if config.farm.clock == "virtual":
        clock, unix_ms, wall_s = VirtualClock(), EPOCH_UNIX_MS, None
    renderers: dict[str | None, ImageRenderer] = {}    # one for all instances with the same picture
    for index, instance in enumerate(config.instance):
        if instance.input not in renderers:
            renderers[instance.input] = _renderer(config.place(index), instance)
    equipment_cache = EquipmentCache()
    check_equipment(config, equipment_cache)
    check_scenario_changes(config, equipment_cache)
    return Farm(config, reactor, clock, bind, unix_ms, renderers, equipment_cache, wall_s)


def _renderer(place: str, config: InstanceConfig) -> ImageRenderer:
    try:
        return ImageRenderer(default_picture() if config.input is None else read_picture(Path(config.input)))
    except UnreadablePicture as error:
        raise ConfigError(f"{place}.input: {error}") from error


@dataclass(eq=False, repr=False)
class Farm(MultiService):
    """All instances, the log, the faults, the clock and the scenarios.

    :meth:`open` sets the fields that the constructor does not take.

    :ivar config: the effective configuration, with its seed.
    :ivar unix_ms: the wall-clock time of simulated time 0.
    :ivar renderers: by the ``input`` of the instances.
    :ivar backends: by name, in the order of the configuration; empty before :meth:`open`.
    :ivar control_url: the URL of the control server; empty if there is none.
    """

    config: FarmConfig
    reactor: Any
    clock: IReactorTime
    bind: Bind
    unix_ms: int
    renderers: dict[str | None, ImageRenderer]
    equipment_cache: EquipmentCache
    wall_s: Callable[[], float] | None = None
    log: Log = field(default_factory=Log)
    backends: dict[str, Backend] = field(default_factory=dict)
    control_url: str = ""
    data_dir: Path = field(init=False)
    time: SimulatedTime = field(init=False)
    clock_control: ClockControl = field(init=False)
    lag: LagGauge = field(init=False)
    analysis: LiveAnalysis = field(init=False)
    counts: MetricCounts = field(init=False)
    registry: FaultRegistry = field(init=False)
    fault_controller: FaultController = field(init=False)
    scenario_runner: ScenarioRunner = field(init=False)
    snapshots: Snapshots = field(init=False)
    _temporary: TemporaryFolder | None = field(default=None, init=False)
    _log_file: LogFile | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        super().__init__()
        self.snapshots = Snapshots(self.reactor)

    def open(self, ports: Sequence[BoundPort]) -> None:
        """Make the folders, the log and the instances; nothing listens before the service is started.

        :param ports: one bound port for each instance, in their order.
        :raises OSError: if a folder or the log file cannot be made.
        """
        settings = self.config.farm
        if settings.data_dir is None:
            self._temporary = TemporaryFolder.make()
        self.data_dir = (self._temporary.path if self._temporary else Path(settings.data_dir or "")).absolute()
        self.time = SimulatedTime(self.clock, settings.speed)
        self.clock_control = ClockControl(
            self.reactor, self.clock, self.time, self.log, self.catch_up, self._has_backlog
        )
        self.lag = LagGauge(self.time, self.log, self.wall_s)
        self._open_log()
        assert settings.seed is not None, "make_farm draws one"
        self._open_instances(ports, Seeds(settings.seed))
        self.fault_controller.arm_all(self.config.fault)
        self.scenario_runner = ScenarioRunner(
            self.time,
            self.log,
            self.fault_controller,
            self.backends,
            self.equipment_cache,
            self.config.scenario,
            self.clock_control,
            self.analysis.drain,
        )
        self.scenario_runner.setServiceParent(self)

    def _open_log(self) -> None:
        # All of them read the log from its first event on.
        self.analysis = LiveAnalysis(self.log, self._now_ms, self._epochs)
        self.counts = MetricCounts.of(self.config)
        if self.config.farm.control:
            kinds = [kind for kind in self.counts.handlers if isinstance(kind, type)]
            self.log.listen(self.counts.on_event, kinds=kinds)
        if self.config.farm.log:
            self._log_file = LogFile.open(Path(self.config.farm.log), self.log, self.reactor)
        described = _described(self.config)
        self.log.publish(Configured(at_ms=0, config=described, version=__version__, unix_ms=self.unix_ms))

    def _open_instances(self, ports: Sequence[BoundPort], seeds: Seeds) -> None:
        names = tuple(instance.name for instance in self.config.instance)
        self.registry = FaultRegistry(names, seeds.of("faults"), self.log.publish)
        self.fault_controller = FaultController(self.time, self.registry, self.log, self.backends)
        context = FarmContext(
            reactor=self.reactor,
            time=self.time,
            unix_ms=self.unix_ms,
            log=self.log,
            seeds=seeds,
            equipment_cache=self.equipment_cache,
            host=self.config.farm.host,
            url_host=self.config.farm.url_host,
            data_dir=self.data_dir,
            temporary=self._temporary,
            bind=self.bind,
            registry=self.registry,
            fire_process=self.fault_controller.fire,
            on_traffic=self.clock_control.on_traffic if self.time.is_virtual else self.lag.on_traffic,
            fault_headers=self.config.farm.fault_headers,
            job_names=JobNames(self.config.farm.job_name),
            keeps_content=self.config.farm.journal_bodies,
        )
        for config, port in zip(self.config.instance, ports, strict=True):
            backend = Backend.of(config, context, port, self.renderers[config.input])
            backend.setServiceParent(self)
            self.backends[config.name] = backend
        if self._temporary is not None and self._kept():
            self._temporary.keep()

    async def stopService(self) -> None:
        """Stop the instances and remove the temporary files."""
        self.clock_control.stop()
        self.fault_controller.stop()
        self.lag.stop()
        if self.registry.never_fired:
            _logger.info("faults that never fired: {ids}", ids=", ".join(self.registry.never_fired))
        await self.snapshots.stop()
        await super().stopService()
        try:
            self.log.publish(LogEnded(at_ms=self.log.events[-1].at_ms))
        finally:
            self.close()

    def flush_log(self) -> None:
        """Make sure that the log file, if there is one, has every event even if the process is killed."""
        if self._log_file is not None:
            self._log_file.flush()

    def close(self) -> None:
        """Close the log file, and remove the temporary folder unless an instance keeps its outputs there."""
        if self._log_file is not None:
            self._log_file.close()
        if self._temporary is not None:
            kept = self._kept()
            if kept:
                _logger.info("the files of {names} stay in {path}", names=", ".join(kept), path=self._temporary.path)
            self._temporary.close(keep=bool(kept))

    def _kept(self) -> list[str]:
        """Return the names of the instances whose files in the temporary folder stay."""
        configs = [backend.config for backend in self.backends.values()]
        return [config.name for config in configs if config.keep_outputs and config.output_dir is None]
    def catch_up(self) -> None:
        """Run everything that is due, on all instances; on a real clock, what a turn of the reactor has time for."""
        has_time = self.time.turn()
        for backend in self.backends.values():
            if not has_time():
                break       # the alarms of the others ring in the next turn
            backend.driver.catch_up()
            backend.driver.set_alarm()

    def _now_ms(self) -> int:
        if self.running:
            self.catch_up()
            self.lag.publish()
        return self.time.now_ms()

    def _epochs(self) -> dict[str, int]:
        return {name: backend.epoch for name, backend in self.backends.items()}

    def _has_backlog(self) -> bool:
        return any(backend.process.parts.hub.has_backlog for backend in self.backends.values())


def _described(config: FarmConfig) -> dict[str, Any]:
    """Return the configuration for the log: without ports and paths, so that equal runs give equal logs."""
    described: dict[str, Any] = msgspec.to_builtins(config, enc_hook=str)
    # Faults and scenarios have events of their own.
    del described["tables"], described["profiles"], described["fault"], described["scenario"]
    for key in ("host", "advertise_host", "control", "control_port", "control_token", "data_dir", "log"):
        described["farm"].pop(key, None)
    for instance in described["instance"]:
        for key in ("port", "input", "output_dir", "object_info", "captured"):
            instance.pop(key, None)
    return described
