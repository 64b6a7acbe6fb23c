"""The options of the commands that start a farm: ``comfyfarm run`` and ``twistd comfyfarm``.

Each can also be given as an environment variable: ``--control-port`` as ``COMFYFARM_CONTROL_PORT``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.reading import load, read
from comfyfarm.config.values import FarmConfig, Overrides

PREFIX = "COMFYFARM_"
"""The beginning of the name of every environment variable."""


class FarmOption(NamedTuple):
    """One option.

    :ivar kind: ``bool`` for a flag.
    """

    name: str
    kind: type[str | int | float]
    metavar: str
    about: str
    short: str | None = None

    @property
    def key(self) -> str:
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return PREFIX + self.key.upper()


FARM_OPTIONS = (
    FarmOption(
        "config", str, "FILE", "The TOML file that describes the farm; without it no file is read.", short="c"
    ),
    FarmOption("instances", int, "N", "The number of instances of a farm without a file; 1 by default."),
    FarmOption("disable-static-return", bool, "", "Make every instance dynamic, whatever the file says."),
    FarmOption("host", str, "HOST", "The address that every port is bound to; 127.0.0.1 by default."),
    FarmOption("advertise-host", str, "HOST", "The host in the URLs of the ready file and of the output."),
    FarmOption("port", int, "N", "The first instance's port; the others count up. 0: any free ones."),
    FarmOption("control-port", int, "N", "The control server's port; 0 for any free port."),
    FarmOption("control-token", str, "TOKEN", "What clients of the control server have to send."),
    FarmOption("seed", int, "N", "Decides everything that is left to chance."),
    FarmOption("speed", float, "X", "How many simulated seconds pass in a real one."),
    FarmOption("data-dir", str, "DIR", "Where each instance's input/, output/ and temp/ live."),
    FarmOption("log", str, "FILE", "A file that gets every event as a line of JSON."),
    FarmOption("ready-file", str, "FILE", "A JSON file that is there while every port listens."),
    FarmOption("exit-with-parent", bool, "", "Stop the farm when the process that started it has ended."),
)


def read_farm(values: Mapping[str, Any]) -> FarmConfig:
    """Read the farm that the options describe.

    :param values: by :attr:`FarmOption.key`; ``None``: the option was not given.
    :raises ConfigError: if the file or an option is wrong.
    """
    overrides = Overrides(**{key: values[key] for key in Overrides.__struct_fields__})
    count = values["instances"]
    if values["config"] is None:
        tables = {} if count is None else {"instance": [{"name": "comfyui-{n}", "count": count}]}
        return read(tables, Path(), overrides)
    if count is not None:
        raise ConfigError("--instances: belongs to a farm without a file")
    return load(Path(values["config"]), overrides)
