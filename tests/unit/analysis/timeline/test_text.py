"""A timeline in plain text."""

from __future__ import annotations

import pytest

from comfyfarm.analysis.timeline.text import as_text
from tests.support.logs import (
    crashed,
    delivered,
    draining,
    farm,
    finished,
    fired,
    frozen,
    healed,
    ran,
    ready,
    refused,
    refusing,
    submitted,
    taken,
    thawed,
)
from tests.support.timelines import HOSTILE, timeline_of


def test_a_run_with_a_crash_reads_well() -> None:
    timeline = timeline_of(
        farm("gpu-1", "gpu-2"),
        *(ran("red", on="gpu-1", at=0, until=400), submitted("blue", on="gpu-1", at=100)),
        *(taken("blue", on="gpu-1", at=400), fired("crash-1", on="gpu-1", at=600)),
        crashed("gpu-1", at=600, lost=["blue"]),
        *(ready("gpu-1", at=800, epoch=2), ran("blue", on="gpu-2", at=700, until=950), delivered("blue", at=970)),
        healed(at=1000),
    )
    assert as_text(timeline, width=20).splitlines() == [
        "      0 ms             1 s",
        "gpu-1 AAAAAAAABBBBxxxx",
        "                  !",
        "gpu-2               BBBBB",
        "                    r    d",
        "                         h",
        "      x down  d delivered  r sent again  ! fault  h healed",
        "      A red  B blue",
    ]


def test_each_kind_of_outage_has_its_sign() -> None:
    """Down covers frozen, and frozen covers the others; draining has no sign."""
    timeline = timeline_of(
        farm("a"),
        *(submitted("j", on="a", at=0), frozen("a", at=200), thawed("a", at=400), refusing("a", at=300)),
        *(refusing("a", at=600, ends=True), draining("a", at=700), crashed("a", at=800, lost=["j"]), healed(at=1000)),
    )
    assert as_text(timeline, width=10).splitlines()[1] == "a ..~~##..xx"


def test_a_job_that_outlasts_a_crash_keeps_its_letter() -> None:
    timeline = timeline_of(
        farm("a"),
        *(submitted("j", on="a", at=0), taken("j", on="a", at=200), crashed("a", at=400, kept=("queue",))),
        *(ready("a", at=600, epoch=2), taken("j", on="a", at=800, epoch=2), finished("j", on="a", at=1000, epoch=2)),
    )
    assert as_text(timeline, width=10).splitlines()[1] == "a ..AAxx..AA"


def test_the_worst_of_one_place_is_seen() -> None:
    """A fault covers a refusal, which covers a second attempt, which covers a delivery."""
    timeline = timeline_of(
        farm("a"),
        *(ran("j", on="a", at=0, until=100), delivered("j", at=500), refused("j", on="a", at=500)),
        fired("f", on="a", at=500),
        *(ran("k", on="a", at=600, until=900), delivered("k", at=900), ran("k", on="a", at=900, until=1000)),
    )
    assert as_text(timeline, width=10).splitlines()[2] == "       !   r"


def test_something_is_always_seen_of_a_short_job() -> None:
    """At least one letter, also at the very end."""
    timeline = timeline_of(farm("a"), ran("j", on="a", at=50, until=51), ran("k", on="a", at=1000, until=1000))
    assert as_text(timeline, width=10).splitlines()[1] == "a A        B"


def test_more_jobs_than_letters_share_them() -> None:
    """The last line says so, and no line is wider than the picture."""
    timeline = timeline_of(farm("a"), [ran(f"job-{n}", on="a", at=n * 10, until=n * 10 + 10) for n in range(30)])
    lines = as_text(timeline, width=60).splitlines()
    assert lines[1] == "a " + "".join(letter * 2 for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZABCD")
    assert lines[2] == "  A job-0  B job-1  C job-2  D job-3  E job-4  F job-5"
    assert lines[-1] == "  Y job-24  Z job-25  and 4 more, by the same letters"
    assert max(map(len, lines)) <= 62


@pytest.mark.parametrize("width", [-5, 0, 1, 2, 500])
def test_any_width_is_drawn(width: int) -> None:
    lines = as_text(timeline_of(farm("a"), ran("j", on="a", at=0, until=10)), width).splitlines()
    assert lines[1] == f"a {'A' * max(2, width)}"


def test_nothing_and_next_to_nothing_are_drawn() -> None:
    """An empty log, a farm without work, a run of no length."""
    assert as_text(timeline_of(), 20) == " 0 ms            0 ms"
    assert as_text(timeline_of(farm("a")), 20).splitlines() == ["  0 ms            0 ms", "a"]
    assert as_text(timeline_of(farm("a"), ran("j", on="a", at=0, until=0)), 4).splitlines()[1:] == ["a A", "  A j"]


def test_wide_letters_move_nothing() -> None:
    """Names with letters of two columns."""
    lines = as_text(timeline_of(farm("日本", "a"), ran("j", on="a", at=0, until=10)), 4).splitlines()
    assert lines[1:3] == ["日本", "a    AAAA"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_steers_no_terminal(name: str) -> None:
    """Long names are cut, and no name begins a new line."""
    timeline = timeline_of(farm(f"a{name}"), ran(f"j{name}", on=f"a{name}", at=0, until=10))
    whole = as_text(timeline, 40)
    assert whole.encode()
    assert all(letter.isprintable() or letter == "\n" for letter in whole.replace("\ufffe", "").replace("\uffff", ""))
    assert len(whole.splitlines()) == 3
    assert max(map(len, whole.splitlines())) < 80
