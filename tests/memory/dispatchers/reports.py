"""What the farm is told of the orders, at each level of cooperation."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Any, Literal, get_args

from comfyfarm.events.orders import OrderState
from comfyfarm.testing import MemoryFarm

Level = Literal["none", "count", "names"]
"""``none``: nothing is reported; ``count``: the number of orders; ``names``: each order, and what became of it."""

LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True)
class Reports:
    """The reports about one scene.

    :ivar delivers: deliveries are reported, too, at the level of names.
    """

    farm: MemoryFarm
    level: Level
    delivers: bool = True

    @property
    def has_names(self) -> bool:
        return self.level == "names"

    def begin(self, jobs: int) -> None:
        if self.level == "count":
            self.farm.trial(jobs=jobs)
        elif self.has_names and self.delivers:
            self.farm.trial(delivery="told")

    def report(self, job: str, state: OrderState, why: str = "") -> None:
        if self.has_names:
            self._post("/api/orders", {"orders": [{"job": job, "state": state, "why": why}]})

    def delivered(self, job: str, picture: bytes) -> None:
        if self.has_names and self.delivers:
            self._post("/api/delivered", {"job": job, "picture": b64encode(picture).decode()})

    def _post(self, path: str, body: dict[str, Any]) -> None:
        reply = self.farm.control("POST", path, json=body)
        assert reply.status == 200, reply.body
