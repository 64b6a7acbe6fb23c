"""Options, the console, and the error that ends a command with one line: parts that several commands share."""

import math
import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar
from urllib.error import URLError
from urllib.parse import quote, urlsplit

import click
import msgspec

from comfyfarm.clients.comfy_sync import HttpStatusError
from comfyfarm.config.values import FarmSettings

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])

OK, NO, TROUBLE, UNKNOWN = 0, 1, 2, 3
"""The exit statuses: done or yes; no; a mistake in the command line, or nothing could be done; a verdict's unknown."""

INTERRUPTED = 130
"""The exit status after Ctrl-C or SIGTERM."""

_PIPED_WIDTH = 250
CONTROL_PORT = FarmSettings().control_port


class Trouble(click.ClickException):
    """Ends a command with one line and status 2."""

    exit_code = TROUBLE


def console(*, stderr: bool = False) -> "Console":
    """Return a console that prints texts as they are, wide if it is no terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPED_WIDTH
    made = Console(stderr=stderr, markup=False, highlight=False)
    if width is not None and made.width == 80:     # COLUMNS is not set
        made.width = width
    return made


def opened(path: str) -> AbstractContextManager[BinaryIO]:
    """Open a file for reading; ``-`` is the standard input."""
    if path == "-":
        return nullcontext(sys.stdin.buffer)
    return open(path, "rb")  # noqa: PTH123 (Path turns an empty path into ".")


def as_url(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
    """Check a server's base URL, or several; the scheme may be left out.  A callback of options and arguments.

    :raises click.BadParameter: if it is none.
    """
    if isinstance(value, tuple):
        return tuple(as_url(_context, _parameter, word) for word in value)
    if value is None:
        return None
    url = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise click.BadParameter(f"expected something like http://127.0.0.1:8188, got {value!r}")
    return url.rstrip("/")


def _control_port() -> str:
    told = os.environ.get("COMFYFARM_CONTROL_PORT", "0")     # 0 stands for any free one
    return told if told.strip("0") else str(CONTROL_PORT)


def _with_token(context: click.Context, _parameter: click.Parameter, token: str | None) -> None:
    """Put the token into the URL of the control server, where its clients take it from."""
    if token:
        context.params["control"] = f"{context.params['control'].partition('?')[0]}?token={quote(token)}"


def control_option(command: F) -> F:
    """Add ``--control``, the URL of the farm's control server, which gets the token of ``--control-token``."""
    command = click.option(
        "--control-token",
        metavar="TOKEN",
        callback=_with_token,
        expose_value=False,
        envvar="COMFYFARM_CONTROL_TOKEN",
        show_envvar=True,
        help="The token of that server; it may also stand in its URL.",
    )(command)
    return click.option(
        "--control",
        metavar="URL",
        callback=as_url,
        default=lambda: f"http://127.0.0.1:{_control_port()}",
        envvar="COMFYFARM_CONTROL",
        show_default=f"http://127.0.0.1:{CONTROL_PORT}",
        show_envvar=True,
        help="The farm's control server.",
        is_eager=True,      # before the token
    )(command)


def _as_headers(_context: click.Context, _option: click.Parameter, words: tuple[str, ...]) -> dict[str, str]:
    headers = {}
    for word in words:
        name, colon, value = word.partition(":")
        if not colon or not name.strip():
            raise click.BadParameter(f"expected something like 'Authorization: Bearer ...', got {word!r}")
        headers[name.strip()] = value.strip()
    return headers


def header_option(command: F) -> F:
    """Add ``--header``, which can be given several times; the command gets a dictionary."""
    return click.option(
        "--header",
        "headers",
        metavar="'NAME: VALUE'",
        multiple=True,
        callback=_as_headers,
        help="Send this header with each request: 'Authorization: Bearer ...'.",
    )(command)


def json_option(command: F) -> F:
    """Add the flag ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead, for scripts.")(command)


def log_argument(command: F) -> F:
    """Add the argument for a saved log."""
    return click.argument("log", metavar="FILE")(command)


def trial_option(command: F) -> F:
    """Add ``--trial``."""
    return click.option("--trial", metavar="NAME", help="The trial that it is about; default: the last one.")(command)


def print_bytes(content: bytes) -> None:
    """Print bytes as they are."""
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """End the command with one line if the server at a URL does not answer, or refuses.

    :raises Trouble: if so.
    """
    try:
        yield
    except HttpStatusError as error:
        says = error.body.get("error", error.body) if isinstance(error.body, dict) else error.body
        raise Trouble(str(says)) from error
    except (OSError, HTTPException, ValueError) as error:
        raise Trouble(f"{url.partition('?')[0]}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """Return what is wrong, in a line."""
    if isinstance(error, URLError):
        error = error.reason if isinstance(error.reason, BaseException) else OSError(0, str(error.reason))
    if isinstance(error, msgspec.MsgspecError):
        return "answers, but not as a farm does"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def every(pause_s: float, limit_s: float = math.inf) -> Iterator[None]:
    """Yield at once, and again after each pause until the time is up."""
    deadline = time.monotonic() + limit_s
    yield
    while time.monotonic() < deadline:
        time.sleep(pause_s)
        yield


def path_option(*names: str, **settings: Any) -> Callable[[F], F]:
    """Return an option that takes a path."""
    return click.option(*names, type=click.Path(path_type=Path), **settings)


def in_reactor(begin: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Run the reactor until the coroutine ends, and raise what it raises. It can be called once per process.

    :param begin: is called with the reactor.
    :raises KeyboardInterrupt: if the reactor was stopped before.
    """
    from twisted.internet.defer import Deferred
    from twisted.internet.task import react
    from twisted.python.failure import Failure

    ended: list[Failure | None] = []
    ended_first: list[bool] = []

    def main(reactor: Any) -> Deferred[None]:
        # The end of the reactor closes connections, which may end the coroutine, too.
        reactor.addSystemEventTrigger("before", "shutdown", lambda: ended_first.append(bool(ended)))
        return Deferred.fromCoroutine(begin(reactor)).addBoth(ended.append)

    with suppress(SystemExit):
        react(main)
    if not all(ended_first):
        raise KeyboardInterrupt
    if ended[0] is not None:
        ended[0].raiseException()
