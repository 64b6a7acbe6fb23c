"""Which events of a log are wanted?"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from comfyfarm.events import Event


def kind_of(event: Event | type[Event]) -> str:
    """An event's ``kind``, as a saved log has it."""
    return str(event.__struct_config__.tag)


def all_kinds() -> list[str]:
    """Every kind of event there is, sorted."""
    return sorted(kind_of(each) for each in Event.__subclasses__())


@dataclass(frozen=True)
class EventFilter:
    """What an event must be; ``None`` takes any.

    :ivar instance: empty for the farm's own events.
    :ivar since: only what came after this ``seq``.
    """

    instance: str | None = None
    kinds: Collection[str] | None = None
    prompt_id: str | None = None
    since: int = 0

    def takes(self, event: Event) -> bool:
        """Whether it is one of these."""
        return (
            event.seq > self.since
            and self.instance in (None, event.instance)
            and (self.kinds is None or kind_of(event) in self.kinds)
            and (self.prompt_id is None or _is_about(event, self.prompt_id))
        )


def _is_about(event: Event, prompt_id: str) -> bool:
    return getattr(event, "prompt_id", None) == prompt_id or prompt_id in getattr(event, "prompt_ids", ())
