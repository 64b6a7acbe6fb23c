"""A configuration comes alive: the farm, as a service of services."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from typing import Any

import msgspec
from twisted.application.service import MultiService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from comfyfarm.config import ConfigError, FarmConfig, InstanceConfig
from comfyfarm.config.equipment import EquipmentCache, check_equipment, check_scenario_changes
from comfyfarm.config.recorded import DEFAULT_PICTURE, default_picture
from comfyfarm.events import Configured
from comfyfarm.events.log import Log
from comfyfarm.faults.registry import FaultRegistry
from comfyfarm.seeds import Seeds
from comfyfarm.server.backend import Backend
from comfyfarm.server.context import FarmContext
from comfyfarm.server.fault_controller import FaultController
from comfyfarm.server.live_analysis import JobCounter, LiveAnalysis
from comfyfarm.server.log_file import LogFile
from comfyfarm.server.media.pictures import ImageRenderer, UnreadablePicture, read_picture
from comfyfarm.server.ports import Bind, BoundPort
from comfyfarm.server.scenario_runner import ScenarioRunner
from comfyfarm.server.time.clock import EPOCH_UNIX_MS, SimulatedTime, VirtualClock
from comfyfarm.server.time.clock_control import ClockControl


def make_farm(config: FarmConfig, *, reactor: Any, clock: IReactorTime, bind: Bind, unix_ms: int) -> Farm:
    """Build a farm; nothing is bound and nothing is written before it is started.

    :param reactor: what sockets live on.
    :param clock: what simulated time is read from, unless the configuration asks for a virtual clock.
    :param bind: how ports are taken.
    :param unix_ms: what a client's clock says at the farm's start; on a virtual clock it is always the same.
    :raises ConfigError: where an input picture or a captured file cannot be read, or a name means nothing.
    """
    if config.farm.seed is None:
        drawn = msgspec.structs.replace(config.farm, seed=SystemRandom().getrandbits(32))
        config = msgspec.structs.replace(config, farm=drawn)
    if config.farm.clock == "virtual":
        clock, unix_ms = VirtualClock(), EPOCH_UNIX_MS
    renderers: dict[str | None, ImageRenderer] = {}    # one for all instances that show the same picture
    for index, each in enumerate(config.instance):
        if each.input not in renderers:
            renderers[each.input] = _renderer(config.place(index), each)
    equipment_cache = EquipmentCache()
    check_equipment(config, equipment_cache)
    check_scenario_changes(config, equipment_cache)
    return Farm(config, reactor, clock, bind, unix_ms, renderers, equipment_cache)


def _renderer(place: str, config: InstanceConfig) -> ImageRenderer:
    try:
        return ImageRenderer(default_picture() if config.input is None else read_picture(Path(config.input)))
    except UnreadablePicture as why:
        raise ConfigError(f"{place}.input: {why}") from why


@dataclass(eq=False)
class Farm(MultiService):
    """All instances, the control server, the log.

    :ivar config: the effective configuration, with its seed.
    :ivar backends: by name, in the order of the configuration; empty before the start.
    :ivar control_url: where the control server listens, for those who ask; empty if there is none.
    """

    config: FarmConfig
    reactor: Any
    clock: IReactorTime
    bind: Bind
    unix_ms: int
    renderers: dict[str | None, ImageRenderer]
    equipment_cache: EquipmentCache
    log: Log = field(default_factory=Log)
    backends: dict[str, Backend] = field(default_factory=dict)
    control_url: str = ""
    logger = Logger()

    def __post_init__(self) -> None:
        """Be a service."""
        super().__init__()

    def open(self, ports: Sequence[BoundPort]) -> None:
        """Make the folders, the log and the instances; nothing listens before the service is started.

        :param ports: one bound port for each instance, in their order.
        :raises OSError: if a folder or the log file cannot be made.
        """
        settings = self.config.farm
        self._temporary = tempfile.mkdtemp(prefix="comfyfarm-") if settings.data_dir is None else None
        self.data_dir = Path(self._temporary or settings.data_dir or "").absolute()
        self.time = SimulatedTime(self.clock, settings.speed)
        self.clock_control = ClockControl(self.reactor, self.clock, self.time, self.log, self.catch_up, self._is_owing)
        self.job_counter = JobCounter.of(self.log)
        self.analysis = LiveAnalysis(self.log, self._now_ms, self._epochs)
        self._log_file = LogFile.open(Path(settings.log), self.log) if settings.log else None
        self.log.publish(Configured(at_ms=0, config=_described(self.config)))
        assert settings.seed is not None, "make_farm draws one"
        names = tuple(each.name for each in self.config.instance)
        self.registry = FaultRegistry(names, Seeds(settings.seed).of("faults"), self.log.publish)
        self.fault_controller = FaultController(self.clock, self.time, self.registry, self.log, self.backends)
        context = FarmContext(
            reactor=self.reactor,
            clock=self.clock,
            time=self.time,
            unix_ms=self.unix_ms,
            log=self.log,
            seeds=Seeds(settings.seed),
            equipment_cache=self.equipment_cache,
            host=settings.host,
            data_dir=self.data_dir,
            bind=self.bind,
            registry=self.registry,
            fire_process=self.fault_controller.fire,
            on_traffic=self.clock_control.on_traffic,
            fault_headers=settings.fault_headers,
        )
        for config, port in zip(self.config.instance, ports, strict=True):
            name = Path(config.input).name if config.input else DEFAULT_PICTURE
            backend = Backend.of(config, context, port, self.renderers[config.input], name)
            backend.setServiceParent(self)
            self.backends[config.name] = backend
        self.fault_controller.arm_all(self.config.fault)
        self.scenario_runner = ScenarioRunner(
            self.clock,
            self.time,
            self.log,
            self.fault_controller,
            self.backends,
            self.equipment_cache,
            self.config.scenario,
        )
        self.scenario_runner.setServiceParent(self)

    async def stopService(self) -> None:
        """Stop everything, and remove what was written."""
        self.clock_control.stop()
        self.fault_controller.stop()
        if self.registry.never_fired:
            self.logger.info("faults that never fired: {ids}", ids=", ".join(self.registry.never_fired))
        await super().stopService()
        try:
            if self._log_file is not None:
                self._log_file.close()
        finally:
            self.remove_temporary()

    def remove_temporary(self) -> None:
        """Remove the temporary folder, unless an instance keeps its outputs there."""
        temporary = getattr(self, "_temporary", None)
        configs = [backend.config for backend in self.backends.values()]
        kept = [each.name for each in configs if each.keep_outputs and each.output_dir is None]
        if temporary is not None and kept:
            self.logger.info("the files of {names} stay in {path}", names=", ".join(kept), path=temporary)
        elif temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)

    def catch_up(self) -> None:
        """Let happen, everywhere, what is due."""
        for backend in self.backends.values():
            backend.driver.catch_up()
            backend.driver.set_alarm()

    def _now_ms(self) -> int:
        if self.running:
            self.catch_up()
        return self.time.now_ms()

    def _epochs(self) -> dict[str, int]:
        return {name: backend.epoch for name, backend in self.backends.items()}

    def _is_owing(self) -> bool:
        return any(backend.hub.is_owing for backend in self.backends.values())


def _described(config: FarmConfig) -> dict[str, Any]:
    """The configuration for the log: without ports and paths, so that equal runs give equal logs."""
    whole: dict[str, Any] = msgspec.to_builtins(config, enc_hook=str)
    del whole["tables"], whole["fault"], whole["scenario"]     # told when they are armed, or when their steps are taken
    for key in ("host", "control_port", "data_dir", "log"):
        whole["farm"].pop(key, None)
    for each in whole["instance"]:
        for key in ("port", "input", "output_dir", "object_info", "captured"):
            each.pop(key, None)
    return whole
