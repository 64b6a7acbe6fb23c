"""A farm, a load, faults and a client, from the first moment to the last: what is the verdict?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from comfyfarm.analysis.findings import Thresholds
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.config.fault_tables import read_fault
from comfyfarm.testing import MemoryFarm, as_config

from .perfect import PerfectClient
from .wish import Wish

__all__ = ["COMMON", "RARE", "Drain", "Stage", "play"]

COMMON, RARE = "v1-5-pruned-emaonly-fp16.safetensors", "rare.safetensors"
TIMING = {"node": "400ms", "step": "2s", "save": "50ms"}
TICK_MS, TIME_TO_REACT_MS, LIMIT_MS = 500, 40_000, 20 * 60_000

C = TypeVar("C", bound=PerfectClient)


@dataclass(frozen=True)
class Drain:
    """A time in which an instance shall get no new work."""

    name: str
    from_ms: int
    until_ms: int


@dataclass(frozen=True)
class Stage:
    """All that happens to a client.

    :ivar rare_on: the instances that have the model that few have.
    :ivar heal_ms: when all faults are taken off.
    :ivar bounds: of the verdict.
    """

    wishes: Sequence[Wish]
    faults: Sequence[dict[str, Any]] = ()
    instances: int = 3
    rare_on: Sequence[str] = ()
    drains: Sequence[Drain] = ()
    heal_ms: int = 60_000
    seed: int = 0
    bounds: Thresholds = Thresholds()   # noqa: RUF009 (frozen)

    def start(self) -> MemoryFarm:
        """A farm at the first moment; no fault is armed yet."""
        names = [f"gpu-{number + 1}" for number in range(self.instances)]
        models = {name: [COMMON, RARE] if name in self.rare_on else [COMMON] for name in names}
        instance = {"mode": "dynamic", "timing": TIMING}
        described = [{**instance, "name": name, "models": {"checkpoints": models[name]}} for name in names]
        return MemoryFarm.start(as_config({"farm": {"seed": self.seed}, "instance": described}))


def play(stage: Stage, kind: type[C]) -> tuple[C, Verdict]:
    """Let a client have its way, to the end and for as long behind it as clients have time to react."""
    farm = stage.start()
    try:
        farm.farm.fault_controller.arm_all([read_fault(each) for each in stage.faults])
        client = kind(farm, stage.wishes, Random(stage.seed))
        _run(stage, farm, client)
        return client, farm.farm.analysis.log_analysis().verdict(stage.bounds)
    finally:
        farm.stop()


def _run(stage: Stage, farm: MemoryFarm, client: PerfectClient) -> None:
    is_healed, rest_ms = False, TIME_TO_REACT_MS
    while rest_ms > 0 and client.now_ms < LIMIT_MS:
        _drain(stage, farm, client)
        if client.now_ms >= stage.heal_ms and not is_healed:
            is_healed = True
            farm.heal()
        client.step()
        farm.advance(TICK_MS / 1000)
        if is_healed and client.is_done:
            rest_ms -= TICK_MS


def _drain(stage: Stage, farm: MemoryFarm, client: PerfectClient) -> None:
    for each in stage.drains:
        if client.now_ms in {each.from_ms, each.until_ms}:
            is_on = client.now_ms == each.from_ms
            farm.farm.analysis.drain(each.name, on=is_on)
            client.drain(each.name, on=is_on)
