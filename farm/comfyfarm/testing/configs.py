"""A farm's description, from wherever a test has it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.internet.testing import MemoryReactorClock

from comfyfarm.config import FarmConfig, Overrides, load
from comfyfarm.config.sources import ConfigSource, config_file
from comfyfarm.server.farm import make_farm
from comfyfarm.server.time.clock import EPOCH_UNIX_MS
from comfyfarm.testing.memory_farm import memory_ports


def as_config(config: ConfigSource | FarmConfig) -> FarmConfig:
    """Read a configuration from wherever a test has it: a path, a dictionary, TOML text.

    :raises ConfigError: where it does not describe a farm.
    """
    if isinstance(config, FarmConfig):
        return config
    with TemporaryDirectory() as folder:
        return load(config_file(config, Path(folder)), Overrides(control_port=0))


def check_config(config: FarmConfig) -> None:
    """Look whether a farm could be made of a configuration; none is started.

    :raises ConfigError: where a picture or a captured file cannot be read, or a name means nothing.
    """
    reactor = MemoryReactorClock()
    make_farm(config, reactor=reactor, clock=reactor, bind=memory_ports(reactor), unix_ms=EPOCH_UNIX_MS)
