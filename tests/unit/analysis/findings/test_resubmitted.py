"""Jobs that are sent again although they were refused for good, or their user does not want them any more."""

from __future__ import annotations

from collections import Counter

import pytest

from comfyfarm.analysis.findings.resubmitted import Ban
from comfyfarm.analysis.logical_jobs import Attempt
from tests.support.judging import found, only, sentence, used, verdict_of
from tests.support.logs import (
    Piece,
    armed,
    configured,
    crashed,
    farm,
    fired,
    interrupt,
    order,
    ran,
    ready,
    refused,
    rejected,
    set_to,
    started,
    submitted,
    uploaded,
)


def test_sending_again_what_was_refused_as_invalid_is_resubmitting() -> None:
    for on in ("a", "b"):
        again = refused("j", on=on, at=2_000)
        finding = only(farm("a", "b"), used("a", "b"), refused("j", on="a", at=1_000), again)
        assert (finding.finding, finding.severity, finding.job, finding.instance) == ("resubmitted", "error", "j", on)
        assert finding.says == (
            f"j was sent to {on} at 2 s, although a had refused it with 400 at 1 s, and nothing was corrected since."
        )


def test_sending_what_was_refused_as_invalid_to_two_at_once_is_not() -> None:
    slow = refused("j", on="b", at=1_500, began=999)
    assert found(farm("a", "b"), refused("j", on="a", at=1_000), slow) == []
    later = refused("j", on="b", at=1_500, began=1_000)
    assert found(farm("a", "b"), refused("j", on="a", at=1_000), later) == [("resubmitted", "j", "b")]


def test_sending_again_a_body_that_was_too_large_is_resubmitting() -> None:
    pieces = farm("a", "b"), rejected("j", on="a", at=1_000, status=413)
    assert found(*pieces, used("b"), rejected("j", on="b", at=2_000, status=413)) == [("resubmitted", "j", "b")]
    assert found(*pieces, used("b")) == []
    assert found(*pieces, ran("j", on="b", at=2_000, until=3_000)) == []


def test_what_one_instance_lacks_may_be_tried_at_another_and_in_its_next_life() -> None:
    pieces = configured("a", "b"), ready("a", at=0), ready("b", at=0), refused("j", on="a", at=1_000, missing=["m"])
    assert found(*pieces, ran("j", on="b", at=2_000, until=3_000)) == []
    assert found(*pieces, used("b"), refused("j", on="a", at=2_000, missing=["m"])) == [("resubmitted", "j", "a")]
    life = [crashed("a", at=1_500), started("a", at=1_600), ready("a", at=1_600, epoch=2)]
    assert found(*pieces, used("b"), life, ran("j", on="a", at=2_000, until=3_000, epoch=2)) == []


def test_an_upload_to_the_instance_may_repair_what_was_refused() -> None:
    pieces = farm("a", "b"), used("b"), refused("j", on="a", at=1_000)
    assert found(*pieces, uploaded("a", at=2_000), ran("j", on="a", at=3_000, until=4_000)) == []
    again = refused("j", on="a", at=3_000)
    assert found(*pieces, uploaded("a", at=2_000), again) == []
    for elsewhere_or_before in (uploaded("b", at=2_000), uploaded("a", at=500)):
        assert found(*pieces, elsewhere_or_before, again) == [("resubmitted", "j", "a")]
    third = refused("j", on="a", at=4_000)
    assert found(*pieces, uploaded("a", at=2_000), again, third) == [("resubmitted", "j", "a")]


def test_a_model_that_is_installed_repairs_what_was_refused() -> None:
    lacks = refused("j", on="a", at=1_000, missing=["m"]), refused("k", on="a", at=3_000, missing=["m"])
    again = refused("j", on="a", at=3_000, missing=["m"])
    installed = set_to("a", at=2_000, models={"checkpoints": ["m"]})
    pieces = farm("a", "b"), used("a", "b")
    assert found(*pieces, lacks[0], installed, ran("j", on="a", at=3_000, until=4_000)) == []
    assert found(*pieces, lacks[0], installed, again) == []
    assert found(*pieces, lacks, installed) == []
    assert found(*pieces, lacks, installed, refused("l", on="a", at=4_000, missing=["m"])) == [("ineligible", "l", "a")]
    for no_repair in (set_to("a", at=2_000, vram=5), set_to("b", at=2_000, models={}), uploaded("a", at=2_000)):
        assert found(*pieces, lacks[0], no_repair, again) == [("resubmitted", "j", "a")]
        assert found(*pieces, lacks, no_repair) == [("ineligible", "k", "a")]


def test_a_corrected_prompt_may_be_sent_again() -> None:
    pieces = farm("a", "b"), used("a", "b"), refused("j", on="a", at=1_000, error="invalid_prompt")
    other = refused("j", on="a", at=2_000, error="prompt_no_outputs")
    assert found(*pieces, ran("j", on="a", at=2_000, until=3_000)) == []
    assert found(*pieces, other, ran("j", on="b", at=3_000, until=4_000)) == []
    same = refused("j", on="a", at=3_000, error="prompt_no_outputs")
    assert found(*pieces, other, same) == [("resubmitted", "j", "a")]
    model = refused("k", on="a", at=1_000, missing=["m"]), refused("k", on="a", at=2_000, missing=["m2"])
    assert found(*pieces, model) == []
    assert found(*pieces, model, refused("k", on="a", at=3_000, missing=["m", "n"])) == [("resubmitted", "k", "a")]


def test_what_one_instance_refused_may_succeed_at_another() -> None:
    pieces = farm("a", "b"), used("a"), refused("j", on="a", at=1_000)
    assert found(*pieces, ran("j", on="b", at=2_000, until=3_000)) == []
    busy = rejected("j", on="b", at=2_000, status=503)
    assert found(*pieces, busy, ran("j", on="b", at=3_000, until=4_000)) == []


def test_a_refusal_that_its_client_never_heard_may_be_tried_again() -> None:
    unheard = refused("j", on="a", at=1_000, status=0)
    assert found(farm("a"), unheard, refused("j", on="a", at=2_000)) == []


def test_sending_again_what_its_user_stopped_is_resubmitting() -> None:
    stopped = ran("j", on="a", at=0, until=2_000, ends="interrupted")
    again = ran("j", on="b", at=3_000, until=4_000)
    by_name = interrupt(on="a", at=1_000, hit="j", job="j")
    assert found(farm("a", "b"), stopped, again, by_name) == [("resubmitted", "j", "b")]
    assert sentence(farm("a", "b"), stopped, again, by_name) == (
        "j was sent to b at 3 s, although its user had stopped it on a at 1 s."
    )
    assert found(farm("a", "b"), used("b"), stopped, by_name) == []


def test_a_client_may_stop_an_attempt_by_its_prompt_id_to_move_the_job() -> None:
    stopped = ran("j", on="a", at=0, until=2_000, ends="interrupted"), interrupt(on="a", at=1_000, hit="j", meant="j")
    elsewhere = ran("j", on="b", at=3_000, until=4_000)
    here = ran("j", on="a", at=3_000, until=4_000, prompt_id="j-2@a")
    assert found(farm("a", "b"), stopped, elsewhere) == []
    assert found(farm("a"), stopped, here) == [("resubmitted", "j", "a")]
    hang = armed("f", on=["a"]), fired("f", on="a", at=500, job="j", do="hang")
    assert found(farm("a"), stopped, here, *hang) == []


def test_sending_what_its_user_has_withdrawn_is_resubmitting() -> None:
    orders = order("j", at=0), order("j", at=1_000, state="withdrawn")
    assert sentence(farm("a"), orders, ran("j", on="a", at=2_000, until=3_000)) == (
        "j was sent to a at 2 s, although its user had withdrawn it at 1 s."
    )
    assert found(farm("a"), orders, ran("j", on="a", at=900, until=3_000)) == []
    assert found(farm("a"), orders, ran("j", on="a", at=1_050, until=3_000)) == []      # it was under way


def test_a_job_that_is_corrected_a_hundred_times_is_compared_with_few_of_its_refusals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = Counter[str]()
    covers = Ban.covers

    def counted(ban: Ban, attempt: Attempt) -> bool:
        compared["bans"] += 1
        return covers(ban, attempt)

    monkeypatch.setattr(Ban, "covers", counted)
    corrections: list[Piece] = []
    for at in range(10, 1_010, 10):
        corrections += [uploaded("a", at=at), refused("j", on="a", at=at + 5)]
    assert found(farm("a", "b"), used("b"), corrections) == []
    assert compared.total() <= 400
    again = refused("j", on="a", at=2_000)
    assert ("resubmitted", "j", "a") in found(farm("a", "b"), used("b"), corrections, again)


def test_the_reason_given_is_the_first_one_in_the_log() -> None:
    stopped = [submitted("j", on="a", at=3_000), interrupt(on="a", at=3_100, hit="j", job="j")]
    refusals = refused("j", on="a", at=1_000), refused("j", on="a", at=4_000)
    findings = verdict_of(farm("a", "b"), used("b"), refusals[0], stopped, refusals[1]).findings
    says = next(finding.says for finding in findings if finding.finding == "resubmitted")
    assert says == "j was sent to a at 4 s, although a had refused it with 400 at 1 s, and nothing was corrected since."
    findings = verdict_of(farm("a", "b"), used("b"), stopped, refusals[1]).findings
    says = next(finding.says for finding in findings if finding.finding == "resubmitted")
    assert says == "j was sent to a at 4 s, although its user had stopped it on a at 3.1 s."
