"""The time of a live farm counts in its verdict, also while nothing happens."""

from __future__ import annotations

from comfyfarm.events import Configured, Judged, ServerReady, ServerStopped, Submitted
from comfyfarm.events.log import Log
from comfyfarm.server.live_analysis import LiveAnalysis


def test_a_job_that_nobody_sends_again_is_lost_after_a_while_in_which_nothing_else_happens() -> None:
    now_ms, log = [0], Log()
    analysis = LiveAnalysis(log, lambda: now_ms[0], lambda: {"a": 2})
    log.publish(Configured(at_ms=0, config={"instance": [{"name": "a"}]}))
    log.publish(ServerReady(at_ms=0), "a", 1)
    log.publish(Submitted(at_ms=1, prompt_id="p", number=0, job="j", outputs=("9",), queue_remaining=1), "a", 1)
    log.publish(ServerStopped(at_ms=2, lost=("p",), reason="crashed"), "a", 1)
    log.publish(ServerReady(at_ms=3), "a", 2)
    assert [finding.finding for finding in analysis.log_analysis().verdict().findings] == ["unfinished"]
    now_ms[0] = 60_000
    assert [finding.finding for finding in analysis.log_analysis().verdict().findings] == ["lost"]


def test_two_analyses_at_the_same_time_publish_one_event() -> None:
    log = Log()
    analysis = LiveAnalysis(log, lambda: 7, dict)
    assert analysis.log_analysis().verdict().at_ms == analysis.log_analysis().placement().at_ms == 7
    assert list(log.events) == [Judged(seq=1, at_ms=7)]


def test_a_request_that_is_not_logged_leaves_the_log_alone_and_knows_the_time_all_the_same() -> None:
    now_ms, log = [0], Log()
    analysis = LiveAnalysis(log, lambda: now_ms[0], lambda: {"a": 2})
    log.publish(Configured(at_ms=0, config={"instance": [{"name": "a"}]}))
    log.publish(Submitted(at_ms=1, prompt_id="p", number=0, job="j", outputs=("9",), queue_remaining=1), "a", 1)
    log.publish(ServerStopped(at_ms=2, lost=("p",), reason="crashed"), "a", 1)
    log.publish(ServerReady(at_ms=3), "a", 2)
    now_ms[0] = 60_000
    verdict = analysis.select(logged=False).analyse().verdict()
    assert ([finding.finding for finding in verdict.findings], verdict.at_ms) == (["lost"], 60_000)
    assert log.seq == verdict.seq == 4
    again = analysis.log_analysis().verdict()
    assert (again.findings, again.seq) == (verdict.findings, 5)
