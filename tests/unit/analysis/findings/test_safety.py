"""Findings about results: each with a log that proves it, and a similar one that does not."""

from __future__ import annotations

from msgspec.structs import replace

from tests.support.judging import found, only, sentence, used, verdict_of
from tests.support.logs import (
    Piece,
    answered,
    armed,
    asked,
    crashed,
    delivered,
    farm,
    fetched,
    finished,
    fired,
    frozen,
    interrupt,
    order,
    ran,
    ready,
    refusing,
    rejected,
    reset,
    started,
    submitted,
    taken,
    taken_out,
    thawed,
    trial,
    written,
)

HASH = "0123456789abcdef"
A_MINUTE_LATER = asked("/object_info", on="b", at=60_000)


def test_a_job_that_went_down_with_its_process_and_was_not_sent_again_is_lost() -> None:
    pieces = farm("a", "b"), used("b"), submitted("j", on="a", at=3_200), crashed("a", at=4_000, lost=["j"])
    finding = only(*pieces, A_MINUTE_LATER)
    assert (finding.finding, finding.severity, finding.job, finding.instance) == ("lost", "error", "j", "a")
    assert finding.says == (
        "j was accepted by a at 3.2 s, a went down with it at 4 s, and nobody sent it again in the 56 s since."
    )
    assert finding.events == (8 + 2, 8 + 3)


def test_a_job_that_was_sent_again_after_a_crash_is_not_lost() -> None:
    again = ran("j", on="b", at=5_000, until=6_000)
    assert found(farm("a", "b"), submitted("j", on="a", at=1), crashed("a", at=4_000, lost=["j"]), again) == []


def test_a_client_is_given_time_before_a_job_is_called_lost() -> None:
    pieces = farm("a", "b"), used("b"), submitted("j", on="a", at=1_000), crashed("a", at=4_000, lost=["j"])
    soon = asked("/queue", on="b", at=33_999)
    assert verdict_of(*pieces, soon).verdict == "unknown"
    assert found(*pieces, soon) == [("unfinished", "j", "a")]
    assert sentence(*pieces, soon) == (
        "j was lost with a at 4 s, and its client has had only 29.999 s to send it again."
    )
    assert found(*pieces, asked("/queue", on="b", at=34_000)) == [("lost", "j", "a")]
    assert found(*pieces, soon, reaction=29_999) == [("lost", "j", "a")]


def test_a_job_is_not_called_lost_while_there_is_no_instance_to_send_it_to() -> None:
    pieces = farm("a"), submitted("j", on="a", at=1_000), crashed("a", at=4_000, lost=["j"])
    assert sentence(*pieces, armed("f", on=["a"], at=90_000), fired("f", on="a", at=90_000)) == (
        "j was lost with a at 4 s, and no instance has been available since to send it to again."
    )
    back = [started("a", at=100_000), ready("a", at=101_000, epoch=2)]
    assert found(*pieces, back, asked("/queue", on="a", at=130_999)) == [("unfinished", "j", "a")]
    assert found(*pieces, back, asked("/queue", on="a", at=131_000)) == [("lost", "j", "a")]


def test_a_job_is_not_called_lost_while_every_instance_answers_with_5xx() -> None:
    pieces = farm("a", "b"), used("b"), submitted("j", on="a", at=1_000), crashed("a", at=4_000, lost=["j"])
    down = [asked("/system_stats", on="b", at=at, status=503) for at in range(5_000, 60_000, 5_000)]
    assert found(*pieces, down, asked("/object_info", on="b", at=60_000)) == [("unfinished", "j", "a")]
    assert found(*pieces, down, asked("/object_info", on="b", at=84_999)) == [("unfinished", "j", "a")]
    assert sentence(*pieces, down, asked("/object_info", on="b", at=84_999)).endswith("only 29.999 s to send it again.")
    assert found(*pieces, down, asked("/object_info", on="b", at=85_000)) == [("lost", "j", "a")]
    assert found(*pieces, down[:1], A_MINUTE_LATER) == [("lost", "j", "a")]
    assert found(farm("c"), used("c"), *pieces, down, A_MINUTE_LATER) == [("lost", "j", "a")]


def test_a_job_is_not_lost_where_its_client_could_see_how_it_ended() -> None:
    for end in (
        finished("j", on="a", at=2_000, ends="error"),
        finished("j", on="a", at=2_000, ends="interrupted"),
        [reset("a", at=2_000)],
    ):
        pieces = farm("a"), submitted("j", on="a", at=1), taken("j", on="a", at=2), end
        assert found(*pieces, asked("/queue", on="a", at=90_000)) == []
    deleted = farm("a"), submitted("j", on="a", at=1), taken_out("j", on="a", at=5)
    assert found(*deleted, asked("/queue", on="a", at=90_000)) == []


def test_a_second_attempt_that_is_lost_after_an_error_counts() -> None:
    first = ran("j", on="b", at=0, until=5, ends="error")
    second = submitted("j", on="a", at=6), crashed("a", at=10, lost=["j"])
    assert found(farm("a", "b"), first, second, A_MINUTE_LATER) == [("lost", "j", "a")]


def test_a_lost_job_that_its_user_gave_up_is_not_lost() -> None:
    pieces = farm("a", "b"), used("b"), submitted("j", on="a", at=1), crashed("a", at=10, lost=["j"]), A_MINUTE_LATER
    assert found(*pieces, interrupt(on="b", at=20, job="j")) == []
    assert found(*pieces, interrupt(on="a", at=5, meant="j")) == []
    assert found(*pieces, interrupt(on="b", at=20, job="other")) == [("lost", "j", "a")]


def test_a_job_whose_picture_was_fetched_before_the_crash_is_not_lost() -> None:
    """Every node had finished and its client knew it; only the history entry was never made."""
    run = ran("j", on="a", at=0, until=10, file="x.png")[:-1]
    pieces = farm("a", "b"), used("b"), run, crashed("a", at=12, lost=["j"]), A_MINUTE_LATER
    assert found(*pieces, fetched("x.png", on="a", at=11)) == []
    assert found(*pieces) == [("lost", "j", "a")]


def test_a_job_that_ran_to_its_end_on_two_instances_ran_twice() -> None:
    runs = ran("j", on="a", at=0, until=3_000), ran("j", on="b", at=2_000, until=2_500)
    finding = only(farm("a", "b"), *runs)
    assert (finding.finding, finding.severity, finding.job) == ("ran_twice", "error", "j")
    assert finding.says == (
        "j ran 2 times to its end, on b at 2.5 s, on a at 3 s; the second was sent at 2 s, "
        "while the first was under way."
    )


def test_a_job_that_ran_twice_but_once_to_its_end_did_not_run_twice() -> None:
    runs = ran("j", on="a", at=0, until=3, ends="error"), ran("j", on="b", at=4_000, until=5_000)
    assert found(farm("a", "b"), *runs) == []


def test_ran_twice_tells_of_an_answer_that_never_came() -> None:
    first = submitted("j", on="a", at=0), taken("j", on="a", at=0), answered("j", on="a", at=10_000, status=0, began=0)
    pieces = farm("a", "b"), first, finished("j", on="a", at=11_000), ran("j", on="b", at=10_001, until=12_000)
    assert sentence(*pieces).endswith("; its first submission, to a, was never answered.")


def test_the_same_prompt_without_a_name_may_be_wanted_several_times() -> None:
    runs = [ran(HASH, on="ab"[n % 2], at=n * 100, until=3_000 + n * 1_000, prompt_id=f"{n}@a") for n in range(6)]
    finding = only(farm("a", "b"), runs)
    assert (finding.finding, finding.severity, finding.job) == ("unnamed", "note", HASH)
    assert finding.says.startswith(f"The prompt {HASH} ran 6 times to its end; it has no name")
    assert verdict_of(farm("a", "b"), runs).verdict == "pass"
    named = [ran("j", on="ab"[n % 2], at=n * 100, until=3_000 + n * 1_000, prompt_id=f"{n}@a") for n in range(6)]
    assert found(farm("a", "b"), named) == [("ran_twice", "j", "")]


def unnamed_runs(*more: Piece, second_at: int = 2_000, status: int = 200) -> list[tuple[str, str, str]]:
    """A prompt runs on ``a`` until 5 s, its answer leaves at 1 s, and it is sent to ``b``, too."""
    first = submitted(HASH, on="a", at=0), taken(HASH, on="a", at=0), answered(HASH, on="a", at=1_000, status=status)
    second = ran(HASH, on="b", at=second_at, until=second_at + 1_000)
    return found(farm("a", "b"), first, finished(HASH, on="a", at=5_000), second, *more)


def test_a_prompt_that_was_sent_again_without_an_answer_ran_twice() -> None:
    for status in (0, 500, 502):
        assert unnamed_runs(status=status) == [("ran_twice", HASH, "")]
        assert unnamed_runs(status=status, second_at=999) == [("unnamed", HASH, "")]
    assert unnamed_runs() == [("unnamed", HASH, "")]
    garbled = fired("f", on="a", at=0, do="garbage", job=HASH, phase="reply", route="/prompt", prompt_id=None)
    assert unnamed_runs(garbled) == [("ran_twice", HASH, "")]


def test_a_prompt_that_was_sent_again_while_its_instance_was_in_trouble_ran_twice() -> None:
    troubles: list[list[Piece]] = [
        [frozen("a", at=1_500), thawed("a", at=4_000)],
        [refusing("a", at=1_500), refusing("a", at=4_000, ends=True)],
        [fired("f", on="a", at=1_500, job=HASH, do="hang")],
    ]
    for trouble in troubles:
        assert unnamed_runs(*trouble) == [("ran_twice", HASH, "")]
        assert unnamed_runs(*trouble, second_at=1_400) == [("unnamed", HASH, "")]
        assert unnamed_runs(*trouble, second_at=6_000) == [("unnamed", HASH, "")]


def test_a_prompt_that_failed_first_and_then_ran_several_times_may_have_been_wanted_so() -> None:
    runs = [ran(HASH, on="b", at=at, until=at + 10, prompt_id=f"{at}@b") for at in (2_000, 3_000)]
    assert found(farm("a", "b"), rejected(HASH, on="a", at=1_000, status=503), runs) == [("unnamed", HASH, "")]


def test_the_same_prompt_id_sent_twice_to_one_instance_ran_twice() -> None:
    pieces = [submitted("j", on="a", at=0), submitted("j", on="a", at=1)]
    runs = taken("j", on="a", at=2), finished("j", on="a", at=3), taken("j", on="a", at=4), finished("j", on="a", at=5)
    assert found(farm("a"), pieces, *runs) == [("ran_twice", "j", "")]


def test_one_result_given_to_its_user_twice_was_delivered_twice() -> None:
    run = farm("a"), ran("j", on="a", at=0, until=3_000)
    for again in (
        [delivered("j", at=4_000), delivered("j", at=5_000)],
        [delivered("j", at=4_000, file="x.png"), delivered("j", at=5_000, file="x.png")],
        [delivered("j", at=4_000, on="a", file="x.png"), delivered("j", at=5_000, on="b", file="y.png")],
        [delivered("j", at=4_000, prompt_id="j@a", file="x"), delivered("j", at=5_000, prompt_id="j@c", file="y")],
    ):
        finding = next(each for each in verdict_of(*run, again).findings if each.severity == "error")
        assert (finding.finding, finding.job) == ("delivered_twice", "j")
        assert finding.says.startswith("j was delivered at 4 s")


def test_several_files_of_one_attempt_are_one_delivery() -> None:
    parts = [delivered("j", at=4_000 + each, on="a", prompt_id="j@a", file=f"{each}.png") for each in range(4)]
    assert found(farm("a"), ran("j", on="a", at=0, until=3_000), parts, may_forget=False) == []


def test_a_second_run_is_told_once_and_not_as_an_orphan() -> None:
    runs = ran("j", on="a", at=0, until=3_000, file="j"), ran("j", on="b", at=0, until=4_000, file="k")
    assert found(farm("a", "b"), runs, fetched("j", on="a", at=5_000)) == [("ran_twice", "j", "")]


def test_another_jobs_picture_is_misattributed_by_its_stamp() -> None:
    runs = farm("a"), ran("j", on="a", at=0, until=1_000), ran("k", on="a", at=0, until=2_000)
    swapped = delivered("j", at=3_000, stamp_job="k"), delivered("k", at=3_000, stamp_job="k")
    finding = only(*runs, *swapped)
    assert (finding.finding, finding.severity, finding.job) == ("misattributed", "error", "j")
    assert finding.says == "What was delivered as j at 3 s is k's, as the picture's stamp says."
    right = delivered("j", at=3_000, stamp_job="j"), delivered("k", at=3_000, stamp_job="k")
    assert found(*runs, *right) == []


def test_another_jobs_prompt_id_is_misattributed() -> None:
    runs = farm("a"), ran("j", on="a", at=0, until=1_000), ran("k", on="a", at=0, until=2_000)
    swapped = [delivered("j", at=3_000, prompt_id="k@a"), delivered("k", at=3_000, stamp_prompt_id="j@a")]
    assert found(*runs, swapped) == [("misattributed", "j", ""), ("misattributed", "k", "")]
    unknown = [delivered("j", at=3_000, prompt_id="elsewhere"), delivered("k", at=3_000, prompt_id="k@a")]
    assert found(*runs, unknown) == []


def test_a_picture_that_comes_too_soon_and_is_anothers_is_told_once() -> None:
    runs = farm("a"), ran("j", on="a", at=0, until=9_000), ran("k", on="a", at=0, until=2_000), delivered("k", at=9_500)
    assert found(*runs, delivered("j", at=3_000, stamp_job="k")) == [("misattributed", "j", "")]


def test_done_is_false_before_a_run_has_come_to_its_end() -> None:
    pieces = farm("a"), ran("j", on="a", at=0, until=5_000)
    finding = only(*pieces, delivered("j", at=4_000))
    assert (finding.finding, finding.severity) == ("false_completion", "error")
    assert finding.says == "j was reported as delivered at 4 s, when its attempt on a had not ended yet."
    assert found(*pieces, delivered("j", at=5_000)) == []


def test_done_is_true_as_soon_as_every_node_is_done() -> None:
    """``execution_success`` goes out before the history entry exists."""
    run = ran("j", on="a", at=0, until=5_000)
    late = run[:-1], delivered("j", at=5_001), finished("j", on="a", at=9_000)[1:]
    assert found(farm("a"), late) == []


def test_done_is_false_for_a_job_that_was_lost_or_never_sent() -> None:
    lost = submitted("j", on="a", at=0), crashed("a", at=10, lost=["j"])
    says_done = delivered("other-b", at=2), delivered("j", at=20)
    assert found(farm("a", "b"), used("b"), lost, *says_done, A_MINUTE_LATER) == [("false_completion", "j", "")]
    assert sentence(farm("a"), used("a"), delivered("other-a", at=2), delivered("j", at=20)).endswith(
        "when it had been sent to no instance."
    )
    failed = rejected("j", on="b", at=5, status=503)
    assert found(farm("b"), failed, delivered("j", at=20), A_MINUTE_LATER) == [("false_completion", "j", "")]


def test_an_interrupt_that_names_one_job_and_stops_another_is_wrong() -> None:
    run = ran("j", on="a", at=0, until=2_000, ends="interrupted")
    finding = only(farm("a"), run, interrupt(on="a", at=1_500, hit="j", job="k"))
    assert (finding.finding, finding.severity, finding.job, finding.instance) == ("wrong_cancel", "error", "j", "a")
    assert finding.says == "An interrupt on a at 1.5 s stopped j, though it was meant for k."
    assert found(farm("a"), run, interrupt(on="a", at=1_500, hit="j", job="j")) == []


def test_an_interrupt_that_comes_too_late_hits_nobody() -> None:
    runs = ran("k", on="a", at=0, until=1_000), ran("j", on="a", at=0, until=2_000)
    assert found(farm("a"), runs, interrupt(on="a", at=1_500, meant="k", job="k")) == []


def stopped_without_a_name(job: str = "j", *more: Piece) -> list[tuple[str, str, str]]:
    """A job beside another one is hit by an interrupt without names, and sent again."""
    stopped = ran(job, on="a", at=0, until=2_000, ends="interrupted")
    waiting = ran("k", on="a", at=0, begins=2_000, until=3_000)
    again = ran(job, on="b", at=4_000, until=5_000)
    return found(farm("a", "b"), stopped, waiting, again, interrupt(on="a", at=1_500, hit=job), *more)


def test_an_interrupt_without_a_name_is_wrong_where_what_it_hit_is_sent_again() -> None:
    assert stopped_without_a_name() == [("wrong_cancel", "j", "a")]


def test_an_interrupt_without_a_name_proves_nothing_where_it_may_have_been_meant() -> None:
    stopped = ran("j", on="a", at=0, until=2_000, ends="interrupted"), interrupt(on="a", at=1_500, hit="j")
    again = ran("j", on="b", at=4_000, until=5_000)
    company = ran("k", on="a", at=0, begins=2_000, until=3_000)
    assert found(farm("a", "b"), stopped, again) == []                          # nobody else was there
    assert found(farm("a"), stopped, company) == []                             # nobody wanted it back
    hang = armed("f", on=["a"]), fired("f", on="a", at=100, job="j", do="hang")
    assert stopped_without_a_name("j", *hang) == []                             # its client moved it away from a fault
    assert stopped_without_a_name(HASH) == []                                   # the same prompt, but the same wish?


def withdrawn_beside(*more: Piece, withdrawn: int = 1_000, at: int = 1_500) -> list[Piece]:
    """The order k is withdrawn while it waits behind j; an interrupt without names stops j."""
    stopped = ran("j", on="a", at=0, until=2_000, ends="interrupted"), interrupt(on="a", at=at, hit="j")
    waiting = ran("k", on="a", at=1, begins=2_000, until=3_000)
    orders = order("j", at=0), order("k", at=0), order("k", at=withdrawn, state="withdrawn")
    return [farm("a"), *orders, stopped, waiting, delivered("k", at=3_001), *more]


def wrong_cancels(*pieces: Piece) -> list[str]:
    return [finding.job for finding in verdict_of(*pieces).findings if finding.finding == "wrong_cancel"]


def test_an_interrupt_without_a_name_is_wrong_if_the_order_that_was_withdrawn_is_another_one_there() -> None:
    (finding,) = (each for each in verdict_of(*withdrawn_beside()).findings if each.finding == "wrong_cancel")
    assert (finding.severity, finding.job, finding.instance) == ("error", "j", "a")
    assert finding.says == (
        "An interrupt on a at 1.5 s stopped j, which its user still wanted: it was k that was withdrawn, at 1 s; the "
        "interrupt named no prompt_id, so it stopped whatever was running."
    )


def test_so_it_is_if_the_withdrawn_job_was_taken_out_of_the_queue_too_or_had_ended_just_before() -> None:
    orders = order("j", at=0), order("k", at=0), order("k", at=1_000, state="withdrawn")
    stopped = ran("j", on="a", at=500, until=2_000, ends="interrupted"), interrupt(on="a", at=1_500, hit="j")
    removed = submitted("k", on="a", at=600), taken_out("k", on="a", at=1_001)
    for other in (removed, ran("k", on="a", at=0, until=1_200)):
        assert wrong_cancels(farm("a"), orders, stopped, other) == ["j"]


def test_an_interrupt_without_a_name_proves_nothing_about_orders_if_it_may_have_been_meant() -> None:
    assert wrong_cancels(*withdrawn_beside(order("j", at=1_400, state="withdrawn"))) == []
    assert wrong_cancels(*withdrawn_beside(withdrawn=1_600)) == []      # after the interrupt
    hang = armed("f", on=["a"]), fired("f", on="a", at=100, job="j", do="hang")
    assert wrong_cancels(*withdrawn_beside(*hang)) == []
    stopped = ran("j", on="a", at=0, until=50_000, ends="interrupted"), interrupt(on="a", at=45_000, hit="j")
    waiting = ran("k", on="a", at=1, begins=50_000, until=51_000)
    withdrawn = order("k", at=1_000, state="withdrawn")
    assert wrong_cancels(farm("a"), order("j", at=0), stopped, waiting, withdrawn) == []        # long before
    soon = ran("j", on="a", at=0, until=2_000, ends="interrupted"), interrupt(on="a", at=1_500, hit="j")
    assert wrong_cancels(farm("a"), soon, waiting, withdrawn) == []                     # is j still wanted?
    elsewhere = ran("k", on="b", at=1, until=3_000), ran("m", on="a", at=1, begins=2_000, until=3_000)
    assert wrong_cancels(farm("a", "b"), order("j", at=0), soon, elsewhere, withdrawn) == []
    own = ran("k", on="a", at=0, until=1_400, ends="interrupted"), interrupt(on="a", at=1_200, hit="k")
    later = ran("j", on="a", at=0, begins=1_400, until=2_000, ends="interrupted"), interrupt(on="a", at=1_500, hit="j")
    assert wrong_cancels(farm("a"), order("j", at=0), withdrawn, own, later) == []      # k was stopped already


def test_an_interrupt_of_a_scenario_is_no_mistake_of_the_system_under_test() -> None:
    stopped = ran("j", on="a", at=0, until=2_000, ends="interrupted", prompt_id="1@a")
    stop = replace(interrupt(on="a", at=1_500, hit="1@a"), is_load=True)
    others = ran("k", on="a", at=1, begins=2_000, until=3_000), ran("j", on="a", at=3_000, until=4_000)
    assert wrong_cancels(farm("a"), stopped, stop, *others) == []
    assert wrong_cancels(farm("a"), stopped, replace(stop, is_load=False), *others) == ["j"]


def test_what_was_saved_in_a_folder_that_users_read_is_not_lost_with_its_process() -> None:
    saved = submitted("j", on="a", at=0), taken("j", on="a", at=1), written("j", on="a", at=900, name="x.png")
    pieces: list[Piece] = [farm("a"), *saved, crashed("a", at=1_000, lost=["j"]), ready("a", at=2_000, epoch=2)]
    later = asked("/object_info", on="a", at=90_000)
    assert found(*pieces, trial(delivery="folder"), later) == []
    assert found(*pieces, later) == [("lost", "j", "a")]
