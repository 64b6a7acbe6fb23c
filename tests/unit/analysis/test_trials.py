"""Trials: each is judged by itself, as if the farm had begun with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from msgspec.structs import replace

from comfyfarm import events
from comfyfarm.analysis.log_analysis import LogAnalysis
from comfyfarm.analysis.trials import Trials, UnknownTrial, analyse_saved
from comfyfarm.events import Event, Work
from comfyfarm.events.encoding import as_json
from comfyfarm.events.orders import TrialBegan
from tests.support import logs
from tests.support.logs import (
    Piece,
    answered,
    crashed,
    delivered,
    farm,
    fetched,
    finished,
    interrupt,
    log,
    ran,
    rejected,
    submitted,
    taken,
    trial,
)
from tests.support.timelines import outages, runs

_UNTAKEN = {"orphaned", "undelivered", "nothing_taken"}


def trials_of(*pieces: Piece) -> Trials:
    trials = Trials()
    for event in log(*pieces):
        trials.on_event(event)
    return trials


def names_of(analysis: LogAnalysis) -> list[str]:
    """Return the findings of a trial, without the notes and without those about pictures that nobody took."""
    findings = (finding for finding in analysis.verdict().findings if finding.severity != "note")
    return [finding.finding for finding in findings if finding.finding not in _UNTAKEN]


def found(*pieces: Piece) -> list[str]:
    """Return the same of the last trial."""
    return names_of(trials_of(*pieces).find())


def well(job: str = "j", *, at: int, on: str = "a") -> list[Piece]:
    """A job ran, and its picture was fetched."""
    return [ran(job, on=on, at=at, until=at + 5, file=f"{job}{at}"), fetched(f"{job}{at}", on=on, at=at + 6)]


USED: list[Piece] = [farm("a", "b"), well("old", at=0)]
"""A farm that a client has used before the first trial begins at 100 ms."""


def test_a_trial_is_about_what_came_after_its_beginning() -> None:
    twice = ran("old", on="b", at=20, until=25)
    trials = trials_of(USED, twice, trial("second", at=100), well(at=110))
    assert names_of(trials.find()) == []
    verdict = trials.find().verdict()
    assert (verdict.verdict, verdict.trial, verdict.jobs, verdict.attempts) == ("pass", "second", 1, 1)
    assert names_of(trials.find("")) == ["ran_twice"]


def test_without_a_job_a_trial_is_unknown() -> None:
    analysis = trials_of(USED, logs.asked("/queue", on="a", at=50, status=503), trial(at=100)).find()
    (finding,) = [finding for finding in analysis.verdict().findings if finding.severity == "unknown"]
    assert "no request came at all" in finding.says


def test_one_name_may_stand_for_a_job_in_each_trial() -> None:
    assert found(USED, trial("t1", at=100), well("j", at=110), trial("t2", at=200), well("j", at=210)) == []


@pytest.mark.parametrize("end", ["success", "error", "interrupted"])
def test_a_job_of_an_earlier_trial_may_end_in_a_later_one(end: str) -> None:
    """Also if a job of the later trial has its name."""
    old = submitted("j", on="a", at=50, prompt_id="p"), taken("j", on="a", at=51, prompt_id="p")
    ends = answered("j", on="a", at=110, prompt_id="p"), finished("j", on="a", at=120, prompt_id="p", ends=end)
    assert found(USED, old, trial(at=100), ends, well("k", at=130)) == []
    assert found(USED, old, trial(at=100), well("j", at=105, on="b"), ends, delivered("j", at=140)) == []
    assert found(USED, old, trial(at=100), ends, delivered("j", at=130), well("k", at=140)) == []


def test_a_job_of_an_earlier_trial_may_be_lost_or_stopped_in_a_later_one() -> None:
    old = submitted("j", on="a", at=50), taken("j", on="a", at=51), submitted("i", on="a", at=52)
    lost = crashed("a", at=110, lost=["j", "i"]), logs.ready("a", at=111, epoch=2)
    assert found(USED, old, trial(at=100), lost, well("k", at=120, on="b"), logs.healed(at=90_000)) == []
    stopped = interrupt(on="a", at=110, hit="j", job="k"), finished("j", on="a", at=111, ends="interrupted")
    assert found(USED, old, trial(at=100), stopped, well("k", at=120, on="b")) == []


def test_a_request_of_an_earlier_trial_may_be_refused_in_a_later_one() -> None:
    refused = rejected("j", on="a", at=110, status=503, began=90)
    assert found(USED, trial(at=100), refused, well("k", at=120), logs.healed(at=90_000)) == []
    assert found(USED, trial(at=100), replace(refused, began_ms=100), logs.healed(at=90_000)) == ["no_retry"]


def test_what_an_earlier_trial_made_may_be_delivered_in_a_later_one() -> None:
    """What no trial has made may not."""
    for job in ("old", "older"):
        between = trial("t1", at=100), well("k", at=110), trial("t2", at=200), well("l", at=210)
        late = delivered("l", at=219), delivered(job, at=220)
        assert found(USED, well("older", at=10), between, late) == []
    assert found(USED, between, delivered("l", at=219), delivered("never", at=220)) == ["false_completion"]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([crashed("b", at=50)], [], []),
        ([logs.draining("b", at=50)], well("k", at=101, on="b"), ["sent_to_draining"]),
        ([logs.draining("b", at=20), logs.draining("b", at=50, ends=True)], well("k", at=101, on="b"), []),
        ([logs.healed(at=50)], submitted("k", on="a", at=110), ["stuck"]),
        ([logs.healed(at=50), logs.frozen("b", at=60)], submitted("k", on="a", at=110), ["unfinished"]),
        ([logs.asked("/queue", on="b", at=50, status=0)], [
            [rejected(f"k{at}", on="a", at=at, status=503), well(f"k{at}", at=at + 1)] for at in range(200, 1400, 100)
        ], []),
        ([logs.armed("f", on="a")], [], []),
    ],
    ids=["down", "draining", "drained", "healed", "disturbed", "failing", "armed"],
)
def test_the_state_of_the_instances_counts_from_the_beginning(
    before: Iterable[Piece], after: Piece, expected: list[str]
) -> None:
    pieces = list(before), trial(at=100), well(at=102), after
    assert found(USED, pieces, logs.asked("/", on="a", at=700_000)) == expected


def test_an_instance_that_was_available_all_the_time_is_no_excuse() -> None:
    """The reaction of a client is judged in a second trial as in a first."""
    lost = submitted("j", on="a", at=110), answered("j", on="a", at=110), crashed("a", at=120, lost=["j"])
    assert found(USED, trial(at=100), lost, logs.asked("/", on="b", at=30_119)) == ["unfinished"]
    assert found(USED, trial(at=100), lost, logs.asked("/", on="b", at=30_120)) == ["lost"]


def test_a_fault_that_fired_before_is_not_said_to_have_never_fired() -> None:
    armed = logs.armed("f", on="a"), logs.armed("g", on="a")
    analysis = trials_of(USED, armed, logs.fired("f", on="a", at=50), trial(at=100), well(at=110)).find()
    notes = [finding.says for finding in analysis.verdict().findings if finding.finding == "fault_never_fired"]
    assert [note.split()[2] for note in notes] == ["g"]
    assert [(fault.id, fault.fired) for fault in analysis.faults()] == [("g", 0)]


def test_an_open_websocket_is_still_open() -> None:
    """Else a job would seem to run without one at its instance."""
    elsewhere = logs.socket_opened(on="b", at=50)
    own = logs.socket_opened(on="a", at=51)
    begun = trial(at=100, delivery="none")
    run: list[Piece] = [submitted("j", on="a", at=110), answered("j", on="a", at=110), taken("j", on="a", at=110)]
    end = finished("j", on="a", at=120)
    assert found(USED, elsewhere, begun, run, end) == ["listened_elsewhere"]
    assert found(USED, own, begun, run, end) == []


def test_a_model_in_memory_is_a_reason_to_choose_an_instance() -> None:
    work = Work(models=(("checkpoints", "m", 1),))
    loaded = logs.loaded("a", "m", at=50, job="old")
    job = ran("j", on="a", at=110, until=120, work=work)
    analysis = trials_of(USED, loaded, trial(at=100), job).find()
    assert analysis.placement().dispatches == 1
    (choice,) = analysis._placement.choices()
    assert [len(option.snapshot.models) for option in choice.options] == [1, 0]
    assert len(analysis._placement._recorder.workload().warm["a"]) == 1


def test_settings_are_those_of_the_beginning() -> None:
    changed = logs.set_to("a", at=50, vram="8GB")
    analysis = trials_of(USED, changed, trial(at=100), well(at=110)).find()
    assert analysis._verdict.fleet.members["a"].settings == {"name": "a", "vram": "8GB"}
    assert analysis.seed == 1


def test_placement_counts_a_job_of_an_earlier_trial_as_load() -> None:
    old = submitted("j", on="a", at=50), taken("j", on="a", at=51), submitted("i", on="a", at=52)
    analysis = trials_of(USED, old, trial(at=100), ran("j", on="b", at=110, until=120)).find()
    placement = analysis.placement()
    assert (placement.jobs, placement.dispatches) == (1, 1)
    (choice,) = analysis._placement.choices()
    assert [option.snapshot.depth for option in choice.options] == [2, 0]


def test_the_timeline_begins_with_the_trial() -> None:
    old = submitted("j", on="a", at=50), taken("j", on="a", at=60)
    before = crashed("b", at=50), logs.draining("a", at=60), logs.healed(at=70)
    pieces = old, before, trial(at=100), finished("j", on="a", at=120), well("k", at=130)
    line = trials_of(USED, pieces).find().timeline()
    assert (line.from_ms, line.end_ms) == (100, 136)
    assert runs(line, "a") == [("j (not of this trial)", 100, 120), ("k", 130, 135)]
    assert [(outage.kind, outage.from_ms) for outage in [*outages(line, "a"), *outages(line, "b")]] == [
        ("draining", 100), ("down", 100),
    ]
    assert line.marks == []


def test_what_the_farm_did_in_its_first_second_is_part_of_the_first_trial() -> None:
    """It has begun before anybody could begin a trial."""
    load = replace(submitted("load", on="a", at=0), is_load=True)
    trials = trials_of(farm("a"), load, logs.fired("f", on="a", at=0), trial("first", at=1), well(at=10))
    assert [mark.kind for mark in trials.find().timeline().lanes["a"].marks] == ["fault"]
    assert trials.find() is trials.find("first")
    with pytest.raises(UnknownTrial, match=r"there is no '' \(there are: first\)"):
        trials.find("")
    later = trials_of(farm("a"), load, trial("first", at=1001), well(at=1010)).find()
    assert later.timeline().from_ms == 1001
    assert runs(later.timeline(), "a") == [("j", 1010, 1015)]
    assert later.placement().jobs == 1


def test_a_delivery_of_what_another_job_of_the_name_has_made_is_none_of_the_trials() -> None:
    old = submitted("j", on="a", at=50, prompt_id="p"), taken("j", on="a", at=51, prompt_id="p")
    made = finished("j", on="a", at=120, prompt_id="p"), delivered("j", at=130, prompt_id="p")
    stamped = delivered("j", at=131, stamp_job="j", stamp_prompt_id="p")
    assert found(USED, old, trial(at=100), well("j", at=105, on="b"), made, stamped, delivered("j", at=140)) == []
    stolen = delivered("k", at=150, prompt_id="p")
    assert found(USED, old, trial(at=100), well("k", at=105, on="b"), made, stolen) == ["misattributed"]


# Earlier trials.

THREE: list[Piece] = [
    farm("a", "b"),
    trial("one", at=1), submitted("j", on="a", at=10),
    trial("two", at=100), finished("j", on="a", at=110), well("k", at=120), well("k", at=130, on="b"),
    trial("three", at=200), well("j", at=210),
]


def test_an_earlier_trial_is_judged_as_it_was_at_its_end() -> None:
    trials = trials_of(THREE)
    assert [names_of(trials.find(name)) for name in ("one", "two", "three")] == [["unfinished"], ["ran_twice"], []]
    two, three = trials.find("two"), trials.find("three")
    assert (two.first_seq, two.end_seq, three.first_seq, three.end_seq) == (6, 24, 25, None)


@pytest.mark.parametrize("name", [None, "one", "two", "three"])
def test_a_saved_log_gives_the_same_bytes(name: str | None) -> None:
    lines = [as_json(event) + b"\n" for event in log(THREE)]
    saved, live = analyse_saved(lines, trial=name), trials_of(THREE).find(name)
    assert as_json(saved.verdict()) == as_json(live.verdict())
    assert as_json(saved.placement()) == as_json(live.placement())


def test_a_defect_before_a_trial_counts_and_one_after_it_does_not() -> None:
    """State may be missing; what came later cannot have been part of it."""
    lines = [as_json(event) + b"\n" for event in log(THREE)]
    early, late = [*lines[:2], b"torn", *lines[2:]], [*lines, b"torn"]
    assert names_of(analyse_saved(early, trial="three")) == ["log_incomplete"]
    assert names_of(analyse_saved(late, trial="one")) == ["unfinished"]


def test_an_unknown_trial_names_those_that_there_are() -> None:
    with pytest.raises(UnknownTrial, match=r"there is no 'four' \(there are: one, two, three\)"):
        trials_of(THREE).find("four")


def test_an_old_trial_is_no_longer_kept_unless_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comfyfarm.analysis.trials.KEPT", 20)
    trials = trials_of(THREE)
    assert trials.find("two").end_seq == 24
    with pytest.raises(UnknownTrial, match=r"'one' is over and no longer kept; .* comfyfarm judge FILE --trial one"):
        trials.find("one")
    lines = [as_json(event) + b"\n" for event in log(THREE)]
    assert names_of(analyse_saved(lines, trial="one")) == ["unfinished"]


def test_of_many_trials_the_latest_hundred_are_kept() -> None:
    trials = trials_of(farm("a"), [trial(f"t{number}", at=number) for number in range(150)])
    assert len(trials.names) == 150
    assert len(trials._kept) == 100
    with pytest.raises(UnknownTrial, match=r"there are: \.\.\., t130, .*, t149\)"):
        trials.find("t150")


# From an event on.


def since(seq: int | None, events_: Sequence[Event], client: str = "") -> LogAnalysis:
    trials = Trials()
    for event in events_:
        trials.on_event(event)
    return trials.since(seq, events_, client)


@pytest.mark.parametrize("seq", range(2, len(log(THREE)) + 1))
def test_from_any_event_on_nothing_false_is_found(seq: int) -> None:
    """Only what is true of the jobs that came after it."""
    analysis = since(seq, log(THREE))
    twice = [event for event in log(THREE)[seq:] if isinstance(event, events.Submitted) and event.job == "k"]
    assert ("ran_twice" in names_of(analysis)) == (len(twice) == 2)
    assert set(names_of(analysis)) <= {"ran_twice", "no_job"}
    assert analysis.verdict().trial == ""


def test_what_the_log_no_longer_has_cannot_be_judged_from_there() -> None:
    whole = log(THREE)
    trials = trials_of(THREE)
    with pytest.raises(UnknownTrial, match="what came after seq 3 is no longer in memory"):
        trials.since(3, whole[10:])


def test_a_copy_of_the_state_now_and_then_serves_long_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comfyfarm.analysis.trials._CHECKPOINT", 10)
    many = [well(f"j{at}", at=at) for at in range(2, 900, 10)]
    whole = log(farm("a", "b"), logs.draining("b", at=1), many, well("k", at=990, on="b"))
    trials = trials_of(whole)
    assert names_of(trials.since(len(whole) - 20, whole[-35:])) == ["sent_to_draining"]


# Side by side.


def beside(name: str, client: str, *, at: int) -> Event:
    return TrialBegan(at_ms=at, name=name, client=client)


def of(client: str, job: str, *, at: int, on: str = "a", ends: str = "success", prompt_id: str = "") -> list[Event]:
    return ran(job, on=on, at=at, until=at + 5, client=client, ends=ends, prompt_id=prompt_id or f"{client}-{at}")


def test_trials_side_by_side_have_the_jobs_of_their_clients() -> None:
    """Also if both send jobs of one name, as the hash of a common workflow."""
    begin = beside("one", "w1-*", at=10), beside("two", "w2-*", at=20)
    jobs = of("w1-a", "j", at=30), of("w2-a", "j", at=30, on="b"), of("w2-b", "j", at=50), of("w3", "k", at=50, on="b")
    trials = trials_of(USED, begin, jobs)
    assert (names_of(trials.find("one")), names_of(trials.find("two"))) == ([], ["ran_twice"])
    assert [trials.find(name).verdict().jobs for name in ("one", "two")] == [1, 1]
    assert [trials.find(name).placement().dispatches for name in ("one", "two")] == [1, 2]
    assert trials.find().verdict().trial == ""


def test_a_trial_side_by_side_ends_with_the_next_of_its_clients() -> None:
    begin = beside("one", "w1-*", at=10), trial("all", at=30), beside("next", "w1-*", at=100)
    trials = trials_of(USED, begin, of("w1-a", "j", at=40), of("w1-a", "k", at=50), of("w1-a", "l", at=110))
    assert [trials.find(name).verdict().jobs for name in ("one", "all", "next")] == [2, 3, 1]
    assert trials.current_name == "all"


def test_the_failures_deliveries_and_interrupts_of_others_are_not_held_against_a_trial() -> None:
    failing = [rejected("j", on="a", at=at, status=503, client="w2") for at in range(200, 1400, 100)]
    stopped: list[Piece] = [
        submitted("k", on="b", at=30, client="w2"),
        taken("k", on="b", at=31),
        interrupt(on="b", at=32, hit="k", job="l"),
        finished("k", on="b", at=33, ends="interrupted"),
    ]
    reports = delivered("m", at=40), logs.order("m", at=41), logs.order("m", at=42, state="failed")
    polls = [logs.asked("/queue", on="a", at=50, client_id="w2") for _ in range(500)]
    pieces = beside("one", "w1", at=10), failing, stopped, reports, polls, of("w1", "j", at=20)
    assert names_of(trials_of(USED, pieces).find("one")) == []


def test_a_report_about_a_job_counts_where_the_job_is_submitted() -> None:
    """Also if it came before the job."""
    jobs = logs.order("j", at=20), of("w1", "j", at=30), of("w2", "k", at=30, on="b")
    begin = beside("one", "w1", at=10), beside("two", "w2", at=11)
    trials = trials_of(USED, begin, jobs, delivered("j", at=40), delivered("j", at=41))
    assert (names_of(trials.find("one")), names_of(trials.find("two"))) == (["delivered_twice"], [])
    order = trials.find("one")._verdict.tracker.jobs["j"].order
    assert order is not None
    assert order.asked_ms == 20


def test_any_part_of_the_log_can_be_judged_for_some_clients() -> None:
    whole = log(USED, trial(at=100), of("w1", "j", at=110), of("w2", "j", at=120), of("w2", "j", at=130, on="b"))
    assert (names_of(since(None, whole, "w1")), names_of(since(None, whole, "w2"))) == ([], ["ran_twice"])
    assert since(None, whole, "w*").verdict().jobs == 1
