"""The timeline as an SVG picture, parsed as XML."""

from __future__ import annotations

from itertools import pairwise
from xml.etree.ElementTree import Element, fromstring

import pytest

from comfyfarm.analysis.timeline.svg import draw
from comfyfarm.analysis.timeline.timeline import Timeline
from comfyfarm.events import Paused
from tests.support.logs import (
    Piece,
    crashed,
    delivered,
    draining,
    farm,
    finished,
    fired,
    frozen,
    healed,
    loaded,
    ran,
    ready,
    refused,
    refusing,
    submitted,
    taken,
    thawed,
)
from tests.support.timelines import HOSTILE, timeline_of

SVG = "{http://www.w3.org/2000/svg}"
LANES: list[Piece] = [farm("a", "b"), ran("j", on="a", at=0, begins=1000, until=3000), healed(at=10_000)]


def drawn(timeline: Timeline, width: int = 1200) -> Element:
    """Parse the picture; raises if it is not XML."""
    return fromstring(draw(timeline, width))  # noqa: S314 (we drew it)


def bars(picture: Element, kind: str) -> list[Element]:
    """Return the elements of a class, without those of the legend, which have no tooltip."""
    found = [each for each in picture.iter() if kind in each.get("class", "").split()]
    return [each for each in found if each.find(f"{SVG}title") is not None]


def says(element: Element) -> str:
    return element.findtext(f"{SVG}title") or ""


def words(picture: Element) -> list[str]:
    return ["".join(each.itertext()) for each in picture.iter(f"{SVG}text")]


def shown(picture: Element) -> list[str]:
    titles = [(each, each.find(f"{SVG}title")) for each in picture.iter(f"{SVG}text")]
    return [(each.text if title is None else title.tail) or "" for each, title in titles]


def test_a_bar_stands_where_its_time_is() -> None:
    """A tenth of the time is a tenth of the width."""
    (run,) = bars(drawn(timeline_of(LANES)), "run")
    (wait,) = bars(drawn(timeline_of(LANES)), "wait")
    left, width = 56.0, 1200 - 56 - 24
    assert float(run.get("x", "")) == pytest.approx(left + width / 10, abs=0.01)
    assert float(run.get("width", "")) == pytest.approx(width / 5, abs=0.01)
    assert float(wait.get("x", "")) == pytest.approx(left, abs=0.01)
    assert float(wait.get("width", "")) == pytest.approx(width / 10, abs=0.01)
    assert run.get("fill") == wait.get("fill")


def test_a_bar_says_what_it_is() -> None:
    picture = drawn(timeline_of(LANES))
    assert [says(each) for each in bars(picture, "wait")] == ["j on a: waited 1 s from 0 ms"]
    assert [says(each) for each in bars(picture, "run")] == ["j on a: ran 2 s from 1 s; done"]


@pytest.mark.parametrize(
    ("ends", "kind", "words"),
    [("error", "error", "failed"), ("interrupted", "error", "stopped"), ("success", "run", "done")],
)
def test_what_went_wrong_has_a_red_edge(ends: str, kind: str, words: str) -> None:
    picture = drawn(timeline_of(farm("a"), ran("j", on="a", at=0, until=100, ends=ends)))
    (bar,) = bars(picture, kind)
    assert says(bar).endswith(f"; {words}")
    assert len(bars(picture, "error")) == (ends != "success")


def test_a_crash_cuts_what_ran() -> None:
    """Two runs of one attempt, with one cut and one wait between them."""
    picture = drawn(
        timeline_of(
            farm("a"),
            *(submitted("j", on="a", at=0), taken("j", on="a", at=0), crashed("a", at=500, kept=("queue",))),
            *(ready("a", at=800, epoch=2), taken("j", on="a", at=900, epoch=2)),
            finished("j", on="a", at=2000, epoch=2),
        )
    )
    assert [says(each) for each in bars(picture, "run")] == [
        "j on a: ran 500 ms from 0 ms; its process died, and it waited again",
        "j on a: ran 1.1 s from 900 ms; done",
    ]
    assert [says(each) for each in bars(picture, "wait")] == ["j on a: waited 400 ms from 500 ms"]
    cuts = [each for each in picture.iter(f"{SVG}line") if each.get("class") == "cut"]
    assert len(cuts) == 2       # the other is the legend's
    assert [says(each) for each in bars(picture, "down")] == ["down from 500 ms to 800 ms"]


def test_every_sign_is_drawn_and_explained() -> None:
    everything = drawn(
        timeline_of(
            farm("a", "b"),
            *(submitted("j", on="a", at=0), taken("j", on="a", at=100), loaded("a", "m", at=300, job="j")),
            *(fired("f", on="a", at=400), crashed("a", at=400, lost=["j"])),
            ran("j", on="b", at=500, until=600, ends="error"),
            *(ran("k", on="b", at=700, until=900, file="x.png"), delivered("k", at=950), refused("r", on="b", at=960)),
            *(frozen("b", at=1000), thawed("b", at=1100), refusing("b", at=1200), refusing("b", at=1300, ends=True)),
            *(draining("b", at=1400), Paused(at_ms=1500, instance="b", epoch=1), healed(at=1600)),
        )
    )
    for kind in ("run", "wait", "error", "down", "frozen", "refusing", "paused", "draining"):
        assert bars(everything, kind), kind
    for kind in ("fault", "retry", "refused", "delivered", "heal"):
        assert bars(everything, kind), kind
    meanings = {
        *("runs, in the colour of its logical job", "loads a model", "saves", "failed or was stopped"),
        *("its process died", "waits", "delivered", "healed"),
        *("down", "frozen", "paused", "takes no connection", "draining", "fault", "sent again", "refused"),
    }
    assert meanings <= set(words(everything))
    few = set(words(drawn(timeline_of(farm("a"), ran("j", on="a", at=0, until=5)))))
    assert meanings & few == {"runs, in the colour of its logical job"}


def test_a_long_queue_is_drawn_as_its_depth() -> None:
    timeline = timeline_of(
        farm("a"),
        *(submitted("j", on="a", at=0), taken("j", on="a", at=0)),
        [submitted(f"w{n}", on="a", at=n) for n in range(100)],
        healed(at=1000),
    )
    picture = drawn(timeline)
    (depth,) = bars(picture, "depth")
    assert says(depth) == "up to 100 jobs waiting"
    assert bars(picture, "wait") == []
    few = [submitted(f"w{n}", on="a", at=n) for n in range(9)]
    assert len(bars(drawn(timeline_of(farm("a"), few, healed(at=1000))), "wait")) == 9


@pytest.mark.parametrize(("lanes", "pitch"), [(1, 60), (8, 60), (9, 36), (24, 36), (25, 20), (60, 20), (300, 20)])
def test_lanes_are_as_high_as_there_is_room(lanes: int, pitch: int) -> None:
    """No lane lies over another, and the picture ends below the last."""
    names = [f"gpu-{n}" for n in range(lanes)]
    picture = drawn(timeline_of(farm(*names), [ran(name, on=name, at=0, until=9) for name in names]))
    tops = [float(each.get("y", "")) for each in bars(picture, "run")]
    assert len(tops) == lanes
    assert all(after - before == pytest.approx(pitch) for before, after in pairwise(tops))
    assert max(tops) + pitch < float(picture.get("height", ""))


def test_a_name_is_written_where_there_is_room() -> None:
    """In full, or its beginning if enough of it fits; else not."""
    timeline = timeline_of(
        farm("a"),
        *(ran("a-name-that-fits", on="a", at=0, until=5000), ran("short", on="a", at=5000, until=5100)),
        ran("a-name-that-is-longer-than-its-bar", on="a", at=6000, until=7000),
        healed(at=10_000),
    )
    named = shown(drawn(timeline))
    assert "a-name-that-fits" in named
    assert "short" not in named
    assert [each for each in named if each.startswith("a-name-that-is")] == ["a-name-that-is-…"]


def test_long_and_wide_names_of_instances_have_their_gutter() -> None:
    """Longer names are cut; the tooltip has the full name."""
    long = "an-instance-with-a-name-of-more-than-24-letters"
    picture = drawn(timeline_of(farm(long, "日本語"), ran("j", on=long, at=0, until=9)))
    assert "an-instance-with-a-name…" in shown(picture)
    assert long in [says(each) for each in picture.iter(f"{SVG}text")]
    assert float(bars(picture, "run")[0].get("x", "")) > 24 * 6


def test_nothing_and_next_to_nothing_are_drawn() -> None:
    """An empty log, a farm without work, a run of no length, a log that begins late."""
    assert "Nothing happened." in words(drawn(timeline_of()))
    assert "a" in shown(drawn(timeline_of(farm("a"))))
    (bar,) = bars(drawn(timeline_of(farm("a"), ran("j", on="a", at=0, until=0))), "run")
    assert float(bar.get("width", "")) > 0
    late = drawn(timeline_of(ran("j", on="a", at=3_600_000, until=3_601_000)))
    (bar,) = bars(late, "run")
    assert (float(bar.get("x", "")), float(bar.get("width", ""))) == (56, 1200 - 56 - 24)


def test_a_job_keeps_its_colour_over_its_attempts() -> None:
    """And its index, by which a click finds all of them."""
    picture = drawn(
        timeline_of(
            farm("a", "b"),
            *(ran("x", on="a", at=0, until=10), ran("j", on="a", at=10, until=20, ends="error")),
            ran("j", on="b", at=30, until=40),
        )
    )
    first, second, again = bars(picture, "run")
    assert (first.get("data-job"), second.get("data-job"), again.get("data-job")) == ("0", "1", "1")
    assert second.get("fill") == again.get("fill") != first.get("fill")
    assert says(again) == "j, attempt 2 on b: ran 10 ms from 30 ms; done"


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_leaves_the_picture_well_formed(name: str) -> None:
    """It adds no element and no attribute."""
    instance = f"a{name}"
    timeline = timeline_of(
        farm(instance),
        *(ran(f"j{name}", on=instance, at=0, until=1000), delivered(f"j{name}", at=1000)),
        *(fired(name or "f", on=instance, at=500, do=name, job=name), refused(name or "r", on=instance, at=600)),
    )
    svg = draw(timeline)
    assert svg.encode()
    assert len(svg) < 20_000
    picture = drawn(timeline)
    plain = drawn(timeline_of(farm("a"), *(ran("j", on="a", at=0, until=1000), delivered("j", at=1000)),
                       *(fired("f", on="a", at=500, job="j"), refused("r", on="a", at=600))))  # fmt: skip
    assert {each.tag for each in picture.iter()} == {each.tag for each in plain.iter()}
    keys = [{key for each in one.iter() for key in each.attrib} for one in (picture, plain)]
    assert keys[0] == keys[1]


def test_equal_logs_give_equal_pictures() -> None:
    assert draw(timeline_of(LANES)) == draw(timeline_of(LANES))
