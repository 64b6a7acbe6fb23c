"""The configuration of a farm: ``config.toml`` and what it refers to, read into frozen values (docs/config.md)."""

from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.reading import check_faults, load, read
from comfyfarm.config.values import FarmConfig, FarmSettings, InstanceConfig, Overrides

__all__ = ["ConfigError", "FarmConfig", "FarmSettings", "InstanceConfig", "Overrides", "check_faults", "load", "read"]
