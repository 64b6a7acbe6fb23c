"""What goes wrong on purpose."""

from __future__ import annotations

from typing import Any

from comfyfarm.events.base import Event


class FaultArmed(Event, frozen=True, kw_only=True):
    """A fault may strike from now on.

    :ivar fault: as it is written.
    :ivar on: the instances that it is about.
    """

    id: str
    fault: dict[str, Any]
    on: tuple[str, ...]


class FaultFired(Event, frozen=True, kw_only=True):
    """A fault struck this instance; the rest says at which moment, as far as it has a meaning there.

    :ivar do: what happens.
    :ivar job: the logical job.
    """

    id: str
    do: str
    phase: str
    prompt_id: str | None = None
    job: str = ""
    client_id: str | None = None
    node: str = ""
    route: str = ""
    type: str = ""


class FaultExpired(Event, frozen=True, kw_only=True):
    """A fault is over by itself.

    :ivar reason: ``spent`` where it has struck as often as it may; ``until``, ``ttl``; ``over`` where it was for one
        request, and that has ended.
    """

    id: str
    reason: str


class FaultHealed(Event, frozen=True, kw_only=True):
    """A fault was taken off, and what it held goes on.

    :ivar reason: ``healed`` with all others, or ``removed`` alone.
    """

    id: str
    reason: str


class Healed(Event, frozen=True, kw_only=True):
    """The whole farm was healed: from here on everything shall end well."""


class Frozen(Event, frozen=True, kw_only=True):
    """An instance answers nobody, its port open.

    :ivar worker: whether its job stands still, too.
    """

    worker: bool


class Thawed(Event, frozen=True, kw_only=True):
    """A frozen instance goes on."""


class Refusing(Event, frozen=True, kw_only=True):
    """An instance closed its port to new connections, or opened it again.

    :ivar on: whether it refuses now.
    """

    on: bool
