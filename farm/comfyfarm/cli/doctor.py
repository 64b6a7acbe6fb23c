"""``comfyfarm doctor``: find what keeps a farm from running on this machine."""

import os
import platform
import socket
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from comfyfarm import __version__
from comfyfarm.cli.common import NO, OK, console, json_option, path_option, print_bytes
from comfyfarm.config import ConfigError, FarmConfig, load

_PACKAGES = ("twisted", "klein", "treq", "msgspec", "Pillow", "multipart", "rich", "click", "regex", "simpleeval")
_OPTIONAL = {
    "pytest": "the fixtures: pip install 'comfyfarm[pytest]'",
    "pytest-twisted": "farms in the test's own reactor: pip install 'comfyfarm[twisted]'",
    "comfyui-frontend-package": "ComfyUI's page: pip install 'comfyfarm[frontend]'",
}


class Check(NamedTuple):
    """One thing that was looked at.

    :ivar state: ``problem``: a farm cannot run; ``note``: something works less well, or not at all.
    """

    state: str
    what: str
    says: str


@click.command(
    epilog="The exit status is 0 if a farm can run, 1 if there is a problem.  A port that is taken may be that of a "
    "farm that runs."
)
@path_option("-c", "--config", metavar="FILE", help="Look at the ports of this farm; default: of one without a file.")
@json_option
def doctor(config: Path | None, *, as_json: bool) -> int:
    """Find what keeps a farm from running on this machine."""
    from rich.table import Table
    from rich.text import Text

    checks = [*_versions(), *_optional(), *_pillow(), *_plugin(), *_ports(config)]
    if as_json:
        print_bytes(msgspec.json.format(msgspec.json.encode([check._asdict() for check in checks]), indent=1) + b"\n")
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for check in checks:
            style = {"ok": "green", "problem": "red"}.get(check.state, "yellow")
            table.add_row(Text(check.state, style=style), Text(check.what), Text(check.says))
        console().print(table)
    return NO if any(check.state == "problem" for check in checks) else OK


def _versions() -> Iterator[Check]:
    yield Check("ok", "comfyfarm", __version__)
    yield Check("ok", "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in _PACKAGES:
        version = _version(package)
        yield Check("problem" if version is None else "ok", package, version or f"is missing: pip install {package}")
    try:
        import_module("comfyfarm.server.files.uploads")
    except ImportError as error:    # another package may hide multipart
        yield Check("problem", "multipart", str(error))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _optional() -> Iterator[Check]:
    for package, use in _OPTIONAL.items():
        version = _version(package)
        yield Check("note" if version is None else "ok", package, version or f"is not installed; for {use}")


def _pillow() -> Iterator[Check]:
    """Look whether Pillow writes and reads the formats that a farm uses."""
    from PIL import features

    for name, form in (("jpg", "JPEG"), ("zlib", "PNG")):
        is_there = features.check(name)
        yield Check("ok" if is_there else "problem", f"Pillow, {form}", "works" if is_there else "is missing")
    for name, form in (("webp", "WebP"), ("avif", "AVIF")):
        is_there = name in features.get_supported()     # an older Pillow warns of a format that it does not know
        says = "works" if is_there else "is missing: pictures in it are not read"
        yield Check("ok" if is_there else "note", f"Pillow, {form}", says)


def _plugin() -> Iterator[Check]:
    """Look whether twistd knows comfyfarm, and can keep its cache of plugins."""
    from twisted.application.service import IServiceMaker
    from twisted.plugin import getPlugins

    from twisted import plugins

    known = any(maker.tapname == "comfyfarm" for maker in getPlugins(IServiceMaker))
    says = "twistd comfyfarm is known" if known else "twistd does not know comfyfarm; comfyfarm run works without it"
    yield Check("ok" if known else "note", "twistd", says)
    for folder in plugins.__path__:
        if Path(folder).is_dir():
            may_write = os.access(folder, os.W_OK)
            says = "can be written" if may_write else "cannot be written: each start of twistd looks for plugins again"
            yield Check("ok" if may_write else "note", f"plugin cache {folder}/dropin.cache", says)


def _ports(path: Path | None) -> Iterator[Check]:
    """Look whether the ports of a farm are free."""
    try:
        config = FarmConfig() if path is None else load(path)
    except ConfigError as error:
        yield Check("problem", "configuration", str(error))
        return
    ports = {"control": config.farm.control_port, **{instance.name: instance.port for instance in config.instance}}
    for name, port in ports.items():
        if port:
            taken = _why_taken(config.farm.host, port)
            yield Check("problem" if taken else "ok", f"port {port} ({name})", taken or "is free")


def _why_taken(host: str, port: int) -> str:
    """Return why a port cannot be had; empty if it can."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    return ""
