"""``config.toml`` as frozen values: what a farm is, before it is alive."""

from __future__ import annotations

from comfyfarm.config.checks import check_faults
from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.reading import load, read
from comfyfarm.config.values import FarmConfig, FarmSettings, InstanceConfig, Overrides

__all__ = ["ConfigError", "FarmConfig", "FarmSettings", "InstanceConfig", "Overrides", "check_faults", "load", "read"]
