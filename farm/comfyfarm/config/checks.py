"""Whether the parts of a farm's description fit together."""

from __future__ import annotations

import re
from math import inf

from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.values import FarmConfig
from comfyfarm.faults.registry import FaultRegistry, UnknownFault
from comfyfarm.seeds import Seeds

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_MOST_PORTS = 65535


def check(config: FarmConfig) -> None:
    """Hold the parts against each other.

    :raises ConfigError: naming the place.
    """
    if not 0 < config.farm.speed < inf:
        raise ConfigError(f"farm.speed: expected a number above 0, got {config.farm.speed}")
    if config.farm.clock == "virtual" and config.farm.speed != 1:
        raise ConfigError("farm.speed: a virtual clock has none; it stands until it is moved")
    ports = {config.farm.control_port: "farm.control_port"} if config.farm.control_port else {}
    names: set[str] = set()
    _check_port(config.farm.control_port, "farm.control_port")
    for index, each in enumerate(config.instance):
        where = config.place(index)
        if not _NAME.fullmatch(each.name) or each.name in (".", ".."):
            raise ConfigError(f"{where}.name: expected letters, digits and ._- only, got {each.name!r}")
        if each.name in names:
            raise ConfigError(f"{where}.name: {each.name!r} is there already (with count, put {{n}} into the name)")
        _check_port(each.port, f"{where}.port")
        if each.port in ports:
            raise ConfigError(f"{where}.port: {each.port} is taken by {ports[each.port]}")
        names.add(each.name)
        if each.port:
            ports[each.port] = f"{where} ({each.name})"
    check_faults(config)


def check_faults(config: FarmConfig) -> None:
    """Arm them for a try.

    :raises ConfigError: where one means no instance, or its id is taken.
    """
    registry = FaultRegistry(tuple(each.name for each in config.instance), Seeds(0), lambda _: None)
    for index, fault in enumerate(config.fault):
        try:
            registry.arm(fault, 0)
        except UnknownFault as why:
            raise ConfigError(f"fault[{index}].{why}") from why


def _check_port(port: int, where: str) -> None:
    if not 0 <= port <= _MOST_PORTS:
        raise ConfigError(f"{where}: expected a port from 0 to {_MOST_PORTS}, got {port}")
