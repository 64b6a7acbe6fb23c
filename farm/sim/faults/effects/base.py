"""What every effect is, and the table of all there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

import msgspec

from farm.sim.faults.exchange import Exchange
from farm.sim.faults.frame import Frame
from farm.sim.faults.job import Run
from farm.sim.faults.moments import Phase
from farm.sim.faults.process import Process
from farm.sim.faults.strikes import Story, Strike

__all__ = ["EFFECTS", "Effect", "effect"]

EFFECTS: dict[str, type[Effect]] = {}
"""Every effect by the name that stands behind ``do``."""


class Effect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a fault does.  Its fields are the keys that stand beside ``do``.

    One method for each kind of moment; an effect has those of the phases that it names.  An effect with
    :meth:`on_process` may name any phase: the process is struck then.

    :cvar do: its name.
    :cvar phases: where it can happen.
    :cvar lasts: it goes on until the fault is healed or removed, or somebody lets it go.
    :cvar needs_reply: at an HTTP exchange it works on the answer, also where its phase comes before the work.
    """

    do: ClassVar[str] = ""
    phases: ClassVar[tuple[Phase, ...]] = ()
    needs_reply: ClassVar[bool] = False
    lasts: ClassVar[bool] = False

    @property
    def is_for_process(self) -> bool:
        """Whether it befalls the process, wherever it strikes."""
        return type(self).on_process is not Effect.on_process

    @property
    def is_for_frames(self) -> bool:
        """Whether it can befall a websocket message: at phase ``status`` some can, and some only an HTTP exchange."""
        return type(self).on_frame is not Effect.on_frame

    def on_job(self, run: Run, strike: Strike) -> Story:
        """Befall a job; what it yields is time that passes before the job goes on.

        :raises NodeError: to let the node fail.
        """
        raise NotImplementedError(self.do)

    def on_exchange(self, exchange: Exchange, strike: Strike) -> Story:
        """Befall an HTTP exchange; what it yields is time that passes before the exchange goes on."""
        raise NotImplementedError(self.do)

    def on_frame(self, frame: Frame, strike: Strike) -> None:
        """Befall a websocket message on its way to one client."""
        raise NotImplementedError(self.do)

    def on_process(self, process: Process, strike: Strike) -> Story:
        """Befall the process; the story is told whatever becomes of the process, and ended when the fault is healed."""
        raise NotImplementedError(self.do)


E = TypeVar("E", bound=type[Effect])


def effect(
    do: str, *phases: Phase, needs_reply: bool = False, lasts: bool = False
) -> Callable[[E], E]:
    """Register an effect under its name, with the phases at which it can happen."""

    def register(kind: E) -> E:
        kind.do, kind.phases, kind.needs_reply, kind.lasts = do, phases, needs_reply, lasts
        EFFECTS[do] = kind
        return kind

    return register

