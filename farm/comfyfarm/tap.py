"""The ``twistd comfyfarm`` command: its options and its service."""

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.python import usage

from comfyfarm import __version__, config


def _number(kind: type[int | float]) -> Callable[[str], Any]:
    """Return a function that converts a word of the command line to a number.

    It raises a ValueError with a readable text, which twistd prints.
    """

    def convert(word: str) -> Any:
        try:
            return kind(word)
        except ValueError:
            raise ValueError(f"expected a number, got {word!r}") from None

    return convert


class Options(usage.Options):
    """The options of ``twistd comfyfarm``.

    :ivar farm: the configuration that results from them.
    """

    synopsis = "[--config=config.toml] [options]"
    longdesc = "Hosts mock ComfyUI servers.  Without --config: one static instance on port 8188."
    optParameters = (
        ("config", "c", None, "The TOML file that describes the farm; without it no file is read."),
        ("port", None, None, "The first instance's port; the others count up. 0: any free ones.", _number(int)),
        ("control-port", None, None, "The control server's port; 0 for any free port.", _number(int)),
        ("seed", None, None, "Decides everything that is left to chance.", _number(int)),
        ("speed", None, None, "How many simulated seconds pass in a real one.", _number(float)),
        ("ready-file", None, None, "A JSON file to put there once every port listens."),
        ("data-dir", None, None, "Where each instance's input/, output/ and temp/ live."),
    )
    optFlags = (("disable-static-return", None, "Make every instance dynamic, whatever the file says."),)
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
        overrides = config.Overrides(
            port=self["port"],
            control_port=self["control-port"],
            seed=self["seed"],
            speed=self["speed"],
            data_dir=self["data-dir"],
            disable_static_return=bool(self["disable-static-return"]),
        )
        try:
            if self["config"] is None:
                self.farm = config.read({}, Path(), overrides)
            else:
                self.farm = config.load(Path(self["config"]), overrides)
        except config.ConfigError as error:
            raise SystemExit(str(error)) from None


def makeService(options: Options) -> IService:
    """Make the service of a farm; if it cannot start, twistd ends with one line and status 1."""
    import time

    from twisted.internet import reactor

    from comfyfarm.server.time.monotonic import use_monotonic_clock

    use_monotonic_clock(reactor)
    try:
        from comfyfarm.control.app import FarmApp
        from comfyfarm.server.farm import make_farm
        from comfyfarm.server.polling import poll_without_log_context
        from comfyfarm.server.ports import TcpPort
    except ImportError as error:
        if error.name != "multipart":
            raise
        raise SystemExit(str(error)) from None

    poll_without_log_context(reactor)
    bind, unix_ms = TcpPort.binder(reactor), int(time.time() * 1000)
    ready_file = Path(options["ready-file"]) if options["ready-file"] else None
    try:
        farm = make_farm(options.farm, reactor=reactor, clock=reactor, bind=bind, unix_ms=unix_ms, wall_s=time.time)
    except config.ConfigError as error:
        place = f"{options['config']}: " if options["config"] else ""
        raise SystemExit(f"{place}{error}") from None
    # Events, jobs and history live long, and nearly all else ends without the garbage collector, which took a fifth of
    # the time of each submission.
    gc.set_threshold(10_000, 10, 10)
    process = _Process()
    FarmApp(farm, ready_file).setServiceParent(process)
    return process


class _Process(MultiService):
    """The parent of the farm: ends the process if the farm cannot start."""

    def startService(self) -> None:
        from comfyfarm.control.app import CannotStart

        try:
            super().startService()
            gc.freeze()     # what lives until the end: to look at all of it would hold the reactor for 50 ms and more
        except CannotStart as error:    # as SystemExit it prints one line instead of a traceback
            raise SystemExit(str(error)) from None
