"""The whole placement: at any moment, of any log, and always the same."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Union

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyfarm.analysis.instances import FleetState
from comfyfarm.analysis.job_tracker import JobTracker
from comfyfarm.analysis.placement.placement import Placement, PlacementAnalyzer
from comfyfarm.events import Event, Work
from comfyfarm.events.encoding import as_json
from tests.support.logs import (
    asked,
    crashed,
    draining,
    farm,
    frozen,
    loaded,
    log,
    order,
    ran,
    ready,
    refused,
    rejected,
    reset,
    set_to,
    showed,
    started,
    submitted,
    taken,
    taken_out,
    thawed,
    unloaded,
)
from tests.support.placing import follow, place, records

WORK = Work(nodes={"KSampler": 1}, models=(("checkpoints", "x", 1),))


def numbers(whole: Any) -> Iterator[float]:
    """All numbers in a body."""
    if isinstance(whole, dict | list):
        for value in whole.values() if isinstance(whole, dict) else whole:
            yield from numbers(value)
    elif isinstance(whole, int | float):
        yield whole


def nine() -> list[Any]:
    """Jobs that are sent to a and b in turns."""
    return [ran(f"j{n}", on="ab"[n % 2], at=n, begins=20 * n, until=20 * n + 9, work=WORK) for n in range(9)]


def test_a_farm_without_jobs_has_measures_without_a_value() -> None:
    """None, and never NaN; everything is small."""
    found = place(farm("a", "b"))
    whole = json.loads(msgspec.json.encode(found))
    assert all(map(math.isfinite, numbers(whole)))
    measures = [value for value in whole.values() if isinstance(value, dict)]
    assert len(measures) == 16
    assert all(measure["n"] == 0 and measure["is_small"] for measure in measures)
    assert (found.makespan.ms, found.fairness.jain, found.waits.p50_ms, found.regret) == (None, None, None, None)


def test_no_log_at_all_is_measured_too() -> None:
    """Before the first event."""
    found = PlacementAnalyzer().placement()
    assert (found.at_ms, found.seq, found.jobs, found.dispatches) == (0, 0, 0, 0)
    assert PlacementAnalyzer().choices() == []


def test_regret_stands_beside_the_other_measures() -> None:
    """Two jobs of the same length, both on a, while b could have had one: twice as long as the best."""
    step = Work(nodes={"Wait": 1})
    wait: dict[str, Any] = {"timing": {"nodes": {"Wait": "100ms"}}}
    fleet = farm({"name": "a", **wait}, {"name": "b", **wait})
    jobs = [ran("j1", on="a", at=0, until=100, work=step), ran("j2", on="a", at=0, begins=100, until=200, work=step)]
    found = place(fleet, jobs).regret
    assert found is not None
    assert (found.tested.makespan_ms, found.makespan_ratio) == (200, 2.0)


def test_events_that_others_have_processed_are_not_processed_twice() -> None:
    """With a shared tracker and fleet the measures are the same."""
    events = log(farm("a", "b"), nine())
    attempts, fleet = JobTracker(), FleetState()
    guest = PlacementAnalyzer(attempts=attempts, fleet=fleet)
    for event in events:
        attempts.on_event(event)
        fleet.on_event(event)
        guest.follow(event)
    assert guest.placement() == follow(events).placement()


def test_measuring_changes_nothing() -> None:
    """Measured after each event, and only at the end."""
    often, once = PlacementAnalyzer(), PlacementAnalyzer()
    for event in log(farm("a", "b"), nine()):
        often.on_event(event)
        once.on_event(event)
        assert often.placement().seq == event.seq
        often.choices()
    assert often.placement() == once.placement()


def test_a_saved_log_is_measured_as_the_live_one() -> None:
    """From its lines of JSON, to the byte."""
    pieces: list[Any] = [farm("a", {"name": "b", "models": {"checkpoints": ["x:1GB"]}}), showed(0, on="a", at=0)]
    jobs = nine()
    live, saved = follow(pieces, jobs), PlacementAnalyzer()
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Union[tuple(Event.__subclasses__())])  # noqa: UP007
    for event in log(pieces, jobs):
        saved.on_event(decoder.decode(as_json(event)))
    assert msgspec.json.encode(saved.placement()) == msgspec.json.encode(live.placement())
    assert msgspec.json.encode(records(saved)) == msgspec.json.encode(records(live))


def test_every_beginning_is_cut_off_without_harm() -> None:
    """A log that starts late, at each of its events."""
    events = log(
        farm("a", "b"),
        ran("j1", on="a", at=1, until=9, work=WORK),
        loaded("a", "x", at=2, job="j1"),
        submitted("j2", on="b", at=3),
        taken("j2", on="b", at=4),
        crashed("b", at=5, lost=["j2"]),
        ran("j2", on="a", at=6, begins=9, until=12),
        [started("b", at=7), ready("b", at=8, epoch=2)],
    )
    for first in range(len(events)):
        placed = PlacementAnalyzer()
        for event in events[first:]:
            placed.on_event(event)
        assert isinstance(placed.placement(), Placement)


INSTANCES, JOBS = st.sampled_from("abc"), st.sampled_from(["j1", "j2", "j3", "j4"])


@st.composite
def anything(draw: st.DrawFn) -> Any:
    """One event, or some that belong together; seldom sensible behind what came before."""
    on, job, at = draw(INSTANCES), draw(JOBS), draw(st.integers(0, 50))
    is_on = draw(st.booleans())
    return draw(
        st.sampled_from(
            [
                submitted(job, on=on, at=at),
                taken(job, on=on, at=at),
                ran(job, on=on, at=at, until=at + draw(st.integers(0, 20)), work=WORK),
                refused(job, on=on, at=at, missing=["x"]),
                rejected(job, on=on, at=at, status=503),
                taken_out(job, on=on, at=at),
                crashed(on, at=at, lost=[job] if is_on else [], kept=() if is_on else ("queue",)),
                [started(on, at=at), ready(on, at=at, epoch=2)],
                frozen(on, at=at),
                thawed(on, at=at),
                draining(on, at=at, ends=not is_on),
                order(job, at=at, state="asked" if is_on else "failed", when=draw(st.none() | st.integers(-9, 60))),
                reset(on, at=at),
                set_to(on, at=at, missing_nodes=["KSampler"]),
                loaded(on, "x", at=at, job=job),
                unloaded(on, "x", at=at),
                showed(3, on=on, at=at),
                asked("/prompt", on=on, at=at, shown=1),
            ]
        )
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(anything(), max_size=30), st.booleans())
def test_nothing_that_a_log_may_say_does_harm(pieces: list[Any], is_whole: bool) -> None:
    """Events in any order: all measures stay within their bounds."""
    found = place(farm("a", "b") if is_whole else [], pieces)
    whole = json.loads(msgspec.json.encode(found))
    assert all(map(math.isfinite, numbers(whole)))
    assert found.fairness.jain is None or 0 < found.fairness.jain <= 1 + 1e-9
    assert found.idle_while_waiting.share is None or 0 <= found.idle_while_waiting.share <= 1
    assert found.affinity.hits <= found.affinity.possible <= found.affinity.n
    assert found.misplacements.could_not_know + found.misplacements.knew_and_ignored <= found.misplacements.n
    assert (found.depth_error.worst or 0) >= (found.depth_error.median or 0) >= 0
    assert all((ms or 0) >= 0 for ms in (found.makespan.ms, found.waits.worst_ms, found.totals.p50_ms))
