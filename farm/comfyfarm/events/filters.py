"""The kinds of events, and selection of events by their fields."""

from collections.abc import Collection
from dataclasses import dataclass

from comfyfarm.events import Event, PromptRefused, Submitted


def kind_of(event: Event | type[Event]) -> str:
    """Return an event's ``kind`` in a saved log."""
    return str(event.__struct_config__.tag)


def all_kinds() -> list[str]:
    return sorted(kind_of(event_type) for event_type in Event.__subclasses__())


def is_job(event: Event) -> bool:
    """Return whether the event is a job that a client submits, accepted or refused."""
    return isinstance(event, Submitted | PromptRefused) and not event.is_load


@dataclass(frozen=True)
class EventFilter:
    """Conditions on an event; ``None`` accepts any value.

    :ivar instance: empty for the farm's own events.
    :ivar since: only events with a greater ``seq``.
    """

    instance: str | None = None
    kinds: Collection[str] | None = None
    prompt_id: str | None = None
    since: int = 0

    def takes(self, event: Event) -> bool:
        return (
            event.seq > self.since
            and self.instance in (None, event.instance)
            and (self.kinds is None or kind_of(event) in self.kinds)
            and (self.prompt_id is None or _concerns(event, self.prompt_id))
        )


def _concerns(event: Event, prompt_id: str) -> bool:
    return getattr(event, "prompt_id", None) == prompt_id or prompt_id in getattr(event, "prompt_ids", ())
