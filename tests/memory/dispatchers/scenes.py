"""A scene: a farm, orders, faults, and a dispatcher from the first order to the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from comfyfarm.analysis.verdict import Verdict
from comfyfarm.testing import MemoryFarm, as_config

from .base import Dispatcher
from .orders import COMMON, Order, Users
from .reports import Level, Reports
from .truth import Harm, harms_of, harms_to_users

TICK_MS = 250
QUIET_MS = 10_000       # from the last word to a user until the end of a scene
TIMING = {"node": "100ms", "step": "32s", "save": "50ms"}      # a step of a picture of 64 x 64 takes half a second
NAMES = ("gpu-1", "gpu-2", "gpu-3")


@dataclass(frozen=True)
class Scene:
    """All that happens to a dispatcher.

    :ivar settings: of every instance.
    :ivar own: settings of single instances, by name.
    :ivar drains: the times from which an instance shall get no new work, by its name.
    :ivar heal_ms: when all faults are removed; ``None``: never.
    :ivar limit_ms: when those users who still wait lose their patience, and the verdict is asked for.
    """

    orders: Sequence[Order]
    faults: Sequence[dict[str, Any]] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    own: dict[str, dict[str, Any]] = field(default_factory=dict)
    scenario: Sequence[dict[str, Any]] = ()
    drains: dict[str, int] = field(default_factory=dict)
    heal_ms: int | None = None
    limit_ms: int = 45_000
    seed: int = 0

    def config(self, **farm: Any) -> dict[str, Any]:
        common = {"mode": "dynamic", "timing": TIMING, "models": {"checkpoints": [COMMON]}, **self.settings}
        instances = [{**common, "name": name, "port": 0, **self.own.get(name, {})} for name in NAMES]
        tables = {"instance": instances, "fault": list(self.faults), "scenario": list(self.scenario)}
        return {"farm": {"seed": self.seed, **farm}, **tables}


@dataclass(frozen=True)
class Outcome:
    """What came of a scene.

    :ivar harms: by the tests' own books; ``harms_to_users``: those that users themselves see.
    :ivar told: the number of users who were told of a failure.
    """

    verdict: Verdict
    harms: tuple[Harm, ...]
    harms_to_users: tuple[Harm, ...]
    told: int

    @property
    def says(self) -> str:
        findings = self.verdict.findings
        return "\n".join(f"{found.severity} {found.finding}: {found.says}" for found in findings)

    @property
    def cell(self) -> str:
        """The names of the findings by which a failing verdict finds the bug; ``unknown``; or ``-``."""
        if self.verdict.verdict == "pass":
            return "-"
        if self.verdict.verdict == "unknown":
            return "unknown"
        return ", ".join(sorted({found.finding for found in self.verdict.findings if found.severity == "error"}))


def play(scene: Scene, kind: type[Dispatcher], level: Level, *, delivery: str | None = None) -> Outcome:
    """Run a scene and return what came of it.

    :param delivery: the farm's setting; with ``folder``, no delivery is reported.
    """
    farm = MemoryFarm.start(as_config(scene.config(**({"delivery": delivery} if delivery else {}))))
    try:
        users = Users(farm, scene.orders, Reports(farm, level, delivers=delivery != "folder"))
        users.reports.begin(len(scene.orders))
        dispatcher = kind(farm, users, Random(scene.seed))
        _run(scene, farm, users, dispatcher)
        verdict = farm.farm.analysis.log_analysis().verdict()
        told = sum(bool(user.failures) for user in users.users.values())
        harms = tuple(harms_of(farm, users, dispatcher.wire, scene))
        return Outcome(verdict, harms, tuple(harms_to_users(users)), told)
    finally:
        farm.stop()


def _run(scene: Scene, farm: MemoryFarm, users: Users, dispatcher: Dispatcher) -> None:
    quiet_ms = 0
    last_ms = max(max(order.at_ms, order.withdraw_ms or 0) for order in scene.orders)
    while quiet_ms < QUIET_MS and users.now_ms < scene.limit_ms:
        if scene.heal_ms == users.now_ms:
            farm.heal()
        for name, drain_ms in scene.drains.items():
            if drain_ms == users.now_ms:
                farm.farm.analysis.drain(name, on=True)
                dispatcher.drain(name, on=True)
        for order in users.due():
            dispatcher.add(order)
        for order in users.withdrawn():
            dispatcher.withdraw(order)
        dispatcher.step()
        farm.advance(TICK_MS / 1000)
        is_quiet = users.now_ms > last_ms and not users.is_anybody_waiting
        quiet_ms = quiet_ms + TICK_MS if is_quiet and users.now_ms > (scene.heal_ms or 0) else 0
    farm.advance("35s")     # as long as a client has to react, so that the verdict does not wait for it
