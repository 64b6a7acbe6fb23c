"""The dependencies that all instances of a farm share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comfyfarm.config.equipment import EquipmentCache
from comfyfarm.events.log import Log
from comfyfarm.faults.fault import Firing
from comfyfarm.faults.registry import FaultRegistry
from comfyfarm.seeds import Seeds
from comfyfarm.server.files.temporary import TemporaryFolder
from comfyfarm.server.ports import Bind
from comfyfarm.server.time.clock import SimulatedTime
from comfyfarm.sim.prompt.job_names import JobNames


@dataclass(frozen=True)
class FarmContext:
    """The dependencies that all instances of a farm share.

    :ivar reactor: sockets and keep-alive timeouts use its time.
    :ivar unix_ms: the wall-clock time of simulated time 0.
    :ivar temporary: what ``data_dir`` is if it is removed when the farm ends; ``None`` if it is a folder of the user.
    :ivar url_host: the host in the URLs of the instances.
    :ivar bind: binds a port.
    :ivar fire_process: called with each firing that affects an instance's process.
    :ivar on_traffic: called whenever a client sends bytes.
    :ivar fault_headers: whether a request may bring a fault of its own in a header.
    :ivar keeps_content: whether headers and body of each request are kept in the event log.
    """

    reactor: Any
    time: SimulatedTime
    unix_ms: int
    log: Log
    seeds: Seeds
    equipment_cache: EquipmentCache
    host: str
    url_host: str
    data_dir: Path
    temporary: TemporaryFolder | None
    bind: Bind
    registry: FaultRegistry
    fire_process: Callable[[Firing], None]
    on_traffic: Callable[[], None]
    fault_headers: bool
    job_names: JobNames
    keeps_content: bool
