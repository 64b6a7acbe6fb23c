"""``config.toml`` as frozen values: what a farm is, before it is alive."""

from farm.decoding import ConfigError

from .checks import check_faults
from .reading import load, read
from .values import FarmConfig, FarmSettings, InstanceConfig, Overrides

__all__ = ["ConfigError", "FarmConfig", "FarmSettings", "InstanceConfig", "Overrides", "check_faults", "load", "read"]
