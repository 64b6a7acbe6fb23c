"""The ``twistd comfyfarm`` command: its options and its service."""

import os
import sys
from collections.abc import Callable
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.python import usage

from comfyfarm import __version__, config
from comfyfarm.config.options import FARM_OPTIONS, FarmOption, read_farm
from comfyfarm.control.launch import NotInstalled, make_app


def _convert(option: FarmOption, name: str) -> Callable[[str], Any]:
    """Return a function that converts a word of the command line or of the environment to an option's value.

    It raises a ValueError with a readable text, which twistd prints.

    :param name: begins that text.
    """

    def convert(word: str) -> Any:
        try:
            return word.lower() in {"1", "true", "yes", "on"} if option.kind is bool else option.kind(word)
        except ValueError:
            raise ValueError(f"{name}expected a number, got {word!r}") from None

    return convert


class Options(usage.Options):
    """The options of ``twistd comfyfarm``.

    :ivar farm: the configuration that results from them.
    """

    synopsis = "[--config=config.toml] [options]"
    longdesc = (
        "Hosts mock ComfyUI servers.  Without --config: one static instance on port 8188.  Each option can also be "
        "given as an environment variable: --control-port as COMFYFARM_CONTROL_PORT."
    )
    optParameters = tuple(
        (option.name, option.short, None, option.about, _convert(option, ""))
        for option in FARM_OPTIONS
        if option.kind is not bool
    )
    optFlags = tuple((option.name, None, option.about) for option in FARM_OPTIONS if option.kind is bool)
    farm: config.FarmConfig

    def opt_version(self) -> None:
        """Display comfyfarm's version and exit."""
        sys.stdout.write(f"comfyfarm {__version__}\n")
        raise SystemExit(0)

    def parseArgs(self, *words: str) -> None:
        if words:
            raise usage.UsageError(f"unexpected: {' '.join(words)} (a file is given with --config)")

    def postOptions(self) -> None:
        """Read the configuration; if it is wrong, end the process with one line and status 1."""
        for option in FARM_OPTIONS:
            word, value = os.environ.get(option.variable), self[option.name]
            if word and (not value if option.kind is bool else value is None):
                try:
                    self[option.name] = _convert(option, f"{option.variable}: ")(word)
                except ValueError as error:
                    raise usage.UsageError(str(error)) from None
        try:
            self.farm = read_farm({option.key: self[option.name] for option in FARM_OPTIONS})
        except config.ConfigError as error:
            raise SystemExit(str(error)) from None


def makeService(options: Options) -> IService:
    """Make the service of a farm; if it cannot start, twistd ends with one line and status 1."""
    try:
        app = make_app(
            options.farm,
            ready_file=options["ready-file"],
            exit_with_parent=bool(options["exit-with-parent"]),
        )
    except config.ConfigError as error:
        place = f"{options['config']}: " if options["config"] else ""
        raise SystemExit(f"{place}{error}") from None
    except NotInstalled as error:
        raise SystemExit(str(error)) from None
    process = _Process()
    app.setServiceParent(process)
    return process


class _Process(MultiService):
    """The parent of the farm: ends the process if the farm cannot start."""

    def startService(self) -> None:
        from comfyfarm.control.app import CannotStart

        try:
            super().startService()
        except CannotStart as error:    # as SystemExit it prints one line instead of a traceback
            raise SystemExit(str(error)) from None
