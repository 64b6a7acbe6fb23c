"""What the control API takes and gives."""

from __future__ import annotations

import msgspec

__all__ = ["FarmState", "InstanceState", "Problem", "ResetBody"]


class ResetBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /api/reset`` and ``POST /api/instances/{name}/reset``; an empty body means the defaults.

    :ivar files: whether output files and counters go too.
    """

    files: bool = False


class InstanceState(msgspec.Struct, frozen=True, kw_only=True):
    """One instance, in ``GET /api/farm``.

    :ivar epoch: how often it has been started.
    :ivar queue_remaining: jobs that wait or run.
    :ivar history: how many jobs have ended and are remembered.
    """

    url: str
    mode: str
    input_dir: str
    output_dir: str
    epoch: int
    queue_remaining: int
    history: int


class FarmState(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /api/farm``.

    :ivar at_ms: the simulated moment.
    """

    control: str
    seed: int
    speed: float
    at_ms: int
    instances: dict[str, InstanceState]


class Problem(msgspec.Struct, frozen=True):
    """Every answer that says no."""

    error: str
