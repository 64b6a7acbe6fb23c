"""What all instances of a farm share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IReactorTime

from comfyfarm.config.equipment import EquipmentCache
from comfyfarm.events.log import Log
from comfyfarm.faults.fault import Firing
from comfyfarm.faults.registry import FaultRegistry
from comfyfarm.seeds import Seeds
from comfyfarm.server.ports import Bind
from comfyfarm.server.time.clock import SimulatedTime


@dataclass(frozen=True)
class FarmContext:
    """What all instances of a farm share.

    :ivar reactor: sockets and keep-alive live in its time.
    :ivar clock: what simulated time is read from, and alarms are set on.
    :ivar unix_ms: what a client's clock says at the simulated moment 0.
    :ivar bind: how ports are taken.
    :ivar registry: what goes wrong on purpose.
    :ivar fire_process: called where a fault is for an instance's process.
    :ivar on_traffic: called whenever a client says something.
    :ivar fault_headers: whether a client may bring a fault for its one request.
    """

    reactor: Any
    clock: IReactorTime
    time: SimulatedTime
    unix_ms: int
    log: Log
    seeds: Seeds
    equipment_cache: EquipmentCache
    host: str
    data_dir: Path
    bind: Bind
    registry: FaultRegistry
    fire_process: Callable[[Firing], None]
    on_traffic: Callable[[], None]
    fault_headers: bool
