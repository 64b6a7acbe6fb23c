"""``comfyfarm run``: start a farm, print where everything is, and what happens."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from comfyfarm.cli.common import NO, OK, Trouble, print_bytes
from comfyfarm.config.decoding import ConfigError
from comfyfarm.config.options import FARM_OPTIONS, FarmOption, read_farm

F = TypeVar("F", bound=Callable[..., Any])

_FLAGS = {"disable-static-return": ("--dynamic", "--disable-static-return")}


def _option(option: FarmOption) -> Callable[[F], F]:
    flags = _FLAGS.get(option.name, (f"--{option.name}",))
    short = () if option.short is None else (f"-{option.short}",)
    settings = {"is_flag": True} if option.kind is bool else {"type": option.kind, "metavar": option.metavar}
    return click.option(
        *short, *flags, option.key, envvar=option.variable, show_envvar=True, help=option.about, **settings
    )


def _flag(*names: str, variable: str, about: str) -> Callable[[F], F]:
    return click.option(*names, is_flag=True, envvar=variable, show_envvar=True, help=about)


def farm_options(command: F) -> F:
    """Add the options that describe a farm."""
    for option in reversed(FARM_OPTIONS):
        command = _option(option)(command)
    return command


@click.command(
    epilog="It runs until Ctrl-C or SIGTERM, and stops within a second, with exit status 0.  The status is 1 if it "
    "failed while it ran, 2 if it could not start."
)
@farm_options
@_flag("-v", "--verbose", "verbose", variable="COMFYFARM_VERBOSE", about="Print a line for each request and each job.")
@_flag("--json", "as_json", variable="COMFYFARM_JSON", about="Print the events of the log as lines of JSON instead.")
def run(*, verbose: bool, as_json: bool, **options: Any) -> int:
    """Start a farm of mock ComfyUI servers.

    Without options it is one static instance on port 8188.
    """
    from comfyfarm.cli.activity import Activity
    from comfyfarm.control.app import CannotStart
    from comfyfarm.control.launch import NotInstalled, make_app
    from comfyfarm.events.encoding import as_json as encoded

    try:
        config = read_farm(options)
        app = make_app(config, ready_file=options["ready_file"], exit_with_parent=options["exit_with_parent"])
        if as_json:
            app.farm.log.listen(lambda event: print_bytes(encoded(event) + b"\n"))
        elif verbose:
            app.farm.log.listen(Activity(click.echo).on_event)
        _log_warnings()
        app.startService()
    except ConfigError as error:
        where = f"{options['config']}: " if options["config"] and options["config"] not in str(error) else ""
        raise Trouble(f"{where}{error}") from error
    except (CannotStart, NotInstalled) as error:
        raise Trouble(str(error)) from error
    if not as_json:
        for name, instance in app.described()["instances"].items():
            click.echo(f"{name}: {instance['url']} ({instance['mode']})")
        if app.control_address is not None:
            click.echo(f"control: {app.control_address}")
    return _serve(app)


def _log_warnings() -> None:
    """Print the log's warnings and errors to the standard error."""
    import sys

    from twisted.logger import (
        FilteringLogObserver,
        LogLevel,
        LogLevelFilterPredicate,
        globalLogBeginner,
        textFileLogObserver,
    )

    predicate = LogLevelFilterPredicate(LogLevel.warn)
    observer = FilteringLogObserver(textFileLogObserver(sys.stderr), [predicate])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)


def _serve(app: Any) -> int:
    """Run the reactor until a signal or a failure, and stop the farm."""
    from twisted.internet import reactor
    from twisted.internet.defer import maybeDeferred

    running: Any = reactor
    failures: list[Any] = []
    running.addSystemEventTrigger(
        "before", "shutdown", lambda: maybeDeferred(app.stopService).addErrback(failures.append)
    )
    running.run()
    return NO if failures else OK
