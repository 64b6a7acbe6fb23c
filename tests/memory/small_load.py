"""A small load on two unequal instances: jobs, uploads, questions, websockets, and a hand that meddles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from comfyfarm.config import FarmConfig, read
from comfyfarm.testing import MemoryFarm
from comfyfarm.testing.listener import Listener
from comfyfarm.testing.memory_client import Asking
from comfyfarm.workflows import text_to_image

__all__ = ["NAMES", "SmallLoad", "two"]

NAMES = ("gpu-1", "gpu-2")
_UPLOAD = b'--x\r\nContent-Disposition: form-data; name="image"; filename="mine.png"\r\n\r\nbytes\r\n--x--\r\n'
_MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}
_PICTURE = "/view?filename=ComfyUI_00001_.png"
_ASKED = ("/queue", "/history", "/prompt", "/system_stats", "/object_info/KSampler", _PICTURE)
_MEDDLING = ("pause", "resume", "stop", "start", "reset", "crash", "restart")
_MOMENTS = ("0ms", "40ms", "300ms", "1s", "3s")


def two(seed: int, faults: Sequence[dict[str, Any]] = ()) -> FarmConfig:
    """One instance writes files and takes its time to boot, one has a preview and unsteady times."""
    instances: list[dict[str, Any]] = [
        {"name": "gpu-1", "mode": "dynamic", "timing": {"step": "100ms", "boot": "700ms", "upload": "300ms"}},
        {"name": "gpu-2", "preview_method": "latent2rgb", "timing": {"step": "50ms", "jitter": 0.3}},
    ]
    instances = [{**each, "port": 0} for each in instances]
    return read({"farm": {"seed": seed}, "instance": instances, "fault": list(faults)}, Path())


@dataclass(eq=False)
class SmallLoad:
    """Clients that put up with anything.

    :ivar chance: decides who does what, and when.
    :ivar listeners: of each instance, those that it let in.
    """

    farm: MemoryFarm
    chance: Random
    listeners: dict[str, list[Listener]] = field(default_factory=lambda: {name: [] for name in NAMES})
    _askings: list[Asking] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def begin(self) -> None:
        """What every load has: a listener, a job, an upload and a look at everything, on each instance that is up."""
        self.farm.advance("700ms")
        for name in NAMES:
            self._listen(name)
            self._submit(name)
            self._upload(name)
            for path in _ASKED:
                self._ask(name, "GET", path)
            self.farm.advance("300ms")

    def resume(self, deeds: int) -> None:
        """So many things more, anywhere."""
        kinds = [self._submit, self._submit, self._submit, self._upload, self._listen, self._look, self._interrupt]
        for _ in range(deeds):
            self.chance.choice([*kinds, self._hang_up, self._meddle])(self.chance.choice(NAMES))
            self.farm.advance(self.chance.choice(_MOMENTS))

    def _ask(self, name: str, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        backend = self.farm.farm.backends[name]
        if backend.port.is_open:
            self._askings.append(self.farm.wire.begin(backend.site, method, path, body, headers))

    def _submit(self, name: str) -> None:
        prompt = text_to_image(len(self._askings), width=64, height=64, steps=self.chance.randint(1, 5))
        self._ask(name, "POST", "/prompt", json.dumps({"prompt": prompt, "client_id": "me"}).encode())

    def _upload(self, name: str) -> None:
        self._ask(name, "POST", "/upload/image", _UPLOAD, _MULTIPART)

    def _look(self, name: str) -> None:
        self._ask(name, "GET", self.chance.choice(_ASKED))

    def _interrupt(self, name: str) -> None:
        self._ask(name, "POST", "/interrupt", b"{}")

    def _listen(self, name: str) -> None:
        number, port = next(self._numbers), self.farm.farm.backends[name].port
        client = "me" if number < len(NAMES) else f"me-{number}"    # so that none displaces another
        if port.is_open:
            # Where a fault fires at the handshake there is no socket, or none yet.
            with suppress(Exception):
                self.listeners[name].append(self.farm.wire.listen(port.number, client))

    def _hang_up(self, _name: str) -> None:
        if self._askings:
            asking = self._askings.pop(self.chance.randrange(len(self._askings)))
            asking.channel.connectionLost(Failure(ConnectionDone()))

    def _meddle(self, name: str) -> None:
        self.farm.control("POST", f"/api/instances/{name}/{self.chance.choice(_MEDDLING)}")
