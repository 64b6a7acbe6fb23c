"""A farm and its control server, as one service: binds the ports, starts both, writes the ready file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from comfyfarm.config import FarmConfig
from comfyfarm.control.server import ControlServer
from comfyfarm.server.backend import Backend
from comfyfarm.server.farm import Farm, make_farm
from comfyfarm.server.ports import Bind, BoundPort, PortTaken


class CannotStart(Exception):
    """A port or a file is not to be had; the message says which and why, in one line."""


def make_app(
    config: FarmConfig,
    *,
    reactor: Any,
    clock: IReactorTime,
    bind: Bind,
    unix_ms: int,
    ready_file: Path | None = None,
) -> FarmApp:
    """Build a farm with its control server; nothing is bound and nothing is written before it is started.

    :param ready_file: where to write, as JSON, what listens where once everything does; None: nowhere.
    :raises ConfigError: as :func:`~comfyfarm.server.farm.make_farm` does; it describes the other arguments, too.
    """
    return FarmApp(make_farm(config, reactor=reactor, clock=clock, bind=bind, unix_ms=unix_ms), ready_file)


@dataclass(eq=False)
class FarmApp(MultiService):
    """A farm and its control server."""

    farm: Farm
    ready_file: Path | None = None
    server: ControlServer = field(init=False)
    logger = Logger()

    def __post_init__(self) -> None:
        """Set up the service, which holds nothing yet."""
        super().__init__()

    def startService(self) -> None:
        """Take every port, then make the folders, then serve.

        :raises CannotStart: if a port is taken or a file cannot be written; nothing is left behind.
        """
        ports = self._bind_all()
        try:
            self.farm.open(ports[1:])
            self.server = ControlServer(self.farm, ports[0])
            self.farm.setServiceParent(self)
            self.server.setServiceParent(self)
            super().startService()
            self._announce()
        except OSError as error:
            self._abandon(ports)
            raise CannotStart(f"{error.filename or 'comfyfarm'}: {error.strerror or error}") from error

    def _bind_all(self) -> list[BoundPort]:
        """Bind the control server's port, then the instances'."""
        config = self.farm.config
        wanted = [("control", config.farm.control_port), *((one.name, one.port) for one in config.instance)]
        ports: list[BoundPort] = []
        for name, number in wanted:
            try:
                ports.append(self.farm.bind(config.farm.host, number))
            except PortTaken as taken:
                self._abandon(ports)
                raise CannotStart(f"{name}: port {number} cannot be had: {taken.reason}") from taken
        return ports

    def _abandon(self, ports: list[BoundPort]) -> None:
        for port in ports:
            port.close()
        self.farm.remove_temporary()

    def described(self) -> dict[str, Any]:
        """What listens where: the content of the ready file."""
        instances = {name: dict(_described(backend)) for name, backend in self.farm.backends.items()}
        return {"control": self.server.url, "instances": instances}

    def _announce(self) -> None:
        for name, backend in self.farm.backends.items():
            self.logger.info("{name}: {url} ({mode})", name=name, url=backend.url, mode=backend.config.mode)
        self.logger.info("control: {url}", url=self.server.url)
        if self.ready_file is not None:
            _write_atomically(self.ready_file, json.dumps(self.described(), indent=1))


def _described(backend: Backend) -> Iterator[tuple[str, str]]:
    yield "url", backend.url
    yield "mode", backend.config.mode
    yield "input_dir", str(backend.disk.input_dir)
    yield "output_dir", str(backend.disk.output_dir)


def _write_atomically(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error     # nobody asked for the draft
