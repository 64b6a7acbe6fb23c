"""Small clients, two for each incident that is a client's own doing: one that falls for it, and one that does not."""

from __future__ import annotations

from collections.abc import Sequence

from comfyfarm.testing import MemoryFarm

from .asking import post, queue

__all__ = ["ask_the_queue_after_a_restart", "send_all_again_after_a_restart"]


# F05: is what I sent lost?


def send_all_again_after_a_restart(farm: MemoryFarm, seeds: Sequence[int]) -> list[str]:
    """Fall for it: a server that was started anew has nothing of mine."""
    sent = _send_and_wait_for_the_restart(farm, seeds)
    return [*sent, *(post(farm, seed=seed) for seed in seeds)]


def ask_the_queue_after_a_restart(farm: MemoryFarm, seeds: Sequence[int]) -> list[str]:
    """Send again only what the queue does not know."""
    sent = _send_and_wait_for_the_restart(farm, seeds)
    running, pending = queue(farm)
    known = {*running, *pending}
    lost = [seed for prompt_id, seed in zip(sent, seeds, strict=True) if prompt_id not in known]
    return [*sent, *(post(farm, seed=seed) for seed in lost)]


def _send_and_wait_for_the_restart(farm: MemoryFarm, seeds: Sequence[int]) -> list[str]:
    me = farm["gpu-1"].listen("me")
    sent = [post(farm, seed=seed) for seed in seeds]
    for _ in range(10):
        if me.lost is None:
            farm.advance("10ms")
    assert me.lost is not None, "there was no restart"
    farm.advance("100ms")
    return sent
