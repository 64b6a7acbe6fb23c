"""Every dispatch as people and programs read it: one record with all that was true, and all that was known."""

from __future__ import annotations

from typing import Literal

import msgspec

from comfyfarm.analysis.placement.choices import Choice, Option
from comfyfarm.analysis.placement.snapshots import Health


class OptionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One instance just before a job was sent somewhere.

    :ivar depth: jobs that waited or ran there, truly.
    :ivar work_left_ms: how long it still had to work for them.
    :ivar is_exact: every run in that has come to an end of its own; else some count as long as is usual.
    :ivar is_eligible: it has, or can load, all that the job needs; believed of whom nothing is known.
    :ivar models: the job's: all ``in_memory``, or ``loadable``, or ``missing``; ``None`` where the job never ran.
    :ivar shown: the depth that the client was last told; ``None``: none, in this epoch.
    :ivar shown_age_ms: how long before.
    :ivar sent_since: how many jobs this client has had taken on there since.
    """

    instance: str
    epoch: int
    health: Health
    depth: int
    work_left_ms: int
    is_exact: bool
    is_eligible: bool
    models: Literal["in_memory", "loadable", "missing"] | None
    shown: int | None
    shown_age_ms: int | None
    sent_since: int


class DispatchRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One ``POST /prompt`` that was taken on or refused.

    :ivar seq: of the event that says so.
    :ivar attempt: its number among those of the logical job.
    :ivar prompt_id: ``None`` where it was refused.
    :ivar error: why it was refused, or what ended it; empty for neither.
    :ivar options: every instance, in the order of the configuration.
    """

    seq: int
    at_ms: int
    job: str
    attempt: int
    prompt_id: str | None
    client_id: str | None
    instance: str
    epoch: int
    is_accepted: bool
    error: str
    options: tuple[OptionRecord, ...]


def record_of(choice: Choice) -> DispatchRecord:
    """Write one dispatch down."""
    attempt = choice.dispatch.attempt
    return DispatchRecord(
        seq=attempt.seq,
        at_ms=attempt.sent_ms,
        job=attempt.job,
        attempt=attempt.number,
        prompt_id=attempt.prompt_id,
        client_id=attempt.client_id,
        instance=attempt.instance,
        epoch=attempt.epoch,
        is_accepted=attempt.is_accepted,
        error=attempt.error,
        options=tuple(_option(each, attempt.sent_ms) for each in choice.options),
    )


def _option(option: Option, at_ms: int) -> OptionRecord:
    sight = option.sight
    return OptionRecord(
        instance=sight.instance,
        epoch=sight.epoch,
        health=sight.health,
        depth=sight.depth,
        work_left_ms=option.left.ms,
        is_exact=option.left.is_exact,
        is_eligible=option.is_eligible,
        models=_models(option),
        shown=sight.shown.remaining if sight.shown else None,
        shown_age_ms=at_ms - sight.shown.at_ms if sight.shown else None,
        sent_since=sight.sent_since,
    )


def _models(option: Option) -> Literal["in_memory", "loadable", "missing"] | None:
    if not option.is_eligible:
        return "missing"
    if option.need is None:
        return None
    return "in_memory" if option.is_warm else "loadable"
