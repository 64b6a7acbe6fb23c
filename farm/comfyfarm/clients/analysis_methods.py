"""The methods of control clients about the log: the events, what they prove, and what is reported of orders."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Unpack

import msgspec

from comfyfarm.analysis.findings import Thresholds
from comfyfarm.analysis.placement.placement import Placement, PlacementThresholds
from comfyfarm.analysis.thresholds import as_table
from comfyfarm.analysis.timeline.values import RunTimeline
from comfyfarm.analysis.verdict import Verdict
from comfyfarm.clients.control_calls import LONG_S, Call, call, decode_events, decode_objects, method
from comfyfarm.control.schema import endpoints
from comfyfarm.control.schema.analysis import (
    DeliveredState,
    DeliveryFacts,
    JournalState,
    OrderReport,
    OrdersState,
    TimelineFormat,
    TrialFacts,
    TrialState,
)
from comfyfarm.events import Event


class AnalysisMethods:
    """The part of :class:`~comfyfarm.clients.control_methods.ControlMethods` that is about the log."""

    @method
    def log(self, /, **filters: Any) -> Call[list[dict[str, Any]]]:
        """Return the events of the log, of all trials.

        Filters: ``trial``, ``instance``, ``kind``, ``prompt_id``, ``since``, ``limit``.
        """
        whole = {"since": 0, **filters}     # with a filter, every event has all its fields
        return call(endpoints.GET_LOG, query=whole, timeout_s=LONG_S).decoded_by(decode_objects)

    @method
    def events(self, /, **filters: Any) -> Call[list[Event]]:
        """Return the same events as values, for a :class:`~comfyfarm.analysis.journal.Journal`."""
        return call(endpoints.GET_LOG, query=filters, timeout_s=LONG_S).decoded_by(decode_events)

    @method
    def journal(self, /, **filters: Any) -> Call[JournalState]:
        """Return the requests received and the frames sent: ``journal(route="/history*", instance="gpu-1")``.

        Filters: ``trial``, ``instance``, ``prompt_id``, ``client``, ``route``, ``method``, ``status``, ``job``,
        ``type``, ``since``, ``limit``.
        """
        return call(endpoints.GET_JOURNAL, query=filters, timeout_s=LONG_S)

    @method
    def trial(self, name: str | None = None, /, **facts: Unpack[TrialFacts]) -> Call[TrialState]:
        """Begin a new trial: what the methods below return is about what comes from here on.

        :param name: none of an earlier trial; ``None`` for ``trial-N``.
        :param facts: ``jobs``, ``delivery`` and ``client``, as for :meth:`comfyfarm.testing.RunningFarm.trial`.
        """
        return call(endpoints.START_TRIAL, {"name": name, **facts})

    @method
    def verdict(self, /, **settings: Any) -> Call[Verdict]:
        """Return what the current trial proves about the system under test; ``verdict(reaction="5s")`` sets a bound.

        ``trial="NAME"``: of another trial; ``since=SEQ``: of what came after an event; ``client="GLOB"``: only the
        jobs of these clients count; ``logged=False``: the log gets no event of the request.
        """
        return call(endpoints.GET_VERDICT, query=as_table(Thresholds, settings), timeout_s=LONG_S)

    @method
    def placement(self, /, **settings: Any) -> Call[Placement]:
        """Return how well the work was placed; ``placement(fresh="2s")`` sets a threshold.

        ``trial``, ``since`` and ``client`` as for :meth:`verdict`; so for the methods below.
        """
        return call(endpoints.GET_PLACEMENT, query=as_table(PlacementThresholds, settings), timeout_s=LONG_S)

    @method
    def timeline(self, /, **which: Any) -> Call[RunTimeline]:
        """Return what each instance did when, as values."""
        return call(endpoints.GET_TIMELINE, query=which, timeout_s=LONG_S)

    @method
    def timeline_as(self, form: TimelineFormat, /, **which: Any) -> Call[str]:
        """Return the timeline as a drawing (``svg``), for Perfetto (``trace``) or for a terminal (``text``)."""
        query = {"format": form, **which}
        return call(endpoints.GET_TIMELINE, query=query, timeout_s=LONG_S).decoded_by(bytes.decode)

    @method
    def report(self, /, **which: Any) -> Call[str]:
        """Return verdict, timeline, placement and faults as one page of HTML."""
        return call(endpoints.GET_REPORT, query=which, timeout_s=LONG_S).decoded_by(bytes.decode)

    @method
    def report_orders(self, *reports: OrderReport) -> Call[OrdersState]:
        """Report what users asked for, what they were told of failures, and what they want no more."""
        return call(endpoints.REPORT_ORDERS, {"orders": [msgspec.structs.asdict(report) for report in reports]})

    @method
    def delivered(self, /, job: str, **facts: Unpack[DeliveryFacts]) -> Call[DeliveredState]:
        """Report that a result was delivered to its user, and return the stamp of the picture.

        :param facts: ``prompt_id``, ``instance`` and ``file``, as far as they are known, and the ``picture`` or its
            ``stamp``.
        """
        picture = facts.get("picture")
        encoded = {} if picture is None else {"picture": b64encode(picture).decode()}
        return call(endpoints.TELL_DELIVERED, {"job": job, **facts, **encoded})
