"""A farm and its control server as one service: binds the ports, starts both, writes the ready file."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.logger import Logger

from comfyfarm.control.server import ControlServer
from comfyfarm.server.farm import Farm
from comfyfarm.server.ports import BoundPort, PortTaken

_logger = Logger()     # not in the class: Twisted keeps recent log events, and with them the objects that logged


class CannotStart(Exception):
    """A port cannot be bound or a file cannot be written; the message says which and why, in one line."""


@dataclass(eq=False, repr=False)
class FarmApp(MultiService):
    """A farm and its control server; no port is bound and no file is written before it starts.

    :ivar ready_file: the JSON file that exists while every port listens; None for none.
    """

    farm: Farm
    ready_file: Path | None = None
    _server: ControlServer | None = field(default=None, init=False)
    _announced: str = field(default="", init=False)

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def server(self) -> ControlServer:
        """The control server.

        :raises ValueError: if the configuration says that there is none.
        """
        if self._server is None:
            raise ValueError("[farm] control = false: this farm has no control server, which its tests need")
        return self._server

    @property
    def control_address(self) -> str | None:
        """The URL of the control server with the token that it requires; ``None`` if there is no such server."""
        if self._server is None:
            return None
        token = self._server.access.token
        return self._server.url if token is None else f"{self._server.url}/?token={token}"

    def startService(self) -> None:
        """Bind every port, then make the folders, then serve.

        :raises CannotStart: if a port is taken or a file cannot be written; nothing is left behind.
        """
        self._remove_ready_file()
        ports = self._bind_all()
        try:
            self.farm.open(ports[-len(self.farm.config.instance) :])
            self.farm.setServiceParent(self)
            if self.farm.config.farm.control:
                self._server = ControlServer(self.farm, ports[0])
                self._server.setServiceParent(self)
            super().startService()
            self._announce()
        except OSError as error:
            self._abandon(ports)
            raise CannotStart(f"{error.filename or 'comfyfarm'}: {error.strerror or error}") from error

    async def stopService(self) -> None:
        """Remove the ready file, unless another farm has replaced it, and stop."""
        with suppress(OSError):
            if self.ready_file is not None and self.ready_file.read_text() == self._announced:
                self.ready_file.unlink()
        await super().stopService()

    def _remove_ready_file(self) -> None:
        """Remove the ready file of an earlier farm, which was killed."""
        try:
            if self.ready_file is not None:
                self.ready_file.unlink(missing_ok=True)
        except OSError as error:
            raise CannotStart(f"{self.ready_file}: {error.strerror}") from error

    def _bind_all(self) -> list[BoundPort]:
        """Bind the ports of the control server, if there is one, and of the instances, in this order."""
        config = self.farm.config
        instances = [(instance.name, instance.port) for instance in config.instance]
        ports: list[BoundPort] = []
        control = [("control", config.farm.control_port)] if config.farm.control else []
        for name, number in [*control, *instances]:
            try:
                ports.append(self.farm.bind(config.farm.host, number))
            except PortTaken as error:
                self._abandon(ports)
                raise CannotStart(f"{name}: port {number} cannot be had: {error.reason}") from error
        return ports

    def _abandon(self, ports: list[BoundPort]) -> None:
        for port in ports:
            port.close()
        self.farm.close()

    def described(self) -> dict[str, Any]:
        """Return the content of the ready file: the URL and folders of each instance, and the control server's URL.

        ``control`` is null if there is none; ``control_token`` is there if its clients have to send one.
        """
        instances = {
            name: {
                "url": backend.url,
                "mode": backend.config.mode,
                "input_dir": str(backend.disk.input_dir),
                "output_dir": str(backend.disk.output_dir),
            }
            for name, backend in self.farm.backends.items()
        }
        token = self._server and self._server.access.token
        own = {} if token is None else {"control_token": token}
        return {"control": self._server and self._server.url, **own, "instances": instances}

    def _announce(self) -> None:
        for name, backend in self.farm.backends.items():
            _logger.info("{name}: {url} ({mode})", name=name, url=backend.url, mode=backend.config.mode)
        if self.control_address is not None:
            _logger.info("control: {url}", url=self.control_address)
        if self.ready_file is not None:
            self._announced = json.dumps(self.described(), indent=1)
            _write_atomically(self.ready_file, self._announced)


def _write_atomically(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error     # names the file, not the draft
