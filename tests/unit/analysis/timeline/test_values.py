"""A timeline as values."""

from __future__ import annotations

from comfyfarm.analysis.timeline.lane import SpanPart
from comfyfarm.analysis.timeline.values import as_values
from tests.support.logs import delivered, farm, healed, ran
from tests.support.timelines import timeline_of


def test_the_values_say_all_of_it() -> None:
    timeline = timeline_of(
        farm("a"),
        *(ran("j", on="a", at=100, begins=300, until=900, file="x.png"), delivered("j", at=950), healed(at=1000)),
    )
    whole = as_values(timeline)
    (lane,) = whole.lanes
    (stay,) = lane.stays
    assert (whole.from_ms, whole.end_ms, whole.marks) == (0, 1000, tuple(timeline.marks))
    assert (lane.name, lane.outages, lane.marks) == ("a", (), tuple(timeline.lanes["a"].marks))
    assert (stay.job, stay.attempt, stay.prompt_id, stay.sent_ms) == ("j", 1, "j@a", 100)
    assert (stay.waits, stay.runs, stay.end, stay.ended_ms) == (((100, 300),), ((300, 900),), "success", 900)
    assert stay.parts == (SpanPart("saving", 300, 900),)
