"""Checks that the parts of a configuration fit together."""

import re
from math import inf

from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.values import FarmConfig
from comfyfarm.faults.registry import FaultRegistry, UnknownFault
from comfyfarm.seeds import Seeds

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_MAX_PORT = 65535


def check(config: FarmConfig) -> None:
    """Check clock, ports, names and faults.

    :raises ConfigError: naming the place.
    """
    if not 0 < config.farm.speed < inf:
        raise ConfigError(f"farm.speed: expected a number above 0, got {config.farm.speed}")
    if config.farm.clock == "virtual" and config.farm.speed != 1:
        raise ConfigError("farm.speed: a virtual clock has none; it stands until it is moved")
    ports = {config.farm.control_port: "farm.control_port"} if config.farm.control_port else {}
    names: set[str] = set()
    _check_port(config.farm.control_port, "farm.control_port")
    for index, instance in enumerate(config.instance):
        where = config.place(index)
        if not _NAME.fullmatch(instance.name) or instance.name in (".", ".."):
            raise ConfigError(f"{where}.name: expected letters, digits and ._- only, got {instance.name!r}")
        if instance.name in names:
            raise ConfigError(f"{where}.name: {instance.name!r} is there already (with count, put {{n}} into the name)")
        _check_port(instance.port, f"{where}.port")
        if instance.port in ports:
            raise ConfigError(f"{where}.port: {instance.port} is taken by {ports[instance.port]}")
        names.add(instance.name)
        if instance.port:
            ports[instance.port] = f"{where} ({instance.name})"
    check_faults(config)


def check_faults(config: FarmConfig) -> None:
    """Check that all faults can be armed together.

    :raises ConfigError: if a glob matches no instance or an id is taken.
    """
    registry = FaultRegistry(tuple(instance.name for instance in config.instance), Seeds(0), lambda _: None)
    for index, fault in enumerate(config.fault):
        try:
            registry.arm(fault, 0)
        except UnknownFault as error:
            raise ConfigError(f"fault[{index}].{error}") from error


def _check_port(port: int, where: str) -> None:
    if not 0 <= port <= _MAX_PORT:
        raise ConfigError(f"{where}: expected a port from 0 to {_MAX_PORT}, got {port}")
