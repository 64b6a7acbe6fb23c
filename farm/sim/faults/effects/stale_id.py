"""Under the id of another job."""

from __future__ import annotations

from farm.sim.faults.frame import Frame
from farm.sim.faults.said import Data
from farm.sim.faults.strikes import Strike
from farm.sim.seeds import new_uuid

from .base import Effect, effect

__all__ = ["StaleId"]


@effect("stale_id", "frame")
class StaleId(Effect, frozen=True, kw_only=True):
    """Let the message bear another ``prompt_id`` than that of its job; one that bears none stays as it is.

    :ivar prompt_id: which; ``None``: that of the client's job before, or a made-up one where there was none.
    """

    prompt_id: str | None = None

    def on_frame(self, frame: Frame, strike: Strike) -> None:
        """Mistake the job."""
        stale = self.prompt_id or frame.older_prompt_id or str(new_uuid(strike.chance))
        frame.change_data(lambda data: _renamed(data, stale))


def _renamed(data: Data, stale: str) -> Data:
    """With the id in all its places: ``progress_state`` repeats it at every node."""
    changed = {key: stale if key == "prompt_id" else value for key, value in data.items()}
    if isinstance(nodes := data.get("nodes"), dict):
        changed["nodes"] = {node: {**each, "prompt_id": stale} for node, each in nodes.items()}
    return changed
