"""What users order of a dispatcher, and what each of them gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from comfyfarm.testing import MemoryFarm
from comfyfarm.workflows import text_to_image

from .reports import Reports

COMMON = "v1-5-pruned-emaonly-fp16.safetensors"
"""The checkpoint that every instance has."""


@dataclass(frozen=True)
class Order:
    """One picture that a user orders.

    :ivar seed: of the picture, unique in a scene: the picture of this order is the one with this seed.
    :ivar priority: higher ones come first.
    :ivar withdraw_ms: when the user wants it no more; ``None``: never.
    :ivar model: the checkpoint.
    """

    name: str
    seed: int
    at_ms: int = 0
    text: str = "a barn"
    steps: int = 2
    priority: int = 0
    withdraw_ms: int | None = None
    model: str = COMMON
    is_valid: bool = True

    def prompt(self, prefix: str) -> dict[str, Any]:
        """Return the graph that makes the picture; its file's name begins with ``prefix``."""
        prompt = text_to_image(self.seed, self.text, prefix, width=64, height=64, steps=self.steps)
        prompt["4"]["inputs"]["ckpt_name"] = self.model
        if not self.is_valid:
            prompt["3"]["inputs"]["steps"] = -1
        return prompt


@dataclass(eq=False)
class User:
    """The user of one order.

    :ivar received: the time and the bytes of each delivery.
    :ivar failures: the time and the text of each report of a failure.
    :ivar withdrew_ms: ``None``: the order still stands.
    """

    order: Order
    received: list[tuple[int, bytes]] = field(default_factory=list)
    failures: list[tuple[int, str]] = field(default_factory=list)
    withdrew_ms: int | None = None

    @property
    def is_waiting(self) -> bool:
        return not self.received and not self.failures and self.withdrew_ms is None


@dataclass(eq=False)
class Users:
    """All users of a scene: the only way by which a dispatcher hands something to one."""

    farm: MemoryFarm
    orders: Sequence[Order]
    reports: Reports
    users: dict[str, User] = field(init=False)

    def __post_init__(self) -> None:
        self.users = {order.name: User(order) for order in self.orders}

    @property
    def now_ms(self) -> int:
        return self.farm.farm.time.now_ms()

    def due(self) -> list[Order]:
        """Return the orders that are placed now, and report them."""
        orders = [order for order in self.orders if order.at_ms == self.now_ms]
        for order in orders:
            self.reports.report(order.name, "asked")
        return orders

    def withdrawn(self) -> list[Order]:
        """Return the orders that are withdrawn now, and report them."""
        users = [user for user in self.users.values() if user.order.withdraw_ms == self.now_ms and user.is_waiting]
        for user in users:
            user.withdrew_ms = self.now_ms
            self.reports.report(user.order.name, "withdrawn")
        return [user.order for user in users]

    def deliver(self, order: Order, picture: bytes) -> None:
        """Hand bytes to the user of an order."""
        self.users[order.name].received.append((self.now_ms, picture))
        self.reports.delivered(order.name, picture)

    def tell_failed(self, order: Order, why: str) -> None:
        """Tell the user of an order that there will be no picture."""
        self.users[order.name].failures.append((self.now_ms, why))
        self.reports.report(order.name, "failed", why)

    @property
    def is_anybody_waiting(self) -> bool:
        return any(user.is_waiting for user in self.users.values())
