"""Findings about wrong instances: each with a log that proves it, and similar ones that do not."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from comfyfarm.analysis.findings import Finding
from comfyfarm.events import Exchanged, FaultHealed, Submitted
from tests.support import judging
from tests.support.logs import (
    Piece,
    answered,
    asked,
    crashed,
    delivered,
    farm,
    fetched,
    fired,
    forgot_history,
    frozen,
    interrupt,
    log,
    ran,
    refused,
    rejected,
    reset,
    seen,
    socket_closed,
    socket_opened,
    submitted,
    taken,
    thawed,
)

ABC: list[Piece] = [      # Jobs without a result to take, so that no instance is unused.
    farm("a", "b", "c"),
    [ran(f"other-{name}", on=name, at=0, until=1, ends="error", client="other") for name in ("b", "c")],
]
J = ran("j", on="a", at=1_000, until=5_000)
PICTURE = ran("j", on="a", at=1_000, until=5_000, file="j.png")
LATER = asked("/queue", on="a", at=60_000)


def missed(on: str, at: int, job: str = "j", status: int = 200) -> Piece:
    """A poll of the history entry that ``a`` has."""
    return asked(f"/history/{job}@a", on=on, at=at, status=status)


def not_found(file: str, *, on: str, at: int) -> Piece:
    return asked("/view", on=on, at=at, status=404, query=f"filename={file}&type=output&subfolder=")


def findings(*pieces: Piece, **bounds: Any) -> list[Finding]:
    """Return the findings without those that only say that a result was not taken."""
    all_findings = judging.findings(*pieces, delivery=None, **bounds)
    return [finding for finding in all_findings if finding.finding not in {"orphaned", "nothing_taken", "unfinished"}]


def only(*pieces: Piece) -> Finding:
    (finding,) = findings(*pieces)
    return finding


def sentence(*pieces: Piece) -> str:
    return only(*pieces).says


def found(*pieces: Piece, **bounds: Any) -> list[tuple[str, str, str]]:
    return [(finding.finding, finding.job, finding.instance) for finding in findings(*pieces, **bounds)]


def severity(*pieces: Piece) -> list[tuple[str, str]]:
    return [(finding.finding, finding.severity) for finding in findings(*pieces)]


# Requests.


def test_a_result_that_was_requested_from_another_instance_and_never_taken_fails() -> None:
    finding = only(ABC, J, missed("b", 6_000), missed("c", 7_000), LATER)
    assert (finding.finding, finding.severity, finding.job, finding.instance) == ("asked_elsewhere", "error", "j", "a")
    assert finding.says == (
        "j was on a, but its history entry was requested from b, c 2 times, from 6 s to 7 s; "
        "nobody has taken its result so far."
    )
    assert judging.verdict_of(ABC, J, missed("b", 6_000), LATER, delivery=None).verdict == "fail"


def test_a_result_that_was_requested_from_its_instance_is_taken() -> None:
    assert found(ABC, J, seen("j", on="a", at=6_000), LATER) == []


def test_a_result_that_was_taken_later_is_a_warning() -> None:
    finding = only(ABC, J, missed("b", 6_000), seen("j", on="a", at=7_000), LATER)
    assert (finding.finding, finding.severity) == ("asked_elsewhere", "warning")
    assert finding.says == (
        "j was on a, but its history entry was requested from b at 6 s; its result was taken all the same."
    )
    assert severity(ABC, J, missed("b", 6_000), delivered("j", at=7_000), LATER) == [("asked_elsewhere", "warning")]
    by_id = delivered("other-b", at=7_000, prompt_id="j@a")
    assert ("asked_elsewhere", "warning") in severity(ABC, J, missed("b", 6_000), by_id, LATER)


def test_a_job_that_was_submitted_again_for_it_says_so() -> None:
    again = ran("j", on="a", at=8_000, until=9_000, prompt_id="again")
    asked_elsewhere, ran_twice = findings(ABC, J, missed("b", 6_000), again, LATER)
    assert (asked_elsewhere.finding, ran_twice.finding) == ("asked_elsewhere", "ran_twice")
    outcome = "; it was submitted again, to a, at 8 s, and nobody has taken its result so far."
    assert asked_elsewhere.says.endswith(outcome)


def test_a_job_that_was_sent_again_after_it_had_failed_is_not_called_submitted_again_for_it() -> None:
    first = ran("j", on="a", at=1_000, until=5_000, ends="error")
    again = ran("j", on="c", at=8_000, until=9_000), seen("j", on="c", at=10_000)
    assert sentence(ABC, first, missed("b", 6_000), again, LATER).endswith("; its result was taken all the same.")


def test_a_history_entry_that_no_instance_has_yet_is_missed_nowhere() -> None:
    """The right instance would have answered the same: a warning, whatever became of the result."""
    assert severity(ABC, J, missed("b", 3_000), LATER) == [("asked_elsewhere", "warning")]
    state = asked("/api/jobs/j@a", on="b", at=3_000, status=404)
    assert severity(ABC, J, state, LATER) == [("asked_elsewhere", "error")]
    assert "but its state was requested from b" in sentence(ABC, J, state, LATER)


def test_a_picture_that_was_requested_from_another_instance_fails_although_its_history_was_read() -> None:
    read = seen("j", on="a", at=6_000)
    finding = only(ABC, PICTURE, read, not_found("j.png", on="b", at=7_000), LATER)
    assert (finding.finding, finding.severity) == ("asked_elsewhere", "error")
    assert "but its file j.png was requested from b at 7 s" in finding.says
    there = not_found("j.png", on="b", at=7_000), fetched("j.png", on="a", at=8_000)
    assert severity(ABC, PICTURE, read, there, LATER) == [("asked_elsewhere", "warning")]


def test_a_client_that_fetches_no_files_has_its_result_from_history() -> None:
    pieces = ABC, PICTURE, missed("b", 6_000), seen("j", on="a", at=7_000), LATER
    assert severity(*pieces) == [("asked_elsewhere", "warning")]


def test_a_file_that_an_instance_has_or_nobody_has_is_not_requested_elsewhere() -> None:
    everywhere = fetched("input.png", on="b", at=6_000), fetched("j.png", on="b", at=6_000)
    nowhere = not_found("missing.png", on="b", at=6_000)
    taken_result = fetched("j.png", on="a", at=7_000)
    assert found(ABC, PICTURE, everywhere, nowhere, taken_result, LATER) == []


def test_a_file_of_an_instance_on_whose_jobs_a_fault_fired_may_be_late() -> None:
    late = submitted("k", on="b", at=2_000), taken("k", on="b", at=2_000), fired("f", on="b", at=2_500, job="k")
    missing = not_found("j.png", on="b", at=7_000), fetched("j.png", on="a", at=9_000)
    assert found(ABC, PICTURE, late, missing, LATER) == []


def test_a_client_may_look_for_a_file_where_it_has_sent_the_job() -> None:
    first = ran("j", on="b", at=100, until=500, ends="error")
    there = not_found("j.png", on="b", at=7_000), fetched("j.png", on="a", at=9_000)
    assert found(ABC, first, PICTURE, there, LATER) == []


def test_a_file_that_was_removed_by_a_reset_is_nowhere() -> None:
    taken_result = fetched("j.png", on="a", at=6_000)
    missing = not_found("j.png", on="b", at=8_000)
    kept = reset("a", at=7_000)
    assert found(ABC, PICTURE, taken_result, kept, missing, LATER, may_forget=False) == [("asked_elsewhere", "j", "a")]
    assert found(ABC, PICTURE, taken_result, replace(kept, files=True), missing, LATER) == []


def test_of_several_files_of_one_name_the_one_that_nobody_fetched_is_meant() -> None:
    other = ran("k", on="b", at=2_000, until=6_000, file="j.png")
    pieces = ABC, PICTURE, other, fetched("j.png", on="b", at=7_000), not_found("j.png", on="c", at=8_000), LATER
    assert [finding for finding in found(*pieces) if finding[0] == "asked_elsewhere"] == [
        ("asked_elsewhere", "j", "a")
    ]


def test_lists_and_unknown_ids_are_health_checks() -> None:
    checks = [asked(path, on="b", at=6_000) for path in ("/queue", "/history", "/history/none", "/jobs", "/history/")]
    assert found(ABC, J, seen("j", on="a", at=6_000), checks, LATER) == []


def test_a_search_asks_every_instance_on_purpose() -> None:
    at_once = missed("b", 6_000), seen("j", on="a", at=6_100), missed("c", 6_200), LATER
    assert found(ABC, J, at_once) == []
    slowly = missed("b", 6_000), seen("j", on="a", at=6_251), LATER
    assert found(ABC, J, slowly) == [("asked_elsewhere", "j", "a")]
    too_late = seen("j", on="a", at=6_000), missed("b", 6_251), LATER
    assert found(ABC, J, too_late, may_forget=False) == [("asked_elsewhere", "j", "a")]
    not_over_yet = missed("b", 6_000), asked("/queue", on="a", at=6_250)
    assert found(ABC, J, not_over_yet) == []


def test_a_request_that_was_under_way_when_the_job_came_is_not_meant() -> None:
    early = asked("/history/j@a", on="b", at=2_000, began_ms=999)
    assert found(ABC, J, early, seen("j", on="a", at=6_000), LATER) == []


def test_a_job_whose_instance_is_away_may_be_looked_for_elsewhere() -> None:
    ice = frozen("a", at=5_500), thawed("a", at=6_500), seen("j", on="a", at=7_000)
    assert found(ABC, J, ice, missed("b", 6_000), LATER) == []
    gone = crashed("a", at=5_500), missed("b", 6_000), delivered("j", at=7_000)
    assert found(ABC, J, gone, asked("/queue", on="b", at=60_000)) == []


def test_a_job_that_its_instance_has_forgotten_is_nowhere() -> None:
    forgotten = forgot_history("j", on="a", at=5_500), missed("b", 6_000), delivered("j", at=7_000)
    assert found(ABC, J, forgotten, LATER) == []


def test_a_client_may_ask_an_instance_that_did_not_take_its_job() -> None:
    for answer in (rejected("j", on="b", at=500, status=0), rejected("j", on="b", at=500, status=503)):
        assert found(ABC, answer, J, missed("b", 6_000), seen("j", on="a", at=6_500), LATER) == []
    lacking = refused("j", on="b", at=500, missing=["sdxl"])
    assert found(ABC, lacking, J, missed("b", 6_000), seen("j", on="a", at=6_500), LATER) == []


def test_an_id_that_both_instances_have_is_at_home_in_both() -> None:
    moved = ran("j", on="b", at=500, until=800, ends="error", prompt_id="j@a")
    assert found(ABC, moved, J, missed("b", 6_000), seen("j", on="a", at=6_500), LATER) == []


def test_an_instance_that_gave_no_answer_was_not_read() -> None:
    for status in (0, 500):
        assert found(ABC, J, missed("b", 6_000, status=status), seen("j", on="a", at=7_000), LATER) == []


def test_the_farms_own_load_is_not_looked_for_by_the_tested_system() -> None:
    load = [replace(piece, is_load=True) if isinstance(piece, Submitted) else piece for piece in J]
    assert found(ABC, load, missed("b", 6_000), LATER) == []


@pytest.mark.parametrize("way", ["interrupt", "cancel"])
def test_an_interrupt_at_another_instance_stops_nothing(way: str) -> None:
    cancel = Exchanged(
        at_ms=3_000, instance="b", epoch=1, method="POST", path="/api/jobs/j@a/cancel", status=200, began_ms=3_000
    )
    stop = interrupt(on="b", at=3_000, meant="j@a") if way == "interrupt" else cancel
    finding = only(ABC, J, stop, LATER)
    assert (finding.finding, finding.severity) == ("asked_elsewhere", "error")
    assert finding.says == (
        "j was on a, but its interrupt was requested from b at 3 s; it ran to its end, and nobody has taken its "
        "result so far."
    )


def test_an_interrupt_that_reaches_its_job_or_names_it_or_comes_too_late_is_right() -> None:
    taken_result = seen("j", on="a", at=9_000)
    everywhere = [interrupt(on=name, at=3_000, meant="j@a") for name in ("b", "a", "c")]
    named = interrupt(on="b", at=3_000, meant="j@a", job="j")
    too_late = interrupt(on="b", at=6_000, meant="j@a")
    for stop in (everywhere, named, too_late):
        assert found(ABC, J, stop, taken_result, LATER) == []


def test_a_flood_of_requests_is_one_finding() -> None:
    pieces = ABC, J, [missed("b", 6_000) for _ in range(300)], [missed("c", 7_000 + n) for n in range(300)], LATER
    assert [finding.finding for finding in findings(*pieces, polls=1_000)] == ["asked_elsewhere"]


def test_an_incomplete_log_does_not_prove_that_a_result_was_never_taken() -> None:
    verdict = judging.verdict_of(ABC, J, missed("b", 6_000), LATER, defects=["a hole"], delivery=None)
    assert verdict.verdict == "unknown"


# Websockets.


def test_a_job_whose_client_listens_at_another_instance_is_heard_by_nobody() -> None:
    finding = only(ABC, socket_opened(on="b", at=500), J, LATER)
    assert (finding.finding, finding.severity, finding.job, finding.instance) == (
        "listened_elsewhere", "error", "j", "a"
    )
    assert finding.says == (
        "j ran on a from 1 s to 5 s while its client c had its websocket at b only, so that its messages reached "
        "nobody; nobody has taken its result so far."
    )


def test_a_client_that_listens_elsewhere_and_polls_is_warned() -> None:
    finding = only(ABC, socket_opened(on="b", at=500), J, seen("j", on="a", at=6_000), LATER)
    assert finding.severity == "warning"
    assert finding.says.endswith("; its result was taken all the same.")
    failed = ran("j", on="a", at=1_000, until=5_000, ends="error")
    assert severity(ABC, socket_opened(on="b", at=500), failed, LATER) == [("listened_elsewhere", "warning")]


def test_a_websocket_elsewhere_that_is_opened_while_the_job_runs_counts() -> None:
    assert found(ABC, J, socket_opened(on="b", at=2_000), LATER) == [("listened_elsewhere", "j", "a")]
    assert found(ABC, J, socket_opened(on="b", at=6_000), LATER) == []
    gone = socket_opened(on="b", at=500), socket_closed(on="b", at=900)
    assert found(ABC, gone, J, LATER) == []
    reset_with_its_process = socket_opened(on="b", at=500), crashed("b", at=900)
    assert found(ABC, reset_with_its_process, J, LATER) == []


def test_a_new_websocket_for_each_job_may_come_to_the_wrong_instance_each_time() -> None:
    before = socket_opened(on="a", at=100), socket_closed(on="a", at=200), socket_opened(on="b", at=500)
    assert found(ABC, before, J, LATER) == [("listened_elsewhere", "j", "a")]


def test_a_client_that_listens_where_its_job_is_hears_it() -> None:
    assert found(ABC, socket_opened(on="a", at=500), J, LATER) == []
    twice = [socket_opened(on="b", at=400), socket_opened(on="b", at=500), socket_closed(on="b", at=600)]
    late: list[Piece] = [*twice, J, socket_opened(on="a", at=3_000), LATER]
    assert found(ABC, late) == []


def test_a_client_that_listens_at_several_instances_knows_them() -> None:
    both = socket_opened(on="b", at=100), socket_opened(on="c", at=100)
    assert found(ABC, both, J, LATER) == []


def test_a_websocket_that_was_cut_while_the_job_ran_was_not_elsewhere() -> None:
    queued = submitted("j", on="a", at=1_000), answered("j", on="a", at=1_000), taken("j", on="a", at=4_000)
    cut = socket_opened(on="a", at=500), socket_closed(on="a", at=2_000), socket_opened(on="b", at=3_000)
    end = J[-2:]
    assert found(ABC, cut, queued, end, LATER) == []


def test_a_client_that_was_refused_a_websocket_wanted_to_listen_there() -> None:
    for at in (800, 3_000):
        failed = asked("/ws", on="a", at=at, status=503, query="clientId=c")
        assert found(ABC, socket_opened(on="b", at=500), failed, J, LATER) == []
        others = replace(failed, query="clientId=d"), replace(failed, query=""), replace(failed, instance="c")
        assert found(ABC, socket_opened(on="b", at=500), others, J, LATER) == [("listened_elsewhere", "j", "a")]
        said = orphan(socket_opened(on="b", at=500), failed, J)
        assert said == f"{ORPHAN}: its client was refused a websocket there."


def test_another_clients_websocket_and_a_job_without_client_are_no_matter() -> None:
    assert found(ABC, socket_opened("d", on="b", at=500), J, LATER) == []
    nobodys = ran("j", on="a", at=1_000, until=5_000, client=None)
    assert found(ABC, socket_opened(on="b", at=500), nobodys, LATER) == []


# The cause of an orphan.


ORPHAN = "j succeeded on a at 5 s, and nobody has taken its result so far"
OTHERS_ARE_READ = asked("/history", on="b", at=6_000)


def orphan(*pieces: Piece) -> str:
    """Return what *orphaned* says of ``j``, in a log in which other results are read."""
    all_findings = judging.findings(ABC, pieces, OTHERS_ARE_READ, LATER, delivery=None)
    return next(finding.says for finding in all_findings if finding.finding == "orphaned" and finding.job == "j")


def test_an_orphan_has_its_cause() -> None:
    assert orphan(J) == f"{ORPHAN}."
    while_it_ran = missed("b", 3_000)
    assert orphan(J, while_it_ran) == f"{ORPHAN}: its history entry was requested from b at 3 s."
    before = socket_opened(on="a", at=1), socket_closed(on="a", at=2)
    assert orphan(before, J) == f"{ORPHAN}: its client had no websocket there any more."


@pytest.mark.parametrize(("do", "how"), [("mute", "mute"), ("displace", "displaced")])
def test_an_orphan_whose_clients_websocket_was_silenced_by_a_fault_says_so(do: str, how: str) -> None:
    said = f"{ORPHAN}: its client's websocket was {how}."
    opened = socket_opened(on="a", at=1)
    for at in (500, 3_000):
        silenced = fired("f", on="a", at=at, do=do, phase="frame", client_id="c")
        assert orphan(opened, silenced, J) == said
        assert orphan(opened, replace(silenced, client_id="d"), J) == f"{ORPHAN}."
    silenced = fired("f", on="a", at=500, do=do, phase="frame", client_id="c")
    assert orphan(opened, silenced, J, socket_opened(on="a", at=2_000)) == f"{ORPHAN}."
    is_healed = orphan(opened, silenced, FaultHealed(at_ms=600, id="f", reason="healed"), J) == f"{ORPHAN}."
    assert is_healed == (do == "mute")      # A displaced websocket stays displaced.


# Failing servers.


def failing(count: int, *, on: str = "a", first: int = 1_000, name: str = "bad") -> list[Piece]:
    """Jobs that fail one after another, each within a second."""
    starts = [(number, first + 1_000 * number) for number in range(count)]
    return [ran(f"{name}-{number}", on=on, at=at, until=at + 500, ends="error") for number, at in starts]


GOOD = [ran(f"good-{number}", on="b", at=1_200 + 1_000 * number, until=1_700 + 1_000 * number) for number in range(6)]


def test_a_server_that_fails_every_job_and_gets_more_is_found() -> None:
    finding = only(farm("a", "b"), failing(6), GOOD)
    assert (finding.finding, finding.severity, finding.instance) == ("failing_server", "warning", "a")
    assert finding.says == (
        "6 jobs one after another ended in an error at a, from 1.5 s to 6.5 s, each sent after the one before had "
        "failed, while 6 succeeded at b."
    )


def test_a_row_of_failures_is_as_long_as_its_bound_at_least() -> None:
    assert found(farm("a", "b"), failing(5), GOOD) == []
    assert found(farm("a", "b"), failing(5), GOOD, failed_jobs=4) == [("failing_server", "bad-0", "a")]


def test_a_success_ends_the_row() -> None:
    between = ran("fine", on="a", at=3_600, until=3_900)
    assert found(farm("a", "b"), failing(3), between, failing(3, first=4_000, name="worse"), GOOD) == []


def test_jobs_that_fail_everywhere_or_were_sent_at_once_are_not_the_servers_fault() -> None:
    everywhere = failing(6), failing(6, on="b", first=1_500)
    assert found(farm("a", "b"), *everywhere, GOOD) == []
    at_once = [ran(f"bad-{n}", on="a", at=1_000, begins=1_000, until=1_500, ends="error") for n in range(6)]
    assert found(farm("a", "b"), at_once, GOOD) == []


def test_an_interrupted_job_is_no_success_and_the_farms_load_is_no_failure() -> None:
    stopped = ran("unwanted", on="a", at=3_600, until=3_900, ends="interrupted")
    assert found(farm("a", "b"), failing(6), stopped, GOOD) == [("failing_server", "bad-0", "a")]
    load = [replace(event, is_load=True) for event in log(failing(6)) if isinstance(event, Submitted)]
    rest = [event for event in log(failing(6)) if not isinstance(event, Submitted)]
    assert found(farm("a", "b"), load, rest, GOOD) == []


def test_a_row_counts_only_while_others_succeed() -> None:
    assert found(farm("a", "b"), failing(6), ran("k", on="b", at=0, until=100)) == []
